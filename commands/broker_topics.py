"""Our plug-ins for amqtt: who may come in, and which topics each may publish, subscribe to and receive."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amqtt.contexts import Action
from amqtt.plugins.authentication import FileAuthPlugin
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

from commands.access import SERVER, device_user, edge_user
from config.plant import Plant

UP = ("birth", "event", "data", "backfill", "state", "reply")
DOWN = ("committed", "request")
Rights = Mapping[str, Mapping[str, Sequence[str]]]
"""User to {"publish": topic patterns, "receive": topic patterns}, in MQTT's filter form."""


def rights_of(plants: Iterable[Plant]) -> dict[str, dict[str, list[str]]]:
    """What each user of these plants may do; whoever is not named may do nothing."""
    rights = {
        SERVER: {
            "publish": [f"steward/v1/+/+/{what}" for what in DOWN],
            "receive": [f"steward/v1/+/+/{what}" for what in UP],
        }
    }
    for plant in plants:
        for agent in plant.agents:
            own = f"steward/v1/{plant.site}/{agent}"
            rights[edge_user(plant.site, agent)] = {
                "publish": [f"{own}/{what}" for what in UP],
                "receive": [f"{own}/{what}" for what in DOWN] + _devices(plant, agent=agent),
            }
        for line in plant.lines.values():
            if line.kind == "mqtt":
                user = device_user(plant.site, line.id)
                rights[user] = {"publish": _devices(plant, line=line.id), "receive": []}
    return rights


def _devices(plant: Plant, *, agent: str = "", line: str = "") -> list[str]:
    """Topic patterns of the MQTT devices on one agent's lines, or on one line."""
    return [
        f"devices/{plant.site}/{device.unit}/#"
        for device in plant.devices.values()
        if plant.lines[device.line].kind == "mqtt"
        and (plant.lines[device.line].agent == agent or device.line == line)
    ]


def covers(pattern: str, asked: str) -> bool:
    """Whether everything that `asked` (a topic or a filter) can match lies within `pattern`."""
    allowed, wanted = pattern.split("/"), asked.split("/")
    for place, level in enumerate(allowed):
        if level == "#":
            return True
        if place >= len(wanted) or wanted[place] == "#":
            return False
        if level != "+" and wanted[place] != level:
            return False
    return len(wanted) == len(allowed)


def may(rights: Rights, user: str | None, verb: str, topic: str) -> bool:
    """Whether a user may do this; `verb` is `publish` or `receive` (which subscribing is judged by)."""
    return any(covers(pattern, topic) for pattern in rights.get(user or "", {}).get(verb, ()))


class KnownUsers(FileAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Only who is in the password file, with its password, and with a will that it may publish."""

    async def authenticate(self, *, session: Session) -> bool:
        known = await super().authenticate(session=session)
        if known is not True:
            return False
        will = session.will_topic
        return not will or may(self.config.rights, session.username, "publish", will)

    @dataclass
    class Config:
        """The password file (`user:argon2 hash` a line) and everybody's rights."""

        password_file: str | Path | None = None
        rights: dict[str, dict[str, list[str]]] = field(default_factory=dict)


class OwnTopics(BaseTopicPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Each user keeps to its own topics, publishing, subscribing and receiving."""

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        if session is None or topic is None:
            return False
        verb = "publish" if action is Action.PUBLISH else "receive"
        return may(self.config.rights, session.username, verb, topic)

    @dataclass
    class Config:
        """Everybody's rights."""

        rights: dict[str, dict[str, list[str]]] = field(default_factory=dict)
