"""`steward token create NAME --roles viewer`: an API token, shown once."""

import argparse
import sys

from commands.asking import ServerAway, ask
from config.settings import read_settings

EXAMPLE = "token create grafana --roles viewer"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("what", choices=["create", "list"])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--roles", default="viewer")
    parser.add_argument("--sites", default="*")


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
        print(ask(settings, "tokens", body)["token"])
    except ServerAway as error:
        print(f"steward token: {error}", file=sys.stderr)
        return 3
    return 0
