"""How a proof says what it came to."""

import json
from collections.abc import Mapping
from typing import Any


def told(found: Mapping[str, Any], *, as_json: bool) -> int:
    """Print what was found, as one object or a line each; 0 where `problems` are none, else 1."""
    if as_json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")
    return 1 if found["problems"] else 0
