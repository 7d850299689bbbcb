"""`steward report delivery`: what was made, sent, journalled, stored, replaced, set aside and is missing; `report trends`."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from commands.asking import ServerAway, ask
from commands.delivering import outbox_counts
from commands.reconciling import WRONG, OutboxCount, whole_report
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
    """The exit code of what is lost, doubled, refused by the store or did not reach it; None is not known."""
    found = [readings[name] for name in WRONG]
    if any(found):
        return 1
    return 3 if None in found else 0


def _settled_report(settings: Settings) -> dict[str, Any]:
    """Both halves up to numbers that both know, whatever agents make meanwhile.

    Where more comes all the time than can be told one by one, nothing is said of what is lost or doubled.
    """
    for _ in range(ASKED_MAX):
        server = ask(settings, "delivery")
        outboxes = outbox_counts(settings.data)
        tail = ask(settings, f"delivery/since?position={server['position']}")
        report = whole_report(server, outboxes, tail["batches"])
        if tail["whole"] and not _renewed(outboxes, tail["batches"]):
            return report
    report["readings"] |= {"lost": None, "doubled": None}
    return report


def _renewed(outboxes: Mapping[str, OutboxCount], tail: Iterable[Sequence[Any]]) -> bool:
    """Whether an outbox began another epoch between the questions."""
    names = ((f"{site}.{agent}", epoch) for site, agent, epoch, *_ in tail)
    return any(name in outboxes and outboxes[name].epoch != epoch for name, epoch in names)


HEADER = "agent            lane      hour (UTC)              made       sent  journalled     stored  set aside  missing batches"


def _print(report: dict[str, Any]) -> None:
    print(HEADER)
    for row in report["rows"]:
        print(f"{row['agent']:16} {row['lane']:9} {_hour(row['hour']):16} {row['made']:11} {row['sent']:10} {row['journalled']:11} {_known(row['stored']):>10} {row['set_aside']:10} {row['missing_batches']:16}")  # fmt: skip
    for name, value in report["readings"].items():
        print(f"{name.replace('_', ' '):18} {_known(value)}")
    for found in report["differences"]:
        began = "" if found["from_hour"] is None else f", not before {_hour(found['from_hour'])}"
        print(f"{found['what']}: {abs(found['difference'])} readings of {found['site']}/{found['agent']}, lane {found['lane']}{began}: {found['sent']} sent, {found['journalled']} journalled")  # fmt: skip
    for row in report["rows"]:
        if row["unstored"]:
            print(f"{_unstored(row['unstored'])} of {row['site']}/{row['agent']}, lane {row['lane']}, that came from {_hour(row['hour'])} on: {row['journalled']} journalled, {row['stored']} stored")  # fmt: skip
    for words in report["unknown"]:
        print(f"not known: {words}")
    if report["not_compared"]:
        print(f"not compared, for their outboxes are on other machines: {', '.join(report['not_compared'])}")  # fmt: skip


def _unstored(readings: int) -> str:
    if readings > 0:
        return f"did not reach the store: {readings} readings"
    return f"stored and not counted as journalled: {-readings} readings"


def _known(count: int | None) -> str:
    return "not known" if count is None else str(count)


def _hour(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:00")
