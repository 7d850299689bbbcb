"""`steward bench NAME…`: measurements beside their references in the same run."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from benchmarks.rows import Row, show

EXAMPLE = "bench ingest --small"
NAMES = ("ingest", "latency")


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
    rows: list[Row] = []
    for name in names:
        measure: Callable[[bool], Sequence[Row]] = importlib.import_module(f"benchmarks.{name}").run
        rows += measure(arguments.small)
    if arguments.json:
        import msgspec  # only for this form of output

        print(msgspec.json.encode(rows).decode())
    else:
        show(rows)
    return 0 if all(row.met is not False for row in rows) else 1
