"""`steward derive SITE --since DAY`: have derived points of closed days made anew from the readings that the store holds."""

import argparse
import sys
from datetime import date
from urllib.parse import quote

from commands.asking import Refused, ServerAway, ask
from config.settings import read_settings

EXAMPLE = "derive riverside --since 2026-01-01"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("site")
    parser.add_argument("--since", type=date.fromisoformat, required=True, help="the first local day, YYYY-MM-DD")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 when done, 2 for a wrong site, 3 when the server or its store cannot be asked."""
    try:
        answer = ask(read_settings(), f"sites/{quote(arguments.site, safe='')}/derive?since={arguments.since}", method="POST")  # fmt: skip
    except Refused as error:
        print(f"steward derive: {error}", file=sys.stderr)
        return 2
    except ServerAway as error:
        print(f"steward derive: {error}", file=sys.stderr)
        return 3
    print(
        f"{answer['changed']} values of a day differ from what is stored; they are stored within minutes"
    )
    return 0
