"""`steward bench NAME…`: measurements beside their references in the same run."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.rows import Row, show
from benchmarks.running import Failed
from commands.part_servers import PartFailed

EXAMPLE = "bench ingest --small"
NAMES = (
    "chart", "ingest", "influx", "latency", "live", "modbus", "outage", "planner", "rules", "store",
    "skab",
)  # fmt: skip
WITH_FOLDER = ("skab",)


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "name",
        nargs="+",
        help=f"all, or some of: {', '.join(NAMES)}; skab with the folder of its files",
    )
    parser.add_argument("--small", action="store_true", help="a tenth of the readings")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """0 when every measured row meets its target."""
    wanted = _wanted(list(NAMES) if arguments.name == ["all"] else arguments.name)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"steward bench: no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)  # fmt: skip
        return 2
    try:
        rows = [
            row
            for name, folder in wanted.items()
            for row in _measured(name, folder, small=arguments.small)
        ]
    except (Failed, PartFailed) as error:
        print(f"steward bench: {error}", file=sys.stderr)
        return 1
    show(rows, as_json=arguments.json)
    return 0 if all(row.met is not False for row in rows) else 1


def _wanted(words: Sequence[str]) -> dict[str, Path | None]:
    """Names, with the folder that stands behind those that need one."""
    wanted: dict[str, Path | None] = {}
    last = ""
    for word in words:
        if last in WITH_FOLDER and word not in NAMES:
            wanted[last], last = Path(word), ""
        else:
            wanted[word], last = None, word
    return wanted


def _measured(name: str, folder: Path | None, *, small: bool) -> Sequence[Row]:
    print(f"measuring {name}", file=sys.stderr, flush=True)
    measure: Callable[..., Sequence[Row]] = importlib.import_module(f"benchmarks.{name}").run
    return measure(small) if folder is None else measure(small, folder)
