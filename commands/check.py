"""`steward check PLANT`: is everything that people wrote sound, and what will be read how."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from commands.serving import endpoints
from config.load import load_plant
from config.plant import Device, Plant, Secret
from config.profile import Register
from config.rules import has_rationale
from config.settings import Settings, SettingsError, read_secret, read_settings
from config.standards import ChangedOver, Meter, Plan, Ran
from edge.registers import LinkCost, plan_reads

EXAMPLE = "check config/plants/riverside"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", help="folder of the plant")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """0 when sound; 2 with every mistake, its file and path."""
    settings = read_settings()
    folder = Path(arguments.plant)
    if not folder.is_dir():
        print(f"steward check: {folder} is no folder; a plant is a folder with plant.toml in it", file=sys.stderr)  # fmt: skip
        return 2
    plant = load_plant(folder, endpoints=endpoints(settings))
    found = _found(plant, settings)
    if arguments.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    print(
        f"{plant.site}: {found['devices']} devices, {found['points']} points, {found['rules']} rules, {found['plans']} plans; sound"
    )
    for row in found["reads"]:
        print(
            f"  {row['device']:16} {row['poll']:8} every {row['period_s']:g} s: {row['requests']} requests, {row['registers']} registers or bits"
        )
    for name in found["missing_secrets"]:
        print(f"  secret {name} is missing: write it to {settings.secrets / name}")
    for row in found["not_observable"]:
        print(f"  plan {row['plan']} is not observable: there is no point {row['point']}")
    if found["rules_without_rationale"]:
        print(
            f"  {len(found['rules_without_rationale'])} rules say no cause, consequence and action"
        )
    return 0


def _found(plant: Plant, settings: Settings) -> dict[str, Any]:
    return {
        "site": plant.site,
        "devices": len(plant.devices),
        "points": len(plant.points),
        "rules": len(plant.rules),
        "plans": len(plant.plans),
        "reads": [row for device in plant.devices.values() for row in _reads(plant, device)],
        "missing_secrets": _missing(plant, settings),
        "not_observable": [row for plan in plant.plans.values() for row in _unseen(plant, plan)],
        "rules_without_rationale": [r.id for r in plant.rules.values() if not has_rationale(r)],
    }


def _reads(plant: Plant, device: Device) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    own = [
        p for p in plant.points.values() if p.device == device.id and isinstance(p.source, Register)
    ]
    for poll in dict.fromkeys(p.poll for p in own):
        points = [p for p in own if p.poll == poll]
        requests = plan_reads(points, plant.limits_of(device.id), LinkCost())
        rows.append(
            {
                "device": device.id, "poll": poll, "period_s": plant.poll_classes[poll],
                "requests": len(requests), "registers": sum(r.count for r in requests),
            }
        )  # fmt: skip
    return rows


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
    wanted = [d.secret for d in plant.devices.values()] + [
        line.secret for line in plant.lines.values()
    ]
    missing: list[str] = []
    for secret in dict.fromkeys(s for s in wanted if s is not None):
        if not _is_there(secret, settings):
            missing.append(secret.name)
    return missing


def _is_there(secret: Secret, settings: Settings) -> bool:
    try:
        read_secret(secret, settings.secrets)
    except SettingsError:
        return False
    return True
