"""What each file of closed hours was when it was put in its place: a list beside their folder, `<folder>.json`.

A bit that a disk turns makes another number of one, and DuckDB does not see it; a file that is gone
is missed by nobody. A file that is not in the list, as one of an older version, is read as it is.
"""

import logging
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

log = logging.getLogger("steward.store")
PIECE: Final = 1 << 20


class Sum(NamedTuple):
    """Rows of a file, the CRC-32 of its bytes, and whether it is gone without another in its place."""

    rows: int
    crc: int
    lost: bool = False


State = tuple[int, int]
"""Size of a file, and when it was changed (ns)."""


class Sums:
    """The list of one folder, by name. Changed by one at a time; files are looked at from any thread."""

    def __init__(self, folder: Path) -> None:
        self._path = folder.parent / f"{folder.name}.json"
        self.of = self._read()
        self._seen: dict[str, tuple[State, bool]] = {}

    def _read(self) -> dict[str, Sum]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Sum])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            log.error("%s cannot be read (%s): files that were put before now are read unchecked, and of those that are gone nobody knows", self._path, error)  # fmt: skip
            return {}

    def put(self, path: Path, rows: int, crc: int) -> None:
        """A file is in its place: what of this a kill loses a start finds out from the files, but its sum."""
        self.of[path.name] = Sum(rows, crc)
        self._seen.pop(path.name, None)
        self._save()

    def rename(self, before: Path, path: Path) -> None:
        """A file has another's name."""
        if known := self.of.pop(before.name, None):
            self.of[path.name] = known
            self._save()

    def mark(self, names: Iterable[str], *, lost: bool) -> None:
        """These are gone, or are there again."""
        changed = [n for n in names if n in self.of and self.of[n].lost != lost]
        for name in changed:
            self.of[name] = self.of[name]._replace(lost=lost)
        if changed:
            self._save()

    def drop(self, names: Iterable[str], *, save: bool = True) -> None:
        """Nobody misses these; `save` where no other in their place says so at the next start."""
        known = [name for name in names if name in self.of]
        for name in known:
            del self.of[name]
            self._seen.pop(name, None)
        if known and save:
            self._save()

    def is_spoilt(self, path: Path) -> bool:
        """Whether a file was set aside or has other bytes than were put there; asked again where its size or time has changed.

        Raises:
            OSError: it is gone, or the disk does not give it.
        """
        seen, state = self._seen.get(path.name), _state_of(path)
        if seen is None or seen[0] != state:
            known = self.of.get(path.name)
            if known is None:
                return False
            seen = self._seen[path.name] = state, crc_of(path) != known.crc
        return seen[1]

    def set_aside(self, path: Path) -> None:
        """Spoilt, whatever its sum says. Raises `FileNotFoundError`."""
        self._seen[path.name] = _state_of(path), True

    def is_looked_at(self, path: Path) -> bool:
        """Whether the bytes of a file, as they are now, were looked at already."""
        seen = self._seen.get(path.name)
        return seen is not None and seen[0] == _state_of(path)

    def _save(self) -> None:
        """Whole or not at all."""
        part = self._path.with_suffix(".json.part")
        with part.open("wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(self.of), indent=1))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self._path)


def _state_of(path: Path) -> State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def crc_of(path: Path) -> int:
    """CRC-32 of a file's bytes, read in pieces: 2 GB a second."""
    crc = 0
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            crc = zlib.crc32(piece, crc)
    return crc
