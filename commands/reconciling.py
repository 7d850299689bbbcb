"""Outboxes and journal compared up to the numbers that both know: who made what, what came, and where a difference is. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, NamedTuple

from config.plant import STEWARD


class HeldBatch(NamedTuple):
    """A batch that an outbox still holds; without lane and number it was not sent yet."""

    lane: str | None
    seq: int | None
    readings: int


class HourMade(NamedTuple):
    """Readings of one lane in one hour (UTC ms of its start, by time of making)."""

    hour: int
    lane: str
    made: int
    sent: int
    thinned: int


@dataclass(frozen=True)
class OutboxCount:
    """One agent's half, of one moment. `marks` are the highest numbers known to be journalled, by lane."""

    epoch: str
    hours: tuple[HourMade, ...]
    dropped: int
    held: tuple[HeldBatch, ...]
    marks: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def made(self) -> int:
        """Readings ever made."""
        return sum(hour.made for hour in self.hours)

    @cached_property
    def sent(self) -> int:
        """Readings ever given a number; what an old copy made be numbered anew counts again."""
        return sum(hour.sent for hour in self.hours)

    @property
    def held_batches(self) -> int:
        """Batches not known to be journalled."""
        return len(self.held)

    @property
    def since(self) -> int:
        """The first hour of its books (UTC ms), 0 while they are empty."""
        return min((hour.hour for hour in self.hours), default=0)


NOTHING_MADE = OutboxCount("", (), 0, ())
WRONG: Final = ("lost", "doubled", "unstored", "refused", "gone")
"""What a report must say 0 of."""


@dataclass(slots=True)
class _Cut:
    """One agent, up to the numbers that both sides knew at one moment; readings by lane where it says so.

    `uncounted` were made before the journal's counts of it begin: they may have come in hours whose counts are lost.
    """

    sent: Counter[str]
    journalled: Counter[str]
    due: int
    uncounted: int

    @property
    def over(self) -> int:
        """Readings journalled beyond what was made, below 0: so many are not there."""
        return self.journalled.total() - self.due

    @property
    def unknown(self) -> int:
        """So many of those that are not there may have come."""
        return min(max(0, -self.over), self.uncounted)

    @property
    def lost(self) -> int:
        """At least so many did not."""
        return max(0, -self.over) - self.unknown


def whole_report(
    server: Mapping[str, Any], outboxes: Mapping[str, OutboxCount], tail: Iterable[Sequence[Any]] = ()
) -> dict[str, Any]:  # fmt: skip
    """Both halves joined: the server's, then what outboxes said after it, then what was journalled meanwhile (`tail`).

    An agent's batches are compared up to the higher of two numbers per lane: what the outbox knew to be
    journalled, and what was journalled when the server was asked. All up to there is journalled by the
    time of the tail, and what the outbox holds beyond it is neither lost nor there yet. So agents
    may go on meanwhile. `lost` is what was made and is neither journalled, nor dropped, nor held, None where
    that may have come before the journal's counts of an agent begin (what is certainly lost is told all the same);
    `doubled` what is journalled beyond that, None where an outbox's books begin later than the journal's. A
    batch that was set aside whole counts as lost: nobody can read it. Agents whose outboxes are on other
    machines are `not_compared`; where all are, nothing is known. Nor is it where the journal's counts cannot be read.
    """
    is_counted = server["readings"]["journalled"] is not None
    since: dict[str, int] = {}
    for row in server["rows"]:
        name = f"{row['site']}.{row['agent']}"
        since[name] = min(since.get(name, row["hour"]), row["hour"])
    cuts = _cuts(server, outboxes, tail, since) if is_counted else {}
    whole = all(o.since <= since.get(name, o.since) for name, o in outboxes.items())
    elsewhere = sorted(since.keys() - outboxes.keys() - {name for name in since if name.endswith(f".{STEWARD}")})  # fmt: skip
    compared = is_counted and (bool(outboxes) or not elsewhere)
    readings = dict(server["readings"]) | {
        "made": sum(o.made for o in outboxes.values()),
        "sent": sum(o.sent for o in outboxes.values()),
        "dropped_at_cap": sum(o.dropped for o in outboxes.values()),
        "held_batches": sum(o.held_batches for o in outboxes.values()),
        "lost": _lost(cuts.values()) if compared else None,
        "doubled": sum(max(0, cut.over) for cut in cuts.values()) if whole and compared else None,
    }
    agents = {
        name: {"made": o.made, "sent": o.sent, "dropped": o.dropped, "held_batches": o.held_batches}
        for name, o in outboxes.items()
    }
    rows = _rows(server["rows"], outboxes)
    return {
        "readings": readings, "agents": agents, "lanes": _lanes(server["rows"]), "rows": rows,
        "not_compared": elsewhere,
        "differences": [d for name, cut in cuts.items() for d in _differences(name, cut, rows)],
        "unknown": [*server.get("unknown", ()), *_uncounted(cuts, outboxes, since)],
    }  # fmt: skip


def _lost(cuts: Collection[_Cut]) -> int | None:
    """Of all agents; what is certain is not hidden by what is unknown."""
    certain = sum(cut.lost for cut in cuts)
    return None if not certain and any(cut.unknown for cut in cuts) else certain


def _uncounted(
    cuts: Mapping[str, _Cut], outboxes: Mapping[str, OutboxCount], since: Mapping[str, int]
) -> list[str]:
    return [
        f"whether {cut.unknown} readings of {name} are lost: its outbox counts from {_utc(outboxes[name].since)} on, the journal {_counts(since.get(name))}"
        for name, cut in cuts.items()
        if cut.unknown
    ]


