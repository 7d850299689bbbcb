"""The console's files, read once: what is not in the table is not served, so no path can leave it."""

from collections.abc import Mapping
from dataclasses import dataclass
from gzip import compress
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path

PLAIN_MIN = 1024
ZIPPED = ("text/", "application/javascript", "application/json", "image/svg")
NOT_BUILT = (
    b"<!doctype html><title>Steward</title><p>The console is not built; the API is at /api/v1."
)


@dataclass(frozen=True, slots=True)
class File:
    """One file with its type and tag; `zipped` is empty where it does not pay."""

    content: bytes
    kind: str
    tag: str
    zipped: bytes = b""
    for_ever: bool = False
    """Whether its name changes with its content."""


def read_files(folder: Path) -> Mapping[str, File]:
    """Every file below the folder by its address; `/` is the page for everything else."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    files = {f"/{p.relative_to(folder).as_posix()}": _read(p) for p in paths}
    files["/"] = files.get("/index.html", _file(NOT_BUILT, "text/html"))
    return files


def _read(path: Path) -> File:
    kind = guess_type(path.name)[0] or "application/octet-stream"
    kind = "text/javascript" if path.suffix in (".js", ".mjs") else kind
    return _file(path.read_bytes(), kind, for_ever=path.parent.name == "assets")


def _file(content: bytes, kind: str, *, for_ever: bool = False) -> File:
    pays = len(content) >= PLAIN_MIN and kind.startswith(ZIPPED)
    zipped = compress(content, mtime=0) if pays else b""
    charset = "; charset=utf-8" if kind.startswith("text/") else ""
    return File(content, kind + charset, f'"{sha256(content).hexdigest()[:16]}"', zipped, for_ever)
