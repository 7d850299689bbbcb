"""`steward doctor`: what is wrong with this installation, and who must do what."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from collector.adapters.duckdb_database import owner_of
from collector.adapters.duckdb_looking import Looked
from collector.adapters.sqlite_file import malformed_in
from collector.adapters.store_duckdb import DuckDbStore
from collector.adapters.store_spans import moment
from collector.ports import Unavailable
from commands.asking import ServerAway, ask
from config.settings import Settings, read_settings

EXAMPLE = "doctor"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """0 when all is well, 1 when something is not, 3 when no server runs."""
    settings = read_settings()
    rows = _files(settings)
    try:
        found, away = dependencies(ask(settings, "health/ready")), ""
    except ServerAway as error:
        found = dependencies(_json(error.answer))
        away = "" if found else str(error)
    rows += [*journal_row(settings), *store_row(settings)] if away else found
    if arguments.json:
        print(json.dumps([{"what": n, "ok": ok, "detail": d} for n, ok, d in rows]))
    else:
        for name, ok, detail in rows:
            print(f"{'ok ' if ok else 'NO '} {name:12} {detail}")
    if away:
        print(f"steward doctor: {away}", file=sys.stderr)
        return 3
    return 0 if all(ok for _, ok, _ in rows) else 1


def dependencies(ready: Any) -> list[tuple[str, bool, str]]:
    """The rows of a server's `health/ready`, be it ready (200) or not (503); none of any other answer."""
    try:
        return [(name, one["ok"], one["detail"]) for name, one in ready["dependencies"].items()]
    except (TypeError, KeyError):
        return []


def _json(answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        return None


def _files(settings: Settings) -> list[tuple[str, bool, str]]:
    data = settings.data
    if not data.is_dir():
        return [("data", False, f"{data} is not there: start `./steward up PLANT` once, or set STEWARD_DATA")]  # fmt: skip
    return [_secrets(data / "secrets")]


def _secrets(folder: Path) -> tuple[str, bool, str]:
    loose = [p.name for p in folder.glob("*") if p.stat().st_mode & 0o077] if folder.is_dir() else []  # fmt: skip
    said = f"readable by others: {', '.join(loose)}; chmod 600 them" if loose else "readable by their owner only"  # fmt: skip
    return "secrets", not loose, said


def journal_trouble(folder: Path) -> str:
    """What was set aside of the journal in `folder`, and what to do; empty where nothing was."""
    names = ", ".join(malformed_in(folder))
    return f"damaged and set aside in {folder}: {names}; readings in them that the store had not taken are lost, and with counts.malformed counts of the delivery report; see to the disk, then move these files away" if names else ""  # fmt: skip


def journal_row(settings: Settings) -> list[tuple[str, bool, str]]:
    """How the files of the journal are, where no server runs that would say it."""
    trouble = journal_trouble(settings.data / "journal")
    return [("journal", False, trouble)] if trouble else []


def _files_of_store(folder: Path, found: Looked) -> str:
    """What a look at its files found, and what to do."""
    said = []
    if found.damaged:
        names = ", ".join(str(path.relative_to(folder)) for path in found.damaged)
        said.append(f"damaged in {folder}: {names}; put back copies of these files, or move them away: what they hold is lost then")  # fmt: skip
    if found.lost:
        names = ", ".join(f"{file.path.relative_to(folder)} ({moment(file.start)} to {moment(file.end)}, {rows} rows)" for file, rows in found.lost)  # fmt: skip
        said.append(f"gone from {folder}: {names}; put back copies of these files, else this is said until retention has passed their hours")  # fmt: skip
    if not said:
        said.append("every file is as it was written")
    if found.unknown:
        said.append(f"but for {len(found.unknown)} of an older version, of which it is not known: a server that runs notes them as they are")  # fmt: skip
    return "; ".join(said)


def store_row(settings: Settings) -> list[tuple[str, bool, str]]:
    """How the files of readings are, where no server runs that would say it."""
    folder = settings.data / "store"
    if settings.store != "duckdb" or not folder.is_dir():
        return []
    try:
        store = DuckDbStore(folder)
        found, kept = store.look(), store.kept
        store.close()
    except Unavailable as error:
        if owner := owner_of(error):
            return [("store", True, f"{folder} belongs to process {owner}, a server that runs: nothing is to be mended for that; to hear how it is set STEWARD_HTTP_PORT as it was started with")]  # fmt: skip
        return [("store", False, str(error))]
    rows = [("store", not (found.damaged or found.lost), _files_of_store(folder, found))]
    now = settings.clock().now()
    if (ahead := max(kept.raw, kept.minute, kept.hour)) > now:
        rows.append(("retention", False, f"retention has cut up to {moment(ahead)}, but by this machine's clock it is {moment(now)}: the clock is wrong now, or one was then; put it right, the server takes the cut back when it starts"))  # fmt: skip
    return rows
