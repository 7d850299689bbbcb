"""Files that hold closed hours: `<first hour's start in UTC ms>-<generation>[-<hours>].parquet`.

A file holds one hour, or several that were merged. Of the files that cover an hour the newest generation
holds all of it, so a kill between writing a file and removing those that it replaces costs nothing.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from collector.adapters.store_pieces import Beside, Piece, StoreFile, file_of
from collector.adapters.store_spans import Span, joined_hours, overlap
from collector.adapters.store_sums import Sums, crc_of
from collector.buckets import HOUR_MS


class Broken(OSError):
    """Reading this file does more harm than that it cannot be read."""

    def __init__(self, file: StoreFile) -> None:
        super().__init__(f"{file.path} is damaged")
        self.file = file


class Shelf:
    """The files of one kind in `folder`, and which hours each of them holds.

    Read from any thread; files are put, taken and dropped by one at a time. `changes` counts what was.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._changing = threading.RLock()
        self._holder: dict[int, StoreFile] = {}
        self._held: dict[StoreFile, int] = {}
        self._unsettled: set[StoreFile] = set()
        self.sums = Sums(folder)
        self.changes = 0
        for part in folder.glob("*.part"):
            part.unlink()
        self.look_again()
        self._drop_replaced([name for name, known in self.sums.of.items() if not known.lost])
        self._miss(folder / name for name in self.sums.of)

    def __iter__(self) -> Iterator[StoreFile]:
        with self._changing:
            return iter(sorted(self._held, key=lambda file: (file.start, file.generation)))

    def look_again(self) -> None:
        """Take up files that were put here by hand, and forget those that are gone.

        Raises:
            OSError: the folder itself is gone.
        """
        with self._changing:
            there = set(_files_in(self._folder))
            gone = [file for file in self._held if file not in there]
            for file in gone:
                self._forget(file)
            self._miss(file.path for file in gone)
            self.sums.mark((file.path.name for file in there), lost=False)
            self._unsettled &= there
            for file in sorted(there - self._held.keys(), key=_newest_first):
                self._unsettled |= (beside := self._take(file))
                self._remove_empty(beside)

    def forget_gone(self) -> None:
        """Forget files that were moved away. Where the folder is gone too, so is the disk: they may come back."""
        if not self._folder.is_dir():
            return
        with self._changing:
            gone = [file for file in self._held if not file.path.exists()]
            for file in gone:
                self._forget(file)
            self._miss(file.path for file in gone)

    def _miss(self, paths: Iterable[Path]) -> None:
        self.sums.mark((path.name for path in paths if not path.exists()), lost=True)

    def _is_replaced(self, path: Path) -> bool:
        """Whether a file is not there and newer ones have all of its hours."""
        file = file_of(path)
        newer = file and all(self._generation(h) > file.generation for h in file.each_hour())
        return not path.exists() and bool(newer)

    def adopt(self, file: StoreFile, rows: int) -> None:
        """Note a file as it is that has no sum, as one of an older version."""
        with self._changing:
            if file in self._held and file.path.name not in self.sums.of:
                self.sums.put(file.path, rows, crc_of(file.path))

    def lost(self) -> list[tuple[StoreFile, int]]:
        """Files that are gone without others in their place, and how many rows each had."""
        with self._changing:
            found = [(file_of(self._folder / name), known) for name, known in self.sums.of.items()]
            return [(file, known.rows) for file, known in found if file and known.lost]

    def forget_remade(self) -> None:
        """Files that are gone are missed no more where others have all of their hours now."""
        with self._changing:
            self._drop_replaced(self.sums.of)

    def _drop_replaced(self, names: Iterable[str]) -> None:
        self.sums.drop([name for name in names if self._is_replaced(self._folder / name)])

    def unsettled(self) -> list[StoreFile]:
        """Files found here of whose hours newer ones hold some: what a kill left, or copies that were put back."""
        with self._changing:
            return sorted(self._unsettled, key=_newest_first)

    def beside(self, file: StoreFile) -> Beside:
        """What newer files hold of the hours of one."""
        with self._changing:
            hidden = [h for h in file.each_hour() if self._holder.get(h, file) is not file]
            spans = joined_hours(hidden)
            is_all = len(hidden) == file.hours
            return Beside(Piece(file, tuple(spans)), self.all_pieces(spans), is_all=is_all)

    def settle(self, beside: Beside) -> bool:
        """All that is hidden of a file is in newer ones: it goes where that is all of it. Whether it went."""
        file = beside.hidden.file
        with self._changing:
            if self.beside(file) != beside or not all(p.file.path.exists() for p in beside.newer):
                return False
            self._unsettled.discard(file)
            if beside.is_all:
                self._remove([file])
            return beside.is_all

    def _remove(self, files: Sequence[StoreFile]) -> None:
        for file in files:
            file.path.unlink(missing_ok=True)
        self.sums.drop(file.path.name for file in files)

    def make_newest(self, file: StoreFile) -> None:
        """Give a file all of its hours; newer ones have nothing there."""
        newest = self._named(file.start, file.hours, self._next(file.each_hour()))
        with self._changing:
            file.path.replace(newest.path)
            sync(self._folder)
            self.sums.rename(file.path, newest.path)
            self._unsettled.discard(file)
            self._remove_empty(self._take(newest))

    def _next(self, hours: Iterable[int]) -> int:
        return 1 + max(self._generation(hour) for hour in hours)

    def _named(self, start: int, hours: int, generation: int) -> StoreFile:
        name = f"{start}-{generation}" + (f"-{hours}" if hours > 1 else "")
        return StoreFile(start, generation, hours, self._folder / f"{name}.parquet")

    def holder(self, hour: int) -> StoreFile | None:
        """The file that holds an hour."""
        return self._holder.get(hour)

    def part(self, start: int) -> Path:
        """Where a file is written before it is put here."""
        return self._folder / f"{start}.part"

    def put(self, start: int, hours: int, generation: int, rows: int) -> StoreFile:
        """Rename the finished part, of so many rows, into place, durably; what it replaces goes.

        Its generation is at least `generation` and above those of the files whose hours it takes.
        """
        number = max(generation, self._next(range(start, start + hours * HOUR_MS, HOUR_MS)))
        file = self._named(start, hours, number)
        part = self.part(start)
        sync(part)
        crc = crc_of(part)
        part.replace(file.path)
        sync(self._folder)
        with self._changing:
            self._remove_empty(self._take(file))
            self.sums.put(file.path, rows, crc)
        return file

    def _take(self, file: StoreFile) -> set[StoreFile]:
        """Give a file its hours, but for those that a newer one holds; returns whose hours others hold now."""
        self.changes += 1
        mine = [hour for hour in file.each_hour() if self._generation(hour) < file.generation]
        beside = {file} if len(mine) < file.hours else set()
        if mine:
            self._held[file] = len(mine)
        for hour in mine:
            before = self._holder.get(hour)
            self._holder[hour] = file
            if before is not None:
                self._held[before] -= 1
                beside.add(before)
        return beside

    def _generation(self, hour: int) -> int:
        holder = self._holder.get(hour)
        return holder.generation if holder else -1

    def _remove_empty(self, files: Iterable[StoreFile]) -> None:
        """Those whose hours are all taken; what is hidden of an unsettled one is perhaps nowhere else."""
        empty = [file for file in files if self._held.get(file) == 0]
        for file in empty:
            del self._held[file]
        going = [file for file in empty if file not in self._unsettled]
        for file in going:
            file.path.unlink(missing_ok=True)
        # a start sees what replaces them
        self.sums.drop((file.path.name for file in going), save=False)

    def before(self, time: int) -> list[StoreFile]:
        """The files that hold nothing from `time` on."""
        return [file for file in self if file.end <= time]

    def drop_before(self, time: int) -> None:
        """Remove these."""
        with self._changing:
            going = self.before(time)
            for file in going:
                self._forget(file)
            self._remove([*going, *(file for file, _ in self.lost() if file.end <= time)])

    def _forget(self, file: StoreFile) -> None:
        for hour in self.hours_of(file):
            self._holder.pop(hour, None)
        self.changes += 1
        self._held.pop(file, None)

    def set_aside(self, file: StoreFile) -> None:
        """Not to be read until another is in its place."""
        with suppress(FileNotFoundError):
            self.sums.set_aside(file.path)

    def check(self, file: StoreFile) -> None:
        """Raises `Broken` for one that was set aside, or whose bytes are not those that were put there."""
        with suppress(FileNotFoundError):
            if self.sums.is_spoilt(file.path):
                raise Broken(file)

    def pieces(self, spans: Sequence[Span]) -> list[Piece]:
        """What holds the given spans, which are in order and apart. Raises `Broken`."""
        pieces = self.all_pieces(spans)
        for piece in pieces:
            self.check(piece.file)
        return pieces

    def all_pieces(self, spans: Sequence[Span]) -> list[Piece]:
        """These, also of files that are not to be read."""
        with self._changing:
            return [piece for file in self if (piece := self._piece(file, spans))]

    def _piece(self, file: StoreFile, spans: Sequence[Span]) -> Piece | None:
        within = overlap(spans, [(file.start, file.end)])
        if not within:
            return None
        held = overlap(within, self._spans(file)) if self._held[file] < file.hours else within
        if held == [(file.start, file.end)]:
            return Piece(file)
        return Piece(file, tuple(held)) if held else None

    def _spans(self, file: StoreFile) -> list[Span]:
        return joined_hours(self.hours_of(file))

    def hours_of(self, file: StoreFile) -> list[int]:
        """The hours that a file holds, by their starts."""
        return [hour for hour in file.each_hour() if self._holder.get(hour) is file]


def _newest_first(file: StoreFile) -> tuple[int, int, int]:
    """Of one generation the shorter file is the later one: a merge has the number of what it was made of, and one."""
    return -file.generation, file.hours, file.start


def _files_in(folder: Path) -> Iterator[StoreFile]:
    for path in folder.iterdir():
        if path.suffix == ".parquet" and (file := file_of(path)):
            yield file


def sync(path: Path) -> None:
    """What was written to a file or into a folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
