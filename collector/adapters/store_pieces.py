"""Names of files that hold closed hours, `<first hour's start in UTC ms>-<generation>[-<hours>].parquet`, and parts of them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.adapters.store_spans import Span
from collector.buckets import HOUR_MS

NAME: Final = re.compile(r"(-?\d+)-(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class StoreFile:
    """The closed hours from `start` (UTC ms) on."""

    start: int
    generation: int
    hours: int
    path: Path

    @property
    def end(self) -> int:
        """Where its last hour ends, UTC ms."""
        return self.start + self.hours * HOUR_MS

    def each_hour(self) -> range:
        """The starts of its hours."""
        return range(self.start, self.end, HOUR_MS)


@dataclass(frozen=True, slots=True)
class Piece:
    """What of a file holds within a span: `spans`, or all of it when there are none."""

    file: StoreFile
    spans: tuple[Span, ...] = ()

    def of(self) -> tuple[Span, ...]:
        """The spans that it holds."""
        return self.spans or ((self.file.start, self.file.end),)

    @property
    def end(self) -> int:
        """Where the last of them ends, UTC ms."""
        return self.of()[-1][1]


@dataclass(frozen=True, slots=True)
class Beside:
    """What of a file newer ones hold, and these; `is_all`: it holds nothing any more."""

    hidden: Piece
    newer: list[Piece]
    is_all: bool


def file_of(path: Path) -> StoreFile | None:
    """What the name of a file says that it holds, None where it is none of ours."""
    name = NAME.fullmatch(path.stem)
    return StoreFile(int(name[1]), int(name[2]), int(name[3] or 1), path) if name else None
