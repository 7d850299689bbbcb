"""Names of the files that hold closed hours: `<hour's start in UTC ms>-<generation>.parquet`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, order=True)
class HourFile:
    """One closed hour. Of several generations of an hour the highest holds all of it."""

    hour: int
    generation: int
    path: Path

    def remove(self) -> None:
        """Remove it; may be repeated."""
        self.path.unlink(missing_ok=True)


def hour_of(time: int) -> int:
    """Start of the hour that holds a time; both UTC ms."""
    return time // HOUR_MS * HOUR_MS


def hour_file(folder: Path, hour: int, generation: int) -> HourFile:
    """The file of that hour and generation."""
    return HourFile(hour, generation, folder / f"{hour}-{generation}.parquet")


def part_file(folder: Path, hour: int) -> HourFile:
    """Where an hour is written before it is renamed into place."""
    return HourFile(hour, 0, folder / f"{hour}.part")


def put_in_place(part: HourFile, file: HourFile) -> None:
    """Rename a finished part: durable on return, whole or not at all."""
    _sync(part.path)
    part.path.replace(file.path)
    _sync(file.path.parent)


def files_in(folder: Path) -> dict[int, HourFile]:
    """The newest generation of each hour; parts and older generations that a kill left are removed."""
    for part in folder.glob("*.part"):
        part.unlink()
    found: dict[int, HourFile] = {}
    for file in sorted(_parsed(path) for path in folder.glob("*-*.parquet")):
        if file.hour in found:
            found[file.hour].remove()
        found[file.hour] = file
    return found


def _parsed(path: Path) -> HourFile:
    hour, _, generation = path.stem.rpartition("-")
    return HourFile(int(hour), int(generation), path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
