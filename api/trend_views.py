"""What trends say of points, as HTTP shows it."""

from collections.abc import Mapping
from typing import Any

from api.shapes import ChangeRow, Names, ReachedRow, SlopeRow, TrendList, TrendRow, TrendState
from api.times import shown, text_of
from collector.domain.slopes import DAY_MS, SPAN_MIN_MS
from collector.domain.trends import LEARN_ROWS
from collector.ports import LedgerRow
from config.plant import Plant, Point


def trend_list(plant: Plant, rows: Mapping[str, LedgerRow], asset: str, now: int) -> TrendList:
    """Every watched point of the site, or of one asset and its parts; `rows` by point."""
    watched = [
        point
        for point in plant.points.values()
        if point.spec.trend and (not asset or f"{point.asset}/".startswith(f"{asset}/"))
    ]
    return {
        "now": text_of(now),
        "learn_rows": LEARN_ROWS,
        "days_needed": SPAN_MIN_MS // DAY_MS + 1,  # so far apart are the noons of one day more
        "items": [_trend(plant, point, rows.get(point.id)) for point in watched],
    }


def _trend(plant: Plant, point: Point, row: LedgerRow | None) -> TrendRow:
    data = row.data if row else {}
    by = plant.state_of(point)
    horizon_s = point.spec.trend.horizon_s if point.spec.trend else 0.0
    return {
        "point": point.id,
        "asset": point.asset,
        "unit": point.unit,
        "by": by.id if by else None,
        "horizon_s": horizon_s,
        "at": shown(data.get("at")),
        "suggested": bool(data.get("suggested")),
        "states": [_state(by, one) for one in data.get("states", ())],
    }


def _state(by: Point | None, said: Mapping[str, Any]) -> TrendState:
    baseline = said["baseline"] or {}
    return {
        "state": _name(by, said["state"]),
        "learnt": said["learnt"],
        "days": said["days"],
        "mean": baseline.get("mean"),
        "sigma": baseline.get("sigma"),
        "change": _change(said["change"]),
        "slope": _slope(said["slope"]),
        "refusal": said["refusal"],
        "reached": _reached(said["reached"]),
    }


def _name(by: Point | None, state: str) -> Names | None:
    """The state's own names; of a flag, or a state the profile has no word for, its number."""
    if by is None:
        return None
    known = by.states.get(int(state))
    return dict(known.names) if known else {"en": f"{by.name['en']} {state}"}


def _change(found: Mapping[str, Any] | None) -> ChangeRow | None:
    if found is None:
        return None
    return {"seen_at": text_of(found["at"]), "since": text_of(found["since"]), "up": found["up"]}


def _slope(found: Mapping[str, Any] | None) -> SlopeRow | None:
    if found is None:
        return None
    return {
        "per_day": found["per_day"],
        "low": found["low"],
        "high": found["high"],
        "level": found["level"],
        "at": text_of(found["at"]),
    }


def _reached(found: Mapping[str, Any] | None) -> ReachedRow | None:
    if found is None:
        return None
    return {
        "limit": found["limit"],
        "earliest": text_of(found["earliest"]),
        "latest": shown(found["latest"]),
    }
