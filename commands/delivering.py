"""The delivery report: what outboxes made, what the journal accepted, what the store holds."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.adapters.journal_sqlite import SqliteJournal
from collector.counting import Counts
from collector.ports import ReadingStore, Unavailable


def delivery_report(journal: SqliteJournal, store: ReadingStore, lag: int) -> dict[str, Any]:
    """The server's half: per agent, lane and hour what was journalled, missing and set aside.

    `lag` entries are not stored yet. What came before the store's retention is `past_retention` and no
    part of what is compared.
    """
    counts = journal.counts()
    rows = [
        {
            "site": site, "agent": agent, "lane": lane, "hour": hour, "batches": c.batches,
            "journalled": c.readings, "missing_batches": c.missing,
            "set_aside": c.aside, "set_aside_batches": c.aside_batches,
        }
        for (site, agent, lane, hour), c in sorted(counts.items())
    ]  # fmt: skip
    stored: int | None
    try:
        stored, since = store.count(), store.kept_from()
    except Unavailable:
        stored, since = None, -(2**62)
    total = _sum(counts.values())
    past = _sum(c for (*_, hour), c in counts.items() if hour < since)
    compared = total.readings - total.aside - (past.readings - past.aside)
    return {
        "rows": rows,
        "readings": {
            "journalled": total.readings,
            "quarantined": total.aside,
            "stored": stored,
            "waiting_for_store": lag,
            "past_retention": past.readings - past.aside,
            "replaced": None if stored is None or lag else compared - stored,
        },
        "missing_batches": total.missing,
    }


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for one in counts:
        total.add(one)
    return total


@dataclass(frozen=True, slots=True)
class OutboxCount:
    """One agent's half: readings made, sent (given a number), dropped at the cap, still held.

    `since` is the first hour of its books (UTC ms), 0 while they are empty.
    """

    made: int
    sent: int
    dropped: int
    held_batches: int
    since: int = 0


def outbox_counts(data: Path) -> dict[str, OutboxCount]:
    """What the outbox files of a data folder say, by `site.agent`; files are only read."""
    return {path.stem: _outbox(path) for path in sorted((data / "edge").glob("*.outbox"))}


def _outbox(path: Path) -> OutboxCount:
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'counts'").fetchone():
            return OutboxCount(0, 0, 0, 0)  # its agent has only just begun it
        made, sent, since = db.execute("SELECT coalesce(sum(made), 0), coalesce(sum(sent), 0), coalesce(min(hour), 0) FROM counts").fetchone()  # fmt: skip
        held = db.execute("SELECT count(*) FROM batches").fetchone()[0]
        dropped = db.execute("SELECT value FROM meta WHERE name = 'dropped_readings'").fetchone()
        return OutboxCount(made, sent, dropped[0] if dropped else 0, held, since)
    finally:
        db.close()


def whole_report(server: Mapping[str, Any], outboxes: Mapping[str, OutboxCount]) -> dict[str, Any]:
    """Both halves joined.

    `lost` is what agents made and is neither journalled, nor dropped, nor held; `doubled` what is
    journalled beyond that. Both are None while batches are held, and `doubled` is None too where an
    outbox's books begin later than the journal's. A batch that was set aside whole counts as lost:
    nobody can read it.
    """
    readings = dict(server["readings"])
    held = sum(o.held_batches for o in outboxes.values())
    journalled: Counter[str] = Counter()
    since: dict[str, int] = {}
    for row in server["rows"]:
        name = f"{row['site']}.{row['agent']}"
        journalled[name] += row["journalled"]
        since[name] = min(since.get(name, row["hour"]), row["hour"])
    over = {name: journalled[name] + o.dropped - o.made for name, o in outboxes.items()}
    whole = all(o.since <= since.get(name, o.since) for name, o in outboxes.items())
    readings |= {
        "made": sum(o.made for o in outboxes.values()),
        "sent": sum(o.sent for o in outboxes.values()),
        "dropped_at_cap": sum(o.dropped for o in outboxes.values()),
        "held_batches": held,
        "lost": None if held else sum(max(0, -one) for one in over.values()),
        "doubled": None if held or not whole else sum(max(0, one) for one in over.values()),
    }
    agents = {
        name: {"made": o.made, "sent": o.sent, "dropped": o.dropped, "held_batches": o.held_batches}
        for name, o in outboxes.items()
    }
    lanes: dict[str, dict[str, int]] = {}
    for row in server["rows"]:
        lane = lanes.setdefault(f"{row['agent']}/{row['lane']}", {"journalled": 0, "set_aside": 0, "missing_batches": 0})  # fmt: skip
        for name in lane:
            lane[name] += row[name]
    return {"readings": readings, "agents": agents, "lanes": lanes, "rows": server["rows"]}


def proven(readings: Mapping[str, int | None]) -> bool:
    """Whether a report says of every reading that it is there once."""
    return readings["lost"] == 0 and readings["doubled"] == 0
