"""`steward derive SITE --since DAY`: have derived points of closed days made anew from the readings that the store holds."""

import argparse
import sys
from datetime import date
from typing import Final
from urllib.parse import quote

from commands.asking import Refused, ServerAway, ask
from config.settings import read_settings

WAIT_S: Final = 3600.0
"""A year of a large plant takes minutes."""
EXAMPLE = "derive riverside --since 2026-01-01"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("site")
    parser.add_argument("--since", type=date.fromisoformat, required=True, help="the first local day, YYYY-MM-DD")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 when done, 2 for a wrong site, 3 when the server or its store cannot be asked."""
    print(f"steward derive: the server makes every day of {arguments.site} from {arguments.since} on anew; a year takes minutes", file=sys.stderr)  # fmt: skip
    try:
        answer = ask(read_settings(), f"sites/{quote(arguments.site, safe='')}/derive?since={arguments.since}", method="POST", wait_s=WAIT_S)  # fmt: skip
    except Refused as error:
        print(f"steward derive: {error}", file=sys.stderr)
        return 2
    except ServerAway as error:
        print(f"steward derive: {error}", file=sys.stderr)
        return 3
    if changed := answer["changed"]:
        print(f"{changed} values of a day differ from what is stored, and are stored now, batch by batch; a server that is stopped meanwhile forgets those that wait: the same command again says whether all are stored")  # fmt: skip
    else:
        print("every value of a day is stored as its readings make it")
    return 0
