"""One server a data folder: two would write into the same journal, each as if it were alone."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from collector.ports import Unavailable

LOCK: Final = "server.lock"


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Have the folder for this process alone, however it ends. Raises `Unavailable`: another server has it."""
    path = data / LOCK
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "another one"
            raise Unavailable(f"a server runs on {data} already, {owner}: end that one, or set STEWARD_DATA to a folder of its own for this one") from error  # fmt: skip
        except OSError as error:
            raise Unavailable(f"{path} cannot be locked: {error}; STEWARD_DATA must lie on a disk that knows locks") from error  # fmt: skip
        with suppress(OSError):  # a note for others only: the lock holds without it
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        yield
