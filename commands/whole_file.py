"""A file that programs of people read: written in a folder beside it, there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from collector.ports import Unavailable

FORMULA: Final = tuple("=+-@＝＋－＠")  # spreadsheets take these for their narrow ones
BYTE_ORDER_MARK: Final = "\ufeff".encode()


@contextmanager
def whole(out: Path, *, force: bool) -> Iterator[Path]:
    """A path to write to, on the disk of `out`; it gets that name when all is written.

    A CSV gets a byte order mark.

    Raises:
        FileExistsError: `out` has come meanwhile, and `force` is not said.
        Unavailable: the disk does not take it; the message says which and what to do.
    """
    prefix = f".{out.name}.{os.getpid()}."
    try:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=out.parent) as folder:
            part = Path(folder) / out.name
            yield part
            _publish(_marked(part) if out.suffix == ".csv" else part, out, force=force)
    except FileExistsError as error:
        raise FileExistsError(f"{out} has come meanwhile; --force replaces it") from error
    except (duckdb.Error, OSError) as error:
        why = str(error).strip().splitlines()[0]
        raise Unavailable(f"{out} cannot be written: check room and rights in {out.parent}, or give --out another disk ({why})") from error  # fmt: skip


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula, whatever blanks or line ends it begins with."""
    return f"'{text}" if text[:1] in set("\t\r\n") or text.lstrip().startswith(FORMULA) else text


def _publish(part: Path, out: Path, *, force: bool) -> None:
    """Give a file that is whole its name, on the disk for good."""
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    if not force:
        out.touch(exist_ok=False)  # a link would do it in one step; a memory stick has none
    try:
        part.replace(out)
    except OSError:
        if not force:
            out.unlink(missing_ok=True)
        raise
    _settle(out.parent)


def _marked(part: Path) -> Path:
    """A copy that begins with a byte order mark, without which Excel reads UTF-8 as the local code page."""
    copy = part.with_name(f"marked{part.suffix}")
    with part.open("rb") as source, copy.open("wb") as target:
        target.write(BYTE_ORDER_MARK)
        shutil.copyfileobj(source, target)
    part.unlink()
    return copy


def _settle(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
