"""`steward user add NAME --roles operator`: a person, who chooses a password by a one-time link."""

import argparse
import sys

from commands.asking import ServerAway, ask
from config.settings import read_settings

EXAMPLE = "user add chen-wei --roles operator,technician"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("what", choices=["add", "list"])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--roles", default="viewer", help="viewer, operator, technician, planner, manager, admin")  # fmt: skip
    parser.add_argument("--sites", default="*", help="sites this person may see, * for all")


def run(arguments: argparse.Namespace) -> int:
    """0 when done, 2 without a name, 3 when no server can be asked."""
    settings = read_settings()
    try:
        if arguments.what == "list":
            for person in ask(settings, "people"):
                print(f"{person['name']:20} {', '.join(person['roles'])}")
            return 0
        if not arguments.name:
            print("steward user: who? e.g. ./steward user add chen-wei --roles operator", file=sys.stderr)  # fmt: skip
            return 2
        body = {"name": arguments.name, "roles": arguments.roles.split(","), "sites": arguments.sites.split(",")}  # fmt: skip
        made = ask(settings, "people", body)
    except ServerAway as error:
        print(f"steward user: {error}", file=sys.stderr)
        return 3
    print(f"{arguments.name} chooses a password at {settings.address}{made['link']}")
    return 0
