"""Turns a standard's duties as written into plans of a site's assets."""

from collections.abc import Iterator, Mapping

from config.files import DutyText, EveryText, EvidenceText, StandardFile
from config.mistakes import Mistakes
from config.plant import Asset, Point
from config.standards import (
    ChangedOver,
    Duty,
    Evidence,
    Fixed,
    Interval,
    MaxGap,
    Meter,
    Period,
    PerPeriod,
    Plan,
    Ran,
)

DAY_S = 86400
KINDS = ("fixed", "max_gap", "per_period", "meter")


def make_interval(text: EveryText) -> Interval | str:
    """The typed interval, or what is wrong with it."""
    given = [kind for kind in KINDS if getattr(text, kind) is not None]
    if len(given) != 1:
        return f"needs exactly one of {', '.join(KINDS)}"
    if text.fixed is not None:
        if text.anchor is None:
            return "fixed needs an anchor date"
        return Fixed(_period(text.fixed), text.anchor)
    if text.max_gap is not None:
        return MaxGap(round(text.max_gap / DAY_S)) if text.max_gap >= DAY_S else "max_gap is under a day"  # fmt: skip
    if text.per_period is not None:
        spacing = round(text.min_spacing / DAY_S) if text.min_spacing is not None else None
        return PerPeriod(text.per_period, text.times, spacing)
    if text.every is None:
        return "meter needs every = a number"
    return Meter(text.meter or "", text.every, text.floating, text.tolerance)


def _period(text: str) -> Period:
    number, _, unit = text.partition(" ")
    unit = unit.removesuffix("s")
    if unit == "quarter":
        return Period(3 * int(number), "month")
    if unit == "day":
        return Period(int(number), "day")
    if unit == "week":
        return Period(int(number), "week")
    return Period(int(number), "month") if unit == "month" else Period(int(number), "year")


def make_plans(
    standard: StandardFile,
    shown: str,
    site: tuple[str, str],
    assets: Mapping[str, Asset],
    points: Mapping[str, Point],
    mistakes: Mistakes,
) -> Iterator[Plan]:
    """Plans of every duty on every asset it is for. `site` is (id, first day of plans or "")."""
    for key, text in standard.duties.items():
        path = f"duties.{key}"
        interval = make_interval(text.every)
        if isinstance(interval, str):
            mistakes.add(shown, f"{path}.every", interval)
            continue
        for asset in _meant(text.on, assets):
            evidence = _evidence(text.evidence, asset, points)
            if isinstance(evidence, str):
                mistakes.add(shown, f"{path}.evidence", evidence)
                continue
            duty = _duty(standard.standard, key, text, interval, evidence)
            id = f"{standard.standard}/{key}@{asset.id}"
            yield Plan(id, site[0], asset.id, duty, site[1], asset.in_service)


def _duty(
    standard: str, key: str, text: DutyText, interval: Interval, evidence: Evidence | None
) -> Duty:
    tolerance = None if text.tolerance is None else round(text.tolerance / DAY_S)
    return Duty(
        id=key, standard=standard, name=text.name.table(), on=text.on, every=interval,
        source=tuple(text.source), evidence=evidence, closes=text.closes,
        statutory=text.statutory, tolerance_days=tolerance,
    )  # fmt: skip


def _meant(on: str, assets: Mapping[str, Asset]) -> Iterator[Asset]:
    kind, _, wanted = on.partition(":")
    for asset in assets.values():
        value = {"class": asset.asset_class, "system": asset.system, "asset": asset.id}[kind]
        if value == wanted and not (kind == "system" and asset.parent):
            yield asset


def _evidence(
    text: EvidenceText | None, asset: Asset, points: Mapping[str, Point]
) -> Evidence | str | None:
    if text is None:
        return None
    if (text.ran is None) == (text.changed_over is None):
        return "needs exactly one of ran, changed_over"
    if text.changed_over is not None:
        paths = tuple(text.changed_over)
        value = _value(text.is_, points.get(f"{asset.id}/{paths[0]}"))
        return value if isinstance(value, str) else ChangedOver(paths, value)
    if text.for_at_least is None:
        return 'ran needs for_at_least = "10min"'
    value = _value(text.is_, points.get(f"{asset.id}/{text.ran}"))
    return value if isinstance(value, str) else Ran(text.ran or "", text.for_at_least, value)


def _value(given: str | int | None, point: Point | None) -> int | str:
    """The number that counts as running; a point that is not there makes the duty unobservable."""
    if isinstance(given, int):
        return given
    if point is None or not point.states:
        return 1
    numbers = {state.id: number for number, state in point.states.items()}
    wanted = given or "running"
    if wanted in numbers:
        return numbers[wanted]
    return f"{wanted!r} is not a state of {point.id}; allowed: {', '.join(sorted(numbers))}"
