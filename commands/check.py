"""`steward check PLANT`: is everything that people wrote sound, and what will be read how."""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from commands.access import key_path, secrets_folder
from commands.serving import endpoints
from config.load import load_plant
from config.plant import Plant, Secret
from config.rules import has_rationale
from config.settings import Settings, SettingsError, read_secret, read_settings
from config.standards import ChangedOver, Meter, Plan, Ran
from edge.bus_time import FULL, TIGHT, Use, shares, table, uses_of

EXAMPLE = "check config/plants/riverside"
NAMED: Final = 5


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", help="folder of the plant")
    parser.add_argument("--requests", action="store_true", help="show the addresses of each request, and what of them no point stands in")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """0 when sound; 2 with every mistake, its file and path, or where a line cannot keep its pace."""
    settings = read_settings()
    folder = Path(arguments.plant)
    if not folder.is_dir():
        print(f"steward check: {folder} is no folder; a plant is a folder with plant.toml in it", file=sys.stderr)  # fmt: skip
        return 2
    plant = load_plant(folder, endpoints=endpoints(settings))
    uses = uses_of(plant)
    found = _found(plant, settings, uses)
    fits = all(share <= FULL for share in shares(uses).values())
    if arguments.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0 if fits else 2
    print(
        f"{plant.site}: {found['devices']} devices, {found['points']} points, {found['rules']} rules, {found['plans']} plans; {'sound' if fits else 'a line is too busy'}"
    )
    _say_reads(uses)
    if arguments.requests:
        _say_requests(uses)
    for name in found["missing_secrets"]:
        print(f"  secret {name} is missing: write it to {secrets_folder(settings) / name}")
    for row in found["not_observable"]:
        print(f"  plan {row['plan']} is not observable: there is no point {row['point']}")
    if found["rules_without_rationale"]:
        print(
            f"  {len(found['rules_without_rationale'])} rules say no cause, consequence and action"
        )
    return 0 if fits else 2


def _found(plant: Plant, settings: Settings, uses: Sequence[Use]) -> dict[str, Any]:
    return {
        "site": plant.site,
        "devices": len(plant.devices),
        "points": len(plant.points),
        "rules": len(plant.rules),
        "plans": len(plant.plans),
        "reads": [_read(use) for use in uses],
        "lines": dict(shares(uses)),
        "missing_secrets": _missing(plant, settings),
        "not_observable": [row for plan in plant.plans.values() for row in _unseen(plant, plan)],
        "rules_without_rationale": [r.id for r in plant.rules.values() if not has_rationale(r)],
    }


def _read(use: Use) -> dict[str, object]:
    return {
        "line": use.line, "device": use.device, "poll": use.poll, "period_s": use.period_s,
        "requests": use.requests, "registers": use.registers, "holes": use.holes,
        "cycle_s": use.cycle_s, "share": use.share, "unread": list(use.unread),
        "asked_again": list(use.again), "asked_again_requests": use.again_requests,
        "plan": [
            {"table": one.table, "first": one.first, "last": one.last, "holes": one.holes, "again": one.again}
            for one in use.asked
        ],
        "proven": use.proven,
    }  # fmt: skip


def _say_reads(uses: Sequence[Use]) -> None:
    """What is read of the lines, how long it takes, and what cannot be read."""
    for row in table(uses) if uses else ():
        print(row)
    for line, share in shares(uses).items():
        if share > TIGHT:
            word = "CANNOT be read at this pace" if share > FULL else "is nearly full"
            print(f"  line {line} {word}: {share:.0%} of its time is needed")
    for use in uses:
        if use.again:
            print(f"  {use.device} {use.poll}: exponents that do not come in one answer with all their values are asked for once more, in {use.again_requests} of the {use.requests} requests: {_few(use.again)}")  # fmt: skip
        if not use.proven:
            print(f"  {use.device} {use.poll}: the plan of reads is good, but not proven to be the best: there are too many exponents to look at every choice")  # fmt: skip
        for point in use.unread:
            print(f"  point {point} is never read: {use.device}'s limits do not let a request hold it")  # fmt: skip


def _say_requests(uses: Sequence[Use]) -> None:
    """The addresses of each request, in the order in which they are asked for."""
    for use in uses:
        said: list[str] = []
        for one in use.asked:
            holes = f" (holes {', '.join(map(_span, one.holes))})" if one.holes else ""
            said.append(f"{'once more ' if one.again else ''}{one.table}:{_span((one.first, one.last))}{holes}")  # fmt: skip
        for line in wrap(f"{use.device} {use.poll} asks for {'; '.join(said)}", 110, initial_indent="  ", subsequent_indent="    "):  # fmt: skip
            print(line)


def _span(ends: tuple[int, int]) -> str:
    first, last = ends
    return str(first) if first == last else f"{first}-{last}"


def _few(names: Sequence[str]) -> str:
    """The first ones, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _unseen(plant: Plant, plan: Plan) -> list[dict[str, str]]:
    """Points that the plan's meter or evidence looks at and its asset has not."""
    duty = plan.duty
    paths = [duty.every.point] if isinstance(duty.every, Meter) else []
    if isinstance(duty.evidence, Ran):
        paths.append(duty.evidence.point)
    if isinstance(duty.evidence, ChangedOver):
        paths += duty.evidence.points
    points = (f"{plan.asset}/{path}" for path in paths)
    return [{"plan": plan.id, "point": point} for point in points if point not in plant.points]


def _missing(plant: Plant, settings: Settings) -> list[str]:
    wanted = [secret for d in plant.devices.values() for secret in d.secrets()] + [
        line.secret for line in plant.lines.values()
    ]
    missing: list[str] = []
    for secret in dict.fromkeys(s for s in wanted if s is not None):
        if not _is_there(secret, settings):
            missing.append(secret.name)
    keys = dict.fromkeys(line.tls.secret for line in plant.lines.values() if line.tls and line.tls.secret)  # fmt: skip
    return missing + [key.name for key in keys if not key_path(key, settings).is_file()]


def _is_there(secret: Secret, settings: Settings) -> bool:
    for folder in (settings.secrets, secrets_folder(settings)):
        with contextlib.suppress(SettingsError):
            read_secret(secret, folder)
            return True
    return False
