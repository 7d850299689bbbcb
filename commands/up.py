"""`steward up PLANT…`: broker, server and every edge agent of real plants, on this machine."""

import argparse
import contextlib
import sys
from pathlib import Path

from commands.edge import check_budget
from commands.installation import Installation, Stop, is_free
from config.load import load_plant
from config.settings import read_settings
from edge.bus_time import LineTooBusy

EXAMPLE = "up config/plants/riverside --data /var/lib/steward"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", nargs="+", help="folders of the plants, one for each site")
    parser.add_argument("--data", default="", help="where everything is kept (default: STEWARD_DATA or ./steward-data)")  # fmt: skip
    parser.add_argument("--port", type=int, default=0, help="port of the console (default 8080)")


def run(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C or SIGTERM; 2 where a line cannot keep its pace, 3 when it could not start."""
    settings = read_settings()
    plants = {str(Path(folder).resolve()): load_plant(Path(folder)) for folder in arguments.plant}
    try:
        for plant in plants.values():
            for agent in plant.agents:
                check_budget(plant, agent)
    except LineTooBusy as error:
        print(f"steward up: what is read takes longer than there is time\n{error}", file=sys.stderr)
        return 2
    data = Path(arguments.data or settings.data).resolve()
    site = Installation(plants, data, arguments.port or settings.http_port, who="steward up")
    if not is_free(site.port):
        print(f"steward up: port {site.port} is taken: end what listens there, perhaps another Steward, or name a free one with --port", file=sys.stderr)  # fmt: skip
        return 3
    with contextlib.ExitStack() as stack:
        stop = Stop()
        site.prepare()
        stack.callback(site.children.stop)
        if not site.start(stop):
            return 0 if stop.asked else 3
        print(f"\n  Open {site.address()}\n", file=sys.stderr, flush=True)
        site.watch(stop)
    return 0
