"""`steward bench NAME…`: measurements beside their references in the same run."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from benchmarks.rows import Row, show
from benchmarks.running import Failed
from commands.part_servers import PartFailed

EXAMPLE = "bench ingest --small"
NAMES = ("ingest", "latency", "modbus", "store")


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("name", nargs="+", help=f"all, or some of: {', '.join(NAMES)}")
    parser.add_argument("--small", action="store_true", help="a tenth of the readings")
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """0 when every measured row meets its target."""
    names = NAMES if arguments.name == ["all"] else arguments.name
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"steward bench: no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)  # fmt: skip
        return 2
    try:
        rows = [row for name in names for row in _measured(name, small=arguments.small)]
    except (Failed, PartFailed) as error:
        print(f"steward bench: {error}", file=sys.stderr)
        return 1
    show(rows, as_json=arguments.json)
    return 0 if all(row.met is not False for row in rows) else 1


def _measured(name: str, *, small: bool) -> Sequence[Row]:
    print(f"measuring {name}", file=sys.stderr, flush=True)
    measure: Callable[[bool], Sequence[Row]] = importlib.import_module(f"benchmarks.{name}").run
    return measure(small)
