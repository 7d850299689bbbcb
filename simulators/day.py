"""A quiet day with a few honest faults: the timetable of the demo."""

from collections.abc import Iterator, Mapping

import numpy as np

from config.plant import Asset, Plant
from simulators.estate import Step

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
REPAIR_MS = 90_000
"""From the first fault to its repair: early enough that the order closes within ten minutes."""

Row = tuple[str, Mapping[str, object]]
FAULTS: Mapping[str, tuple[Row, ...]] = {
    "pump": (("trip", {}),),
    "camera": (("no_media", {}), ("unreachable", {})),
    "sump-pit": (("flood", {}),),
    "elevator": (("fault", {}),),
    "fire-panel": (("mains_fault", {}), ("zone_fault", {"zone": 2})),
    "generator": (("battery_flat", {}),),
}
"""Asset class to what may honestly happen to it."""


def honest_faults(plant: Plant, seed: int, start_ms: int, *, hours: int = 24) -> tuple[Step, ...]:
    """What goes wrong, and when it is repaired, from `start_ms` (UTC ms) on.

    After 40 s the duty pump of the first booster set trips and its standby takes over (which also
    proves the changeover of the standby pump); it is repaired 90 s later. After one minute the first
    generator begins a trial run of 12 minutes. From the 15th minute on one fault about every twenty
    minutes, each repaired after 4 to 8 minutes. Without booster sets the first fault is another one.
    """
    rng = np.random.default_rng([seed, 0xDA7])
    steps = [*_first(plant, start_ms), *_trial_run(plant, start_ms)]
    able = [a for a in plant.assets.values() if a.asset_class in FAULTS and _is_alive(plant, a)]
    at = start_ms + 15 * MINUTE_MS
    while able and at < start_ms + hours * HOUR_MS:
        asset = able[int(rng.integers(len(able)))]
        kinds = FAULTS[asset.asset_class]
        kind, options = kinds[int(rng.integers(len(kinds)))]
        end = at + int(rng.integers(4 * MINUTE_MS, 8 * MINUTE_MS))
        steps += [Step(at, "fault", asset.id, kind, options), Step(end, "repair", asset.id, kind)]
        at += int(rng.integers(15 * MINUTE_MS, 25 * MINUTE_MS))
    return tuple(sorted(steps, key=lambda step: step.at_ms))


def _first(plant: Plant, start_ms: int) -> Iterator[Step]:
    """The fault that everybody sees in the first ten minutes."""
    at = start_ms + 40_000
    for asset_class, kind in (
        ("booster-set", "trip"),
        ("sump-pit", "flood"),
        ("elevator", "fault"),
        ("camera", "no_media"),
    ):
        for asset in plant.assets.values():
            if asset.asset_class == asset_class and _is_alive(plant, asset):
                parts = [a.id for a in plant.assets.values() if a.parent == asset.id]
                name = min(parts) if kind == "trip" and parts else asset.id
                yield Step(at, "fault", name, kind)
                yield Step(at + REPAIR_MS, "repair", name, kind)
                return


def _trial_run(plant: Plant, start_ms: int) -> Iterator[Step]:
    for asset in plant.assets.values():
        if asset.asset_class == "generator":
            yield Step(start_ms + MINUTE_MS, "fault", asset.id, "trial_run", {"minutes": 12})
            return


def _is_alive(plant: Plant, asset: Asset) -> bool:
    """Whether a device shows the asset (or what it is part of)."""
    return any(d.asset in (asset.id, asset.parent) for d in plant.devices.values())
