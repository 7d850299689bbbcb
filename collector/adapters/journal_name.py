"""The name of a journal for as long as its folder lives: a store outside that folder tells journals apart by it."""

import os
import secrets
from pathlib import Path
from typing import Final

NAME: Final = "name"


def journal_name(folder: Path) -> str:
    """The name that stands in the folder; made when it is first asked for."""
    path = folder / NAME
    if not path.exists():
        part = path.with_suffix(".new")
        with part.open("w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(8))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    return path.read_text(encoding="ascii").strip()
