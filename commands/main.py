"""`steward`: one table of commands; each module adds its arguments and returns an exit code."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from collector.ports import Unavailable
from commands.asking import Refused
from commands.supervising import MEND
from config.mistakes import ConfigErrors
from config.settings import SettingsError

COMMANDS = {
    "demo": "the whole system on the simulated estate; prints one address to open",
    "up": "the whole system for real plants, without simulators",
    "edge": "one edge agent",
    "server": "collector and API",
    "agent": "have an edge agent read its files anew, or say how it is",
    "broker": "the embedded MQTT broker",
    "check": "validate profiles, plant, rules and standards; show the read plan",
    "tags": "points of a plant by Brick class and Haystack markers",
    "profile": "your own equipment: make a profile from a register list, and test it",
    "test": "run all tests (what the checks call)",
    "lint": "format, lint, types, import rules, console (what the checks call)",
    "bench": "benchmarks beside their references",
    "simulate": "scenarios, simulated devices, recordings played as devices",
    "prove": "proofs that take longer than a minute",
    "report": "delivery report of the running server",
    "derive": "make points that are derived once a day anew from their readings",
    "export": "readings of points as a Parquet or CSV file",
    "user": "people: add one by a one-time link",
    "token": "API tokens",
    "secrets": "make the secrets of a deployment and give each container its own",
    "healthy": "whether one process of a deployment works",
    "migrate": "bring the ledger to this release",
    "doctor": "what is wrong with this installation and who must do what",
    "screenshots": "pictures of every page at 1280 and 390 px",
    "openapi": "write docs/openapi.json",
    "lock": "resolve requirements/*.in into hashed *.txt",
}
"""Command to what it does; the module `commands.<name>_command` or `commands.<name>` runs it."""

DONE, NO, WRONG_USE, UNAVAILABLE = 0, 1, 2, 3


def _module(name: str) -> str:
    special = {"test": "testing", "lint": "linting", "secrets": "sharing"}
    return f"commands.{special.get(name, name)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 the verdict is no, 2 wrong use, 3 unavailable."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return DONE if words else WRONG_USE
    if words[0] not in COMMANDS:
        print(f"steward: no command {words[0]!r}. There are:\n\n{_overview()}", file=sys.stderr)
        return WRONG_USE
    module, arguments = parse(words)
    try:
        return int(module.run(arguments))
    except (ConfigErrors, SettingsError) as error:
        print(f"{error}\n", file=sys.stderr)
        print(f"{MEND} the lines above and start again", file=sys.stderr)
        return WRONG_USE
    except Refused as error:
        print(f"steward {words[0]}: {error}", file=sys.stderr)
        return WRONG_USE
    except Unavailable as error:
        print(f"steward {words[0]}: {error}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        return 130


def parse(words: Sequence[str]) -> tuple[ModuleType, argparse.Namespace]:
    """The module of a command that there is, and its arguments; ends the process where they are wrong."""
    module = importlib.import_module(_module(words[0]))
    parser = argparse.ArgumentParser(
        prog=f"steward {words[0]}",
        description=COMMANDS[words[0]],
        epilog=f"example: ./steward {module.EXAMPLE}",
    )
    module.add(parser)
    return module, parser.parse_args(words[1:])


def _overview() -> str:
    rows = "\n".join(f"  {name:12} {what}" for name, what in COMMANDS.items())
    return f"usage: ./steward COMMAND …\n\n{rows}\n\n./steward COMMAND --help shows an example."
