"""What the DuckDB store could not close, roll up, merge or settle, and why: said once, as long as it lasts."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from collector.adapters.duckdb_database import Database, unreadable
from collector.adapters.duckdb_reading import is_damaged
from collector.adapters.store_files import Broken
from collector.adapters.store_pieces import StoreFile

log = logging.getLogger("steward.store")
TOLD_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Trouble:
    """What could not be done and why. `damaged`: files that stood in the way, and nothing else did."""

    said: str
    damaged: tuple[StoreFile, ...] = ()
    error: Exception | None = None


class Troubles:
    """`said` is what could not be done when it was last tried, in words."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.said: tuple[str, ...] = ()

    def found(self, what: str, error: Exception, files: Iterable[StoreFile]) -> Trouble:
        """DuckDB does not always name the file that it cannot read, so each is tried alone."""
        try:
            broken = {error.file} if isinstance(error, Broken) else set[StoreFile]()
            damaged = tuple(file for file in files if file in broken or is_damaged(file.path))
        except (duckdb.IOException, duckdb.OutOfMemoryException, OSError):
            damaged = ()
        why = unreadable(damaged[0]) if damaged else self._database.why(error)
        return Trouble(f"{what}: {why}", damaged, error)

    def told(self, trouble: Trouble) -> Trouble:
        """Say it in the log, unless it was said already."""
        if trouble.said not in self.said:
            log.error("%s", trouble.said)
            self.said = (*self.said, trouble.said)
        return trouble

    def keep(self, troubles: Sequence[Trouble]) -> None:
        """These are all that there are now."""
        self.said = tuple(dict.fromkeys(trouble.said for trouble in troubles))[:TOLD_MAX]
