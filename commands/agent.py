"""`steward agent reload|diagnose AGENT`: ask an edge agent through the running server."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from commands.asking import ServerAway, ask
from config.settings import Settings, read_settings

EXAMPLE = "agent reload edge-a"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("what", choices=["reload", "diagnose"], help="read its files anew and touch only what changed; or say how it stands with its outbox and its lines")  # fmt: skip
    parser.add_argument("agent", nargs="?", default="", help="which one; SITE/AGENT where several sites have one of that name")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="every agent of every site")
    parser.add_argument("--json", action="store_true", help="print a list: site, agent, outcome, detail of each")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 when every agent did it, 1 when one refused, 2 for a wrong name, 3 when one cannot be asked."""
    settings = read_settings()
    if bool(arguments.agent) == arguments.all:
        return _wrong("name one agent, or --all")
    try:
        known = dict(_known(settings))
        chosen = [key for key in known if arguments.all or arguments.agent in (key, known[key][1])]
        if not chosen:
            return _wrong(f"there is no agent {arguments.agent!r}; there are {', '.join(known)}")
        if len(chosen) > 1 and not arguments.all:
            return _wrong(f"there is more than one: say {' or '.join(chosen)}")
        rows = [_asked(settings, *known[key], arguments.what) for key in chosen]
    except ServerAway as error:
        print(f"steward agent: {error}", file=sys.stderr)
        return 3
    if arguments.json:
        print(json.dumps(rows, ensure_ascii=False))
    else:
        for row in rows:
            _print(row)
    return _code([row["outcome"] for row in rows])


def _wrong(message: str) -> int:
    print(f"steward agent: {message}", file=sys.stderr)
    return 2


def _known(settings: Settings) -> Iterator[tuple[str, tuple[str, str]]]:
    """`site/agent` of every agent to (site, agent)."""
    for site in ask(settings, "sites"):
        for row in ask(settings, f"sites/{site['id']}/agents"):
            yield f"{site['id']}/{row['agent']}", (site["id"], row["agent"])


def _asked(settings: Settings, site: str, agent: str, what: str) -> dict[str, Any]:
    """What came of it; an agent that cannot be asked is `unavailable`, the others are asked all the same."""
    if sys.stderr.isatty():
        print(f"steward agent: asking {site}/{agent} …", file=sys.stderr)
    try:
        return {"site": site, **ask(settings, f"sites/{site}/agents/{agent}/{what}", method="POST")}
    except ServerAway as error:
        if not error.said:
            raise
        detail = {"reason": error.said}
        return {"site": site, "agent": agent, "outcome": "unavailable", "detail": detail}


def _print(row: dict[str, Any]) -> None:
    print(f"{row['site']}/{row['agent']}: {row['outcome']}")
    for name, text in row["detail"].items():
        first, *rest = text.splitlines() or [""]
        print(f"  {name.replace('_', ' '):18} {first}")
        for line in rest:
            print(f"  {'':18} {line}")


def _code(outcomes: list[str]) -> int:
    if "unavailable" in outcomes:
        return 3
    return 0 if all(outcome == "done" for outcome in outcomes) else 1
