"""A profile as TOML text, laid out as people write it: inline tables, a blank line between points."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

WHOLE_MAX = 2**53


def profile_text(
    profile: Mapping[str, Any], remarks: Mapping[str, Sequence[str]], head: Sequence[str]
) -> str:
    """TOML of a profile as `ProfileFile` has it (plain dicts, lists, texts, numbers).

    `head` are the comment lines of the file, `remarks` those of a point by its key.
    """
    own = [f"{_key(key)} = {value_text(value)}" for key, value in profile.items() if key not in ("modbus", "points")]  # fmt: skip
    blocks = [[*map(_comment, head), *own]]
    if profile.get("modbus"):
        blocks.append(["[modbus]", *_lines(profile["modbus"])])
    for key, point in profile["points"].items():
        said = [_comment(line) for line in remarks.get(key, ())]
        blocks.append([f"[points.{_key(key)}]", *said, *_lines(point)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {value_text(value)}" for key, value in table.items()]


def value_text(value: object) -> str:
    """One value, tables in a line."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {value_text(one)}" for key, one in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < WHOLE_MAX else repr(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _key(key: object) -> str:
    text = str(key)
    bare = text.isascii() and text.replace("-", "").replace("_", "").isalnum()
    return text if bare else _quoted(text)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for what JSON leaves as it is: DEL, and halves of a surrogate
    sound = text.encode("utf-8", "replace").decode()
    return json.dumps(sound, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    sound = text.encode("utf-8", "replace").decode()
    return "# " + " ".join("".join(c if c.isprintable() else " " for c in sound).split())
