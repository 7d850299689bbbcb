"""The delivery report: what outboxes made, what the journal accepted, what the store holds."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from collector.counting import HOUR_MS, Counts, count_key
from collector.ports import JUMP, CountKey, Entry, ReadingStore, Unavailable
from commands.journals import AnyJournal
from commands.reconciling import NOTHING_MADE, HeldBatch, HourMade, OutboxCount
from config.plant import STEWARD

TAIL_MAX: Final = 20_000
"""Entries behind a moment that are told one by one; behind more nothing can be said of that moment."""
ASKED_MAX: Final = 5
_NEVER: Final = 2**62


def delivery_report(
    journal: AnyJournal, store: ReadingStore, position: Callable[[], int]
) -> dict[str, Any]:
    """The server's half: per agent, lane and hour what was journalled, missing and set aside.

    `position` tells up to which journal position the store has everything, where the store cannot say. `derived`
    are those of what is journalled that were made here. `kept_from` is the time of the first readings that are
    kept, 0: all. `unstored` are journalled, not set aside, not waiting, and were never given to the store: lost.
    None: nobody knows. `refused` were given to it, and it will never take them: lost too. `replaced` were given to
    it and are no more: another one of the same time came later, or they came behind retention; None where some are
    `gone`, which were, at most so many, in files of the store that are not there any more: lost. `past_retention`
    came in hours before the one from which readings are kept. Where there are some, `replaced` is None: the
    journal counts by when readings came, the store keeps them by when they were taken, and nobody knows how many
    came after that hour and were taken before. `position` and `marks` are the moment of all counts. `unknown` says
    in words what nobody knows though it should be known: counts that cannot be read make all None that needs them,
    and where a store was given more than was journalled, or holds more than it was given, nobody knows what it lacks.
    `stored` and `unstored` of a row are of its agent, lane and hour; None where the store counts from later on.
    """
    held = _held(store, position)
    now = journal.standing()
    counts = now.counts or {}
    try:
        since = store.kept_from()
    except Unavailable:
        since = -_NEVER
    total = _sum(counts.values())
    past = _sum(c for (*_, hour), c in counts.items() if hour < since)
    due = total.readings - total.aside
    waiting = _waiting(journal, held.position, now.last)
    unstored = _less(due, held.taken, held.refused, _readings(waiting))
    rows = _rows(counts, held, waiting)
    known = not (past.readings or held.gone or held.taken is None)
    replaced = _less(held.taken or 0, held.stored) if known else None
    if now.counts is None:
        unknown = [f"what was journalled, and so what is lost: the journal's counts cannot be read ({now.trouble}); mend or move that file away"]  # fmt: skip
    else:
        unknown = _too_many(unstored, replaced)
    if held.trouble:
        unknown.append(f"what the store holds: {held.trouble}")
    return {
        "rows": rows,
        "readings": {
            "journalled": total.readings,
            "derived": _sum(c for (_, agent, *_), c in counts.items() if agent == STEWARD).readings,
            "quarantined": total.aside,
            "stored": held.stored,
            "waiting_for_store": max(0, now.last - held.position) % JUMP if waiting is None else len(waiting),
            "unstored": _if_any(unstored),
            "refused": held.refused,
            "gone": held.gone,
            "past_retention": past.readings - past.aside,
            "replaced": _if_any(replaced),
        } | (dict.fromkeys(_OF_COUNTS) if now.counts is None else {}),
        "missing_batches": None if now.counts is None else total.missing,
        "kept_from": max(since, 0),
        "position": now.last,
        "marks": [[*key, number] for key, number in sorted(now.marks.items())],
        "unknown": unknown,
    }  # fmt: skip


_OF_COUNTS: Final = ("journalled", "derived", "quarantined", "unstored", "past_retention", "replaced")  # fmt: skip


class _Held(NamedTuple):
    """What the store has and what it was ever given, up to a journal position; None: nobody knows."""

    stored: int | None
    taken: int | None
    refused: int | None
    position: int
    given: Mapping[CountKey, int] | None = None
    gone: int | None = None
    trouble: str = ""

    def given_since(self) -> int:
        """The first hour of which it is known who gave what: an older version did not count that."""
        if self.given is None:
            return _NEVER
        hours = [hour for *_, hour in self.given]
        if sum(self.given.values()) == (self.taken or 0) + (self.refused or 0):
            return -_NEVER
        return min(hours) + HOUR_MS if hours else _NEVER


def _rows(
    counts: Mapping[CountKey, Counts], held: _Held, waiting: Sequence[Entry] | None
) -> list[dict[str, Any]]:
    """What of each agent, lane and hour is journalled, and what of it the store was given."""
    due: Counter[CountKey] = Counter()
    for entry in waiting or ():
        due[count_key(entry)] += _kept(entry)
    since, given, rows = held.given_since(), held.given or {}, []
    for key, c in sorted(counts.items()):
        site, agent, lane, hour = key
        stored = given.get(key, 0) if hour >= since else None
        parts = (c.aside, due[key], stored)
        rows.append({
            "site": site, "agent": agent, "lane": lane, "hour": hour, "batches": c.batches,
            "journalled": c.readings, "missing_batches": c.missing,
            "set_aside": c.aside, "set_aside_batches": c.aside_batches,
            "stored": stored, "unstored": None if waiting is None else _less(c.readings, *parts),
        })  # fmt: skip
    return rows


def _held(store: ReadingStore, position: Callable[[], int]) -> _Held:
    """One moment of the store: nothing is known while it takes some all the time."""
    try:
        for _ in range(ASKED_MAX):
            before = store.cursor()
            refused = getattr(store, "refused", 0)  # known since it was asked for its cursor
            counts = store.count(), store.taken()  # first: files that went are noticed by it
            held = _Held(*counts, refused, before, store.given(), store.lost())
            if store.cursor() == before:
                return held
    except Unavailable as error:
        return _Held(None, None, None, position(), trouble=str(error))
    return _Held(None, None, None, before)


def _less(whole: int, *parts: int | None) -> int | None:
    """What is left, below 0: the parts are more than the whole; None where a part is not known."""
    left = whole
    for part in parts:
        if part is None:
            return None
        left -= part
    return left


def _if_any(left: int | None) -> int | None:
    return left if left is not None and left >= 0 else None


def _too_many(unstored: int | None, replaced: int | None) -> list[str]:
    """Of what is below 0."""
    found = []
    if unstored is not None and unstored < 0:
        found.append(f"what did not reach the store: it was given, or is to be given, {-unstored} readings more than are counted as journalled; the journal's counts or its newest file were lost, or the store is not of this journal")  # fmt: skip
    if replaced is not None and replaced < 0:
        found.append(f"what was replaced in the store: it holds {-replaced} readings more than it was ever given; something else wrote into it, or it was put back with a state of another day")  # fmt: skip
    return found


def _waiting(journal: AnyJournal, position: int, last: int) -> list[Entry] | None:
    """What the journal has behind `position` up to `last`; None: too many to tell."""
    found = journal.read_from(position, TAIL_MAX)
    if len(found) == TAIL_MAX and found[-1][0] < last:
        return None
    return [entry for at, entry in found if at <= last]


def _readings(entries: list[Entry] | None) -> int | None:
    """How many are in them, without those set aside."""
    return None if entries is None else sum(map(_kept, entries))


def _kept(entry: Entry) -> int:
    """What an entry adds to the readings that go to the store."""
    signs = {"batch": entry.readings, "aside": -entry.readings}
    return signs.get(entry.kind, 0)


def delivery_since(journal: AnyJournal, position: int) -> dict[str, Any]:
    """Batches journalled behind `position`, one by one; `whole` is False where there are more than are told."""
    found = journal.read_from(position, TAIL_MAX)
    rows = [
        [e.site, e.agent, e.epoch, e.lane, e.seq, e.readings] for _, e in found if e.kind == "batch"
    ]
    return {"batches": rows, "whole": len(found) < TAIL_MAX}


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for one in counts:
        total.add(one)
    return total


def outbox_counts(data: Path) -> dict[str, OutboxCount]:
    """What the outbox files of a data folder say, by `site.agent`; files are only read."""
    return {path.stem: _outbox(path) for path in sorted((data / "edge").glob("*.outbox"))}


def _outbox(path: Path) -> OutboxCount:
    """One moment of a file, whatever its agent writes meanwhile."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5, isolation_level=None)
    try:
        db.execute("BEGIN")
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'counts'").fetchone():
            return NOTHING_MADE  # its agent has only just begun it
        hours = tuple(HourMade(*row) for row in db.execute("SELECT hour, lane, made, sent, thinned FROM counts"))  # fmt: skip
        meta = {name: (value, text) for name, value, text in db.execute("SELECT * FROM meta")}
        held = tuple(HeldBatch(*row) for row in db.execute("SELECT lane, seq, readings FROM batches"))  # fmt: skip
        marks = dict(db.execute("SELECT lane, committed FROM lanes"))
    finally:
        db.close()
    dropped = meta.get("dropped_readings", (0, ""))[0]
    return OutboxCount(meta.get("epoch", (0, ""))[1], hours, dropped, held, marks)
