"""Malformed messages in the middle of good ones: each is judged as it should be and hurts nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.memory_journal import MemoryJournal
from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.adapters.store_duckdb import DuckDbStore
from collector.alarming import Alarming
from collector.counting import Counts
from collector.ingest import Ingest
from collector.live import LiveTable
from collector.ports import Message, ReadingStore
from collector.projecting import Projecting, inline
from config.clock import SteppedClock
from config.plant import Plant
from config.rules import Level, Rule
from edge.readings import LANES, QUALITY_NAMES, Committed, Request, decode
from tests.pipeline.malformed import AT, BATCHES, Came, Case, Row
from tests.pipeline.malformed_others import OTHERS
from tests.unit.collector.feeding import SITE, T0, Source, Store, batch, birth, plant

CASES = [*BATCHES, *OTHERS]
INDEX = {"pump/flow": 0, "fan/speed": 0}


def watched() -> Plant:
    """Two agents, and an alarm on each point that the good readings speak of."""
    rules = {
        f"high-{point}": Rule(
            id=f"high-{point}", site=SITE, asset=point.split("/")[0], point=point,
            name={"en": point}, kind="limit", alarm_class="equipment", priority="high",
            levels=(Level("high", 100.0, "high"),), deadband=1.0, version="1",
        )
        for point in INDEX
    }  # fmt: skip
    return replace(plant(), rules=rules)


class Site:
    """A collector over twins, and two honest agents who go on where they are told to."""

    def __init__(
        self,
        journal: MemoryJournal | SqliteJournal | None = None,
        store: Store | ReadingStore | None = None,
    ) -> None:
        self.clock = SteppedClock(T0)
        self.source = Source()
        self.journal = journal or MemoryJournal()
        self.store = store or Store()
        self.decisions = MemoryDecisions()
        self.live = LiveTable([watched()], life=1)
        self.alarming = Alarming([watched()], self.live, self.decisions, MemoryAsks())
        self.alarming.restore()
        self.projecting = Projecting(self.journal, self.store, self.live, inline, self.clock)
        self.ingest = Ingest(
            self.source, self.journal, self.live, [self.alarming], [watched()], self.clock,
            self.projecting,
        )  # fmt: skip
        self.ingest.restore()
        self.made: list[Row] = []

    async def born(self) -> None:
        await self.ingest.take(
            [
                birth("pump/flow", "pump/pressure", "pump/old", retired=[2]),
                birth("fan/speed", agent="a2", epoch="E1"),
            ]
        )

    async def good(self, at: int, value: float) -> None:
        """A good reading on every lane of the one agent and on one of the other, all committed."""
        sent = [("a1", lane, "pump/flow") for lane in LANES] + [("a2", "data", "fan/speed")]
        numbers = [self.mark(agent, lane) + 1 for agent, lane, _ in sent]
        await self.ingest.take(
            [
                self.made_by(agent, lane, point, (number, at + place, value + place))
                for place, ((agent, lane, point), number) in enumerate(
                    zip(sent, numbers, strict=True)
                )
            ]
        )
        assert [self.mark(agent, lane) for agent, lane, _ in sent] == numbers

    def made_by(
        self, agent: str, lane: str, point: str, reading: tuple[int, int, float]
    ) -> Message:
        """A good batch of one reading (number, time, value), noted as made."""
        number, time, value = reading
        self.made.append((point, time, value, "good"))
        return batch(number, (INDEX[point], value), agent=agent, lane=lane, at=time)

    async def hear(self, case: Case, number: int | None = None) -> None:
        """The case in one piece of the socket with good batches of the other agent around it."""
        others = self.mark("a2", "data")
        time = self.made[-1][1] + 1 if self.made else T0
        await self.ingest.take(
            [
                self.made_by("a2", "data", "fan/speed", (others + 1, time, 3.0)),
                *(Message(t, renumbered(p, number), AT) for t, p in case.sent),
                self.made_by("a2", "data", "fan/speed", (others + 2, time + 1, 4.0)),
            ]
        )
        assert self.mark("a2", "data") == others + 2

    def mark(self, agent: str, lane: str) -> int:
        """What this agent was last told of its lane."""
        told = [p for t, p, _ in self.source.sent if t.endswith(f"/{agent}/committed")]
        return int(getattr(decode(told[-1], Committed), lane))

    def total(self) -> Counts:
        total = Counts()
        for counts in self.journal.counts().values():
            total.add(counts)
        return total

    def alarms(self) -> list[tuple[str, int]]:
        return [(e.kind, e.at) for e in self.decisions.since(0)]


def renumbered(payload: bytes, number: int | None) -> bytes:
    """The same batch as the next one of its lane, so that it is looked into and no repeat."""
    return payload.replace(b'"s":2,', b'"s":%d,' % number) if number else payload


def stored(store: Store) -> list[Row]:
    return sorted(
        ((p, t, None if v != v else v, QUALITY_NAMES.get(q, str(q))) for p, t, v, q in store.rows),
        key=str,
    )


NOTHING = Case("nothing", (), Came())


async def disturbed(case: Case = NOTHING) -> tuple[Site, "Seen"]:
    """Good readings, a case, good readings again; and what was seen right after the case."""
    site = Site()
    await site.born()
    await site.good(T0, 1.0)
    await site.hear(case)
    seen = Seen(site, case.lane)
    await site.good(AT + 1_000, 20.0)
    await site.good(AT + 2_000, 200.0)
    await site.projecting.drain()
    return site, seen


class Seen:
    """What became of a case itself, in the terms of `Came`."""

    def __init__(self, site: Site, lane: str) -> None:
        self.mark = site.mark("a1", lane) - 1
        self.asides = [e for _, e in site.journal.read_from(0, 10**6) if e.kind == "aside"]
        self.readings = sum(entry.readings for entry in self.asides)
        self.counts = dict(site.ingest.receiving.counts)
        self.asked = [decode(p, Request).what for t, p, _ in site.source.sent if "/request" in t]
        self.missing = site.total().missing


@pytest.fixture
async def undisturbed() -> Site:
    return (await disturbed())[0]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_a_malformed_message_is_judged_and_hurts_nothing_else(
    case: Case, undisturbed: Site
) -> None:
    site, seen = await disturbed(case)
    came = case.came
    assert (seen.mark, seen.readings, seen.missing) == (came.mark, came.readings, came.missing)
    assert all(came.said in entry.reason for entry in seen.asides), seen.asides
    assert bool(seen.asides) == bool(came.said)
    assert not came.counted or seen.counts[came.counted] >= 1
    assert seen.asked == ["rebirth"] * came.rebirth
    assert_whole(site, came.rows)
    assert site.alarms() == undisturbed.alarms() != []


def assert_whole(site: Site, more: Sequence[Row]) -> None:
    """Every good reading is stored once with its value; the counts balance; a restart sees the same."""
    assert isinstance(site.store, Store)
    assert stored(site.store) == sorted([*site.made, *more], key=str)
    total = site.total()
    assert total.readings == site.projecting.stats.stored + total.aside
    shown, again = site.live.snapshot(SITE), Site(site.journal).live.snapshot(SITE)
    assert shown.points == again.points
    assert shown.value.tobytes() == again.value.tobytes()


def test_every_kind_is_another_one() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.sent for case in CASES}) == len(CASES)


@pytest.mark.usefixtures("unmeasured")
async def test_all_kinds_one_after_another_over_a_real_journal_and_store(tmp_path: Path) -> None:
    journal, store = SqliteJournal(tmp_path / "journal"), DuckDbStore(tmp_path / "store")
    site = Site(journal, store)
    await site.born()
    await site.good(T0, 1.0)
    for place, case in enumerate(CASES):
        await site.hear(case, site.mark("a1", case.lane) + 1)
        await site.good(AT + 10 * place, float(place))
    await site.projecting.drain()
    assert_all_there(site, store)
    total = site.total()
    assert total.readings >= store.count() + total.aside
    journal.close()
    again = Site(SqliteJournal(tmp_path / "journal"), store)
    shown, before = again.live.snapshot(SITE), site.live.snapshot(SITE)
    assert dict(zip(shown.points, shown.value.tolist(), strict=True))["pump/flow"] == len(CASES)
    assert shown.value.tobytes() == before.value.tobytes()
    again.journal.close()
    store.close()


def assert_all_there(site: Site, store: ReadingStore) -> None:
    """Every good reading, once, with its value and still good."""
    for point in INDEX:
        raw = store.raw(SITE, point, T0, AT + 10**9)
        rows = zip(raw.time.tolist(), raw.value.tolist(), raw.quality.tolist(), strict=True)
        assert [(point, t, v, QUALITY_NAMES[q]) for t, v, q in rows] == sorted(
            (row for row in site.made if row[0] == point), key=lambda row: row[1]
        )