def _counts(since: int | None) -> str:
    return "has no counts of it" if since is None else f"from {_utc(since)} on"


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="minutes")


def _cuts(
    server: Mapping[str, Any], outboxes: Mapping[str, OutboxCount],
    tail: Iterable[Sequence[Any]], since: Mapping[str, int],
) -> dict[str, _Cut]:  # fmt: skip
    marks: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for site, agent, epoch, lane, number in server.get("marks", ()):
        marks[f"{site}.{agent}", epoch][lane] = number
    journalled: dict[str, Counter[str]] = defaultdict(Counter)
    for row in server["rows"]:
        journalled[f"{row['site']}.{row['agent']}"][row["lane"]] += row["journalled"]
    upto = {name: _up_to(o, marks[name, o.epoch]) for name, o in outboxes.items()}
    for site, agent, epoch, lane, seq, readings in tail:
        name = f"{site}.{agent}"
        if name in outboxes and epoch == outboxes[name].epoch and seq <= upto[name].get(lane, 0):
            journalled[name][lane] += readings
    return {
        name: _cut(o, upto[name], journalled[name], since.get(name)) for name, o in outboxes.items()
    }


def _up_to(outbox: OutboxCount, marks: Mapping[str, int]) -> dict[str, int]:
    lanes = {*outbox.marks, *marks}
    return {lane: max(outbox.marks.get(lane, 0), marks.get(lane, 0)) for lane in lanes}


def _cut(outbox: OutboxCount, upto: Mapping[str, int], journalled: Counter[str], since: int | None) -> _Cut:  # fmt: skip
    sent: Counter[str] = Counter()
    for hour in outbox.hours:
        sent[hour.lane] += hour.sent
    due = outbox.made - outbox.dropped
    for lane, seq, readings in outbox.held:
        if lane is None or seq is None:
            due -= readings
        elif seq > upto.get(lane, 0):
            due -= readings
            sent[lane] -= readings
    before = sum(hour.made for hour in outbox.hours if since is None or hour.hour < since)
    return _Cut(sent, journalled, due, before)


def _lanes(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    lanes: dict[str, dict[str, int]] = {}
    for row in rows:
        lane = lanes.setdefault(f"{row['agent']}/{row['lane']}", {"journalled": 0, "set_aside": 0, "missing_batches": 0})  # fmt: skip
        for name in lane:
            lane[name] += row[name]
    return lanes


_NONE_JOURNALLED: Mapping[str, int] = {
    "batches": 0, "journalled": 0, "missing_batches": 0, "set_aside": 0, "set_aside_batches": 0, "stored": 0, "unstored": 0,
}  # fmt: skip


def _rows(
    rows: Iterable[Mapping[str, Any]], outboxes: Mapping[str, OutboxCount]
) -> list[dict[str, Any]]:
    """The server's rows with what the outboxes made, sent and thinned in the same hour and lane.

    Made is by time of making and on `event` or `data`; sent by time of making and the lane it went;
    journalled by time of arrival: of one hour they differ by what was under way at its ends.
    """
    made = {
        (*name.split(".", 1), hour.lane, hour.hour): {"made": hour.made, "sent": hour.sent, "thinned": hour.thinned}
        for name, o in outboxes.items()
        for hour in o.hours
    }  # fmt: skip
    known = {(row["site"], row["agent"], row["lane"], row["hour"]): row for row in rows}
    return [
        {
            **dict(zip(("site", "agent", "lane", "hour"), key, strict=True)),
            **_NONE_JOURNALLED,
            **known.get(key, {}),
            **made.get(key, {"made": 0, "sent": 0, "thinned": 0}),
        }
        for key in sorted({*made, *known})
    ]


def _differences(name: str, cut: _Cut, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lanes in which what was sent and what is journalled differ, each with the hour from which on it may have begun."""
    site, _, agent = name.partition(".")
    found = []
    for lane in sorted({*cut.sent, *cut.journalled} - {""}):
        difference = cut.sent[lane] - cut.journalled[lane]
        if difference:
            own = [r for r in rows if (r["site"], r["agent"], r["lane"]) == (site, agent, lane)]
            found.append({
                "site": site, "agent": agent, "lane": lane, "sent": cut.sent[lane], "journalled": cut.journalled[lane],
                "difference": difference, "from_hour": from_hour(own, difference), "what": _what(difference, cut),
            })  # fmt: skip
    return found


def from_hour(rows: Sequence[Mapping[str, Any]], difference: int) -> int | None:
    """The first hour from which on, to the end, the whole difference was outstanding; None: at no hour's end.

    `rows` of one lane, by hour. What is under way at an hour's end only adds to what is lost, so no reading
    of the loss is missing before that hour's begin; a doubling may show an hour late.
    """
    first, outstanding = None, 0
    for row in rows:
        outstanding += row["sent"] - row["journalled"]
        beyond = outstanding >= difference if difference > 0 else outstanding <= difference
        if not beyond:
            first = None
        elif first is None:
            first = row["hour"]
    return first


def _what(difference: int, cut: _Cut) -> str:
    """`lost` and `doubled` where the agent's readings as a whole say so; else they went under other numbers."""
    if difference > 0 and cut.over < 0:
        return "lost" if cut.lost else "not counted"
    if difference < 0 and cut.over > 0:
        return "doubled"
    return "numbered anew"


def proven(readings: Mapping[str, int | None]) -> bool:
    """Whether a report says of every reading that it is there once."""
    return all(readings[name] == 0 for name in WRONG)
