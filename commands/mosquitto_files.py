"""Mosquitto's own files, made from what an installation knows: who may come in, and with which rights."""

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "deploy" / "mosquitto"
ACL: Final = FOLDER / "acl"
ROUNDS: Final = 101
"""As mosquitto_passwd: the passwords are 192 random bits, which no rounds make harder to guess."""
SALT_BYTES: Final = 12


def passwords_file(users: Mapping[str, str]) -> str:
    """`password_file`: a line for each user, its password as salted PBKDF2-SHA512 (Mosquitto 1.6 and later)."""
    return "".join(f"{user}:{_hashed(word)}\n" for user, word in users.items())


def _hashed(word: str) -> str:
    salt = secrets.token_bytes(SALT_BYTES)
    made = hashlib.pbkdf2_hmac("sha512", word.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


def acl_file(rights: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """`acl_file`: what is shipped for agents and collector, then who may speak for MQTT devices and hear them.

    `rights` are those of `commands.broker_topics.rights_of`.
    """
    lines = ["", "# MQTT devices of this installation."]
    for user, verbs in rights.items():
        own = [
            f"topic {word} {pattern}"
            for verb, word in (("publish", "write"), ("receive", "read"))
            for pattern in verbs[verb]
            if not pattern.startswith("steward/")
        ]
        lines += [f"user {user}", *own] if own else []
    return ACL.read_text(encoding="utf-8") + "\n".join(lines) + "\n"
