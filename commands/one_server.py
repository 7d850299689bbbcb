"""One server a data folder: two would write into the same journal, each as if it were alone."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from collector.ports import Unavailable

LOCK: Final = "server.lock"
_EXCLUSIVE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Have the folder for this process alone, however it ends. Raises `Unavailable`: another server has it.

    The folder itself is locked, for a file in it may be deleted under whoever has locked it; the file too, for older
    versions lock nothing else.
    """
    path = data / LOCK
    with ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("a+", encoding="utf-8", errors="replace"))
            folder = os.open(data, os.O_RDONLY)
            opened.callback(os.close, folder)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error}") from error
        try:
            fcntl.flock(file, _EXCLUSIVE)
            _lock_folder(folder)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read(200).strip() or "another one"
            raise Unavailable(f"a server runs on {data} already, {owner}: end that one, or set STEWARD_DATA to a folder of its own for this one") from error  # fmt: skip
        except OSError as error:
            raise Unavailable(f"{path} cannot be locked: {error}; STEWARD_DATA must lie on a disk that knows locks") from error  # fmt: skip
        with suppress(OSError):  # a note for others only: the lock holds without it
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield


def _lock_folder(folder: int) -> None:
    """Raises `BlockingIOError`: another one has it."""
    try:
        fcntl.flock(folder, _EXCLUSIVE)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise  # NFS locks nothing that is not open for writing, which no folder can be: there the file must do
