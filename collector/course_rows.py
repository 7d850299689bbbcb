"""Courses, and what they say, as the ledger keeps them: plain numbers, lists and words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from collector.domain.courses import Course, Days, Reached, Said
from collector.domain.trends import Baseline, Change, Sums, Trend


def course_data(course: Course) -> dict[str, Any]:
    """A course as JSON can say it."""
    return {
        "until": course.until,
        "reset_at": course.reset_at,
        "states": {
            state: {"trend": asdict(trend), "days": asdict(course.days[state])}
            for state, trend in course.trends.items()
        },
    }


def course_of(data: Mapping[str, Any], step: float) -> Course:
    """The course that `course_data` gave; of a point whose `step` has become another one, with that."""
    states = data["states"]
    return Course(
        int(data["until"]),
        data["reset_at"],
        {state: _trend(row["trend"], step) for state, row in states.items()},
        {state: _days(row["days"]) for state, row in states.items()},
    )


def _trend(row: Mapping[str, Any], step: float) -> Trend:
    return Trend(
        step=step,
        reset_at=row["reset_at"],
        last=row["last"],
        first=tuple(row["first"]),
        baseline=Baseline(**row["baseline"]) if row["baseline"] else None,
        sums=Sums(**row["sums"]),
        change=Change(**row["change"]) if row["change"] else None,
    )


def _days(row: Mapping[str, Any]) -> Days:
    return Days(tuple(row["time"]), tuple(row["value"]), row["day"], tuple(row["values"]))


def said_data(states: Sequence[Said], horizon: int) -> dict[str, Any]:
    """What is said of each state; `suggested`: one of them may reach its limit by `horizon` (UTC ms)."""
    near = [one.reached for one in states if one.reached is not None]
    return {
        "suggested": any(one.time.earliest <= horizon for one in near),
        "states": [_said(one) for one in states],
    }


def _said(one: Said) -> dict[str, Any]:
    return {
        "state": one.state,
        "learnt": one.learnt,
        "days": one.days,
        "baseline": asdict(one.baseline) if one.baseline else None,
        "change": asdict(one.change) if one.change else None,
        "slope": asdict(one.slope) if one.slope else None,
        "refusal": str(one.refusal) if one.refusal else None,
        "reached": _reached(one.reached) if one.reached else None,
    }


def _reached(found: Reached) -> dict[str, Any]:
    return {"limit": found.limit, **asdict(found.time)}
