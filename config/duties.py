"""Turns a standard's duties as written into plans of a site's assets."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set

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
    Unit,
)

DAY_S = 86400
USED: Mapping[str, Set[str]] = {
    "fixed": {"anchor"},
    "max_gap": set(),
    "per_period": {"times", "min_spacing"},
    "meter": {"every", "floating", "tolerance"},
}
"""Kind of interval to the keys that it uses beside its own."""
SHORTEST_DAYS = {"week": 7, "half_month": 13, "month": 28}
LONGEST_DAYS = {
    "day": 1, "week": 7, "half_month": 16, "month": 31, "quarter": 92, "half_year": 184, "year": 366,
}  # fmt: skip


def make_interval(text: EveryText) -> Interval | str:
    """The typed interval, or what is wrong with it."""
    kinds = _kinds(text)
    if len(kinds) != 1:
        return f"needs exactly one of {', '.join(USED)}"
    unused = sorted(text.model_fields_set - {kinds[0]} - USED[kinds[0]])
    if unused:
        used = ", ".join((kinds[0], *sorted(USED[kinds[0]])))
        return f"{kinds[0]} does not use {', '.join(unused)}; allowed: {used}"
    return MAKERS[kinds[0]](text)


def _kinds(text: EveryText) -> list[str]:
    return [kind for kind in USED if getattr(text, kind) is not None]


def _fixed(text: EveryText) -> Interval | str:
    if text.anchor is None:
        return "fixed needs an anchor date"
    return Fixed(_period(text.fixed or ""), text.anchor)


def _max_gap(text: EveryText) -> Interval | str:
    gap = text.max_gap or 0.0
    if gap < DAY_S:
        return 'max_gap is under a day; allowed: whole days such as "15 days"'
    days = _whole_days(gap)
    return MaxGap(days) if days is not None else _not_whole("max_gap", gap)


def _per_period(text: EveryText) -> Interval | str:
    unit = text.per_period or "day"
    most = SHORTEST_DAYS.get(unit, text.times)
    if text.times > most:
        return f"times = {text.times} is more than the shortest {unit} has days; allowed: 1..{most}"
    if text.min_spacing is None:
        return PerPeriod(unit, text.times)
    return _spaced(unit, text.times, text.min_spacing)


def _spaced(unit: Unit, times: int, spacing: float) -> Interval | str:
    days = _whole_days(spacing)
    if unit == "day":
        return "min_spacing is not used by duties of each day; allowed: with week and longer"
    if not days:
        return _not_whole("min_spacing", spacing)
    if (times - 1) * days >= LONGEST_DAYS[unit]:
        most = (LONGEST_DAYS[unit] - 1) // (times - 1)
        return f"{times} times in a {unit} are never {days} days apart; allowed: min_spacing up to {most} days"
    return PerPeriod(unit, times, days)


def _meter(text: EveryText) -> Interval | str:
    if text.every is None:
        return "meter needs every = a number"
    return Meter(text.meter or "", text.every, text.floating, text.tolerance)


MAKERS: Mapping[str, Callable[[EveryText], Interval | str]] = {
    "fixed": _fixed, "max_gap": _max_gap, "per_period": _per_period, "meter": _meter,
}  # fmt: skip


def _whole_days(seconds: float) -> int | None:
    """Due dates are counted in whole days; None for anything between."""
    return round(seconds / DAY_S) if seconds % DAY_S == 0 else None


def _not_whole(key: str, seconds: float) -> str:
    return (
        f'{key} of {seconds / DAY_S:g} days: due dates count whole days; allowed: such as "2 days"'
    )


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
        for own, message in _unsound(text):
            mistakes.add(shown, f"{path}.{own}", message)
        interval = make_interval(text.every)
        if isinstance(interval, str):
            mistakes.add(shown, f"{path}.every", interval)
            continue
        for asset in _meant(text.on, assets):
            evidence = _evidence(text.evidence, asset, points)
            if isinstance(evidence, str):
                mistakes.add(shown, f"{path}.evidence", evidence)
                continue
            if message := _not_a_number(interval, asset, points):
                mistakes.add(shown, f"{path}.every", message)
            duty = _duty(standard.standard, key, text, interval, evidence)
            yield Plan(f"{standard.standard}/{key}@{asset.id}", site[0], asset.id, duty, site[1], asset.in_service)  # fmt: skip


def _unsound(text: DutyText) -> Iterator[tuple[str, str]]:
    """Key and message of what can be told of a duty without any asset."""
    if text.closes == "by_readings" and text.evidence is None:
        yield (
            "closes",
            "by_readings needs evidence; allowed: evidence with ran or changed_over, or by_person",
        )
    kinds = _kinds(text.every)
    if text.tolerance is None:
        return
    if kinds and kinds[0] not in ("fixed", "max_gap"):
        yield "tolerance", f"is not used by {kinds[0]}; allowed: with fixed and max_gap"
    if _whole_days(text.tolerance) is None:
        yield "tolerance", _not_whole("tolerance", text.tolerance)


def _not_a_number(interval: Interval, asset: Asset, points: Mapping[str, Point]) -> str:
    """Why the asset's point is no meter; "" where it is, or is not there: then it is not observable."""
    if not isinstance(interval, Meter):
        return ""
    point = points.get(f"{asset.id}/{interval.point}")
    if point is None or point.kind not in ("state", "flag"):
        return ""
    return f"{point.id} is a {point.kind}: a meter needs a counter or a measurement"


def _duty(
    standard: str, key: str, text: DutyText, interval: Interval, evidence: Evidence | None
) -> Duty:
    tolerance = None if text.tolerance is None else _whole_days(text.tolerance)
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
        return _changed_over(text, text.changed_over, asset, points)
    if text.for_at_least is None:
        return 'ran needs for_at_least = "10min"'
    value = _value(text.is_, points.get(f"{asset.id}/{text.ran}"))
    return value if isinstance(value, str) else Ran(text.ran or "", text.for_at_least, value)


def _changed_over(
    text: EvidenceText, paths: Sequence[str], asset: Asset, points: Mapping[str, Point]
) -> Evidence | str:
    if text.for_at_least is not None:
        return "changed_over does not use for_at_least; allowed: changed_over, is"
    there = [points[p] for path in paths if (p := f"{asset.id}/{path}") in points]
    values = [_value(text.is_, point) for point in there] or [_value(text.is_, None)]
    for value in values:
        if isinstance(value, str):
            return value
    numbers = {value for value in values if isinstance(value, int)}
    if len(numbers) > 1:
        return f"{text.is_ or 'running'!r} is not the same number in each of {', '.join(paths)}"
    return ChangedOver(tuple(paths), numbers.pop())


def _value(given: str | int | None, point: Point | None) -> int | str:
    """The number that counts as running; a point that is not there makes the duty unobservable."""
    if point is None:
        return given if isinstance(given, int) else 1
    if point.kind not in ("state", "flag"):
        return f"{point.id} is a {point.kind}: evidence needs a state or a flag"
    numbers = {state.id: number for number, state in point.states.items()}
    if given is None:
        given = "running" if numbers else 1
    if isinstance(given, int) and given in (numbers.values() or (0, 1)):
        return given
    if isinstance(given, str) and given in numbers:
        return numbers[given]
    allowed = ", ".join(f"{number} ({id})" for id, number in numbers.items()) or "0, 1"
    return f"{given!r} is not a state of {point.id}; allowed: {allowed}"
