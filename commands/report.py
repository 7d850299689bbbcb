"""`steward report delivery`: what was made, sent, journalled, stored, replaced, set aside and is missing; `report trends`."""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from commands.asking import ServerAway, ask
from commands.delivering import outbox_counts, whole_report
from commands.trends_report import lines, trends_report
from config.settings import Settings, read_settings

EXAMPLE = "report delivery --json"
ASKED_MAX = 5


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("what", choices=["delivery", "trends"])
    parser.add_argument("--json", action="store_true", help="print JSON instead")


def run(arguments: argparse.Namespace) -> int:
    """0 when nothing is lost, 1 when something is, 3 when nobody can be asked or nothing can be said yet."""
    settings = read_settings()
    try:
        if arguments.what == "trends":
            return _trends(settings, as_json=arguments.json)
        report = _settled_report(settings)
    except ServerAway as error:
        print(f"steward report: {error}", file=sys.stderr)
        return 3
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        _print(report)
    return verdict(report["readings"])


def _trends(settings: Settings, *, as_json: bool) -> int:
    report = trends_report(settings)
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        print("\n".join(lines(report)) or "no profile of this server's plants asks for a trend")
    return 0


def verdict(readings: Mapping[str, int | None]) -> int:
    """The exit code of what is lost and doubled; None is not known."""
    lost, doubled = readings["lost"], readings["doubled"]
    if lost or doubled:
        return 1
    return 3 if lost is None or doubled is None else 0


def _settled_report(settings: Settings) -> dict[str, Any]:
    """Both halves of one moment: outboxes that made nothing while the server was asked.

    Where they made something each time, nothing is said of what is lost or doubled.
    """
    for _ in range(ASKED_MAX):
        before = outbox_counts(settings.data)
        server = ask(settings, "delivery")
        if outbox_counts(settings.data) == before:
            return whole_report(server, before)
    report = whole_report(server, before)
    report["readings"] |= {"lost": None, "doubled": None}
    return report


def _print(report: dict[str, Any]) -> None:
    print("agent            lane      hour (UTC)        journalled  set aside  missing batches")
    for row in report["rows"]:
        hour = datetime.fromtimestamp(row["hour"] / 1000, UTC).strftime("%Y-%m-%d %H:00")
        print(f"{row['agent']:16} {row['lane']:9} {hour:16} {row['journalled']:11} {row['set_aside']:10} {row['missing_batches']:16}")  # fmt: skip
    for name, value in report["readings"].items():
        print(f"{name.replace('_', ' '):18} {'not known' if value is None else value}")
