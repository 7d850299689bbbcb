"""`steward token create NAME --roles viewer`: an API token, shown once."""

import argparse
import sys
from pathlib import Path

from commands.access import write_secret
from commands.asking import ServerAway, ask
from config.settings import read_settings

EXAMPLE = "token create grafana --roles viewer"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("what", choices=["create", "list"])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--roles", default="viewer")
    parser.add_argument("--sites", default="*")
    parser.add_argument("--file", default="", help="write it here, readable by its owner only, instead of showing it; a file that is there stays")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 when done, 2 without a name, 3 when no server can be asked."""
    settings = read_settings()
    try:
        if arguments.what == "list":
            for token in ask(settings, "tokens"):
                print(f"{token['name']:20} {', '.join(token['roles'])}")
            return 0
        if not arguments.name:
            print("steward token: which name? e.g. ./steward token create grafana", file=sys.stderr)
            return 2
        body = {"name": arguments.name, "roles": arguments.roles.split(","), "sites": arguments.sites.split(",")}  # fmt: skip
        if not arguments.file:
            print(ask(settings, "tokens", body)["token"])
        elif not Path(arguments.file).exists():
            write_secret(Path(arguments.file), ask(settings, "tokens", body)["token"])
    except ServerAway as error:
        print(f"steward token: {error}", file=sys.stderr)
        return 3
    return 0
