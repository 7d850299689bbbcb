"""NATS's own file of users, made from what an installation knows: who may come in, and with which rights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from commands.access import SERVER
from commands.broker_topics import Rights

FOLDER: Final = Path(__file__).parents[1] / "deploy" / "nats"
MQTT_RECEIVE: Final = ("$MQTT.sub.>", "$MQTT.deliver.pubrel.>")
"""What every MQTT user of NATS must be able to receive so that it can subscribe at QoS 1."""
KEEPER: Final = {
    "publish": ("$JS.API.>", "$JS.ACK.>", "$KV.>", "steward.journal.>"),
    "receive": ("_INBOX.>",),
}
"""What the collector may do beside its topics, in NATS's form: keep journals and leases in JetStream."""
_SUBJECT: Final = str.maketrans({"/": ".", ".": "//", "+": "*", "#": ">"})


def subject(pattern: str) -> str:
    """NATS's subject for an MQTT topic or filter."""
    return pattern.translate(_SUBJECT)


def users_file(words: Mapping[str, str], rights: Rights) -> str:
    """`users.conf`: each user with its password and rights. Who has none in `rights` may do nothing.

    `words` are passwords by user, `rights` those of `commands.broker_topics.rights_of`.
    """
    rows = ",\n".join(_user(name, word, rights.get(name, {})) for name, word in words.items())
    return f"authorization {{ users = [\n{rows}\n] }}\n"


def _user(name: str, word: str, verbs: Mapping[str, Sequence[str]]) -> str:
    more = KEEPER if name == SERVER else {}
    publish = [*map(subject, verbs.get("publish", ())), *more.get("publish", ())]
    receive = [*map(subject, verbs.get("receive", ())), *more.get("receive", ())]
    may = {
        "publish": {"allow": publish} if publish else {"deny": [">"]},
        "subscribe": {"allow": [*receive, *MQTT_RECEIVE]},
    }
    return json.dumps({"user": name, "password": word, "permissions": may})
