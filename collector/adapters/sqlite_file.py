"""A SQLite file of the journal: opened so that what is written is durable, known when it is spoilt, and put away then."""

import sqlite3
from pathlib import Path
from typing import Final

MALFORMED: Final = ".malformed"
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def connect(path: Path, *, wait_s: float = 5) -> sqlite3.Connection:
    """The file, made if it is not there; each commit waits for the disk, and so long for another one's lock.

    Raises `sqlite3.OperationalError` also where SQLite keeps no write-ahead log there, as in some network file systems.
    """
    # Calls come from worker threads, one at a time under the journal's lock.
    db = sqlite3.connect(path, wait_s, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA page_size=16384")
        (mode,) = db.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":  # it refuses by naming the mode that stays
            raise sqlite3.OperationalError(f"{path}: no write-ahead log, but journal_mode={mode}")
        db.execute("PRAGMA synchronous=FULL")
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is spoilt, or has lost a table; all else (a full disk, a conflict, a lock) says nothing of it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    lost = code == sqlite3.SQLITE_ERROR and str(error).startswith("no such table")
    return lost or code in _DAMAGE


def put_away(path: Path) -> Path:
    """Move a spoilt file out of the way, for somebody to look at; returns where it lies."""
    aside = path.with_suffix(MALFORMED)
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def malformed_in(folder: Path) -> list[str]:
    """Names of the files of a journal that were put away, in this life or before, and lie there still."""
    return sorted(path.name for path in folder.glob(f"*{MALFORMED}"))
