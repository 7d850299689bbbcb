"""How a proof says what it came to."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def tell(found: Mapping[str, Any], *, as_json: bool) -> int:
    """Print what was found, as one object or a line each, `problems` last; 0 where they are none, else 1."""
    problems = found["problems"]
    if as_json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            if name != "problems":
                print("\n".join(_lines(name, value)))
        print("\n".join(f"NO  {problem}" for problem in problems) or "problems: none")
    return 1 if problems else 0


def _lines(name: str, value: object) -> Iterator[str]:
    """A table of tables has a line for each of them."""
    if not isinstance(value, Mapping):
        yield f"{name}: {value}"
    elif not any(isinstance(part, Mapping) for part in value.values()):
        yield f"{name}: " + ", ".join(f"{key} {part}" for key, part in value.items())
    else:
        yield f"{name}:"
        for key, part in value.items():
            yield from (f"  {line}" for line in _lines(key, part))
