"""Two collectors share a site over a real NATS: one works, the other takes over, and nothing is lost or doubled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from collector.adapters.journal_nats import NatsJournal
from collector.adapters.leases_nats import NatsLeases
from collector.adapters.mqtt import Broker, MqttSource
from collector.adapters.nats_link import NatsAt
from collector.alarming import Alarming
from collector.counting import HOUR_MS
from collector.holding import hold
from collector.ingest import Ingest
from collector.live import LiveTable
from collector.owning import OwnedAsks, claim
from collector.ports import TakenOver
from commands.part_servers import NatsServer
from config.clock import Clock, ScaledClock
from config.plant import Device, Plant, Point
from edge.agent import Agent
from edge.mqtt_publisher import paho_connect
from edge.outbox import Outbox
from edge.ports import PointReading, ReadResult
from edge.readings import Birth, decode, decode_batch
from tests.alarm_world import Said, a_plant, a_rule, group_of, ms
from tests.contract.ledgers import Ledger, fresh
from tests.unit.collector.feeding import SITE, T0, Recorder, Source, batch, birth, plant
from tests.waiting import until

pytestmark = pytest.mark.system

LASTS_S = 0.6
PACE_S = 0.005
AGENT, POINT = "agent-1", "pump/flow"
PLANT = plant({AGENT: (POINT,)})
HEARD = plant({"a1": ("pump/flow", "pump/pressure")})


class Member:
    """One collector: it stands by for the site, and takes batches while it has it."""

    def __init__(self, server: NatsServer, name: str, journal: Path) -> None:
        self._server, self._name, self._journal = server, name, journal.name
        self._at = NatsAt(server.url, "collector", server.users["collector"])
        self._leases = NatsLeases(self._at, name, LASTS_S)
        self.ingest: Ingest | None = None
        self.source: MqttSource | None = None
        self.holding = asyncio.create_task(hold(self._leases, SITE, self.work))

    async def work(self) -> None:
        # in the loop, as the server does: what is opened in a thread is left open when its opening is cancelled
        with closing(NatsJournal(self._at, self._journal, cap_bytes=1 << 24)) as journal:
            clock = ScaledClock()
            broker = Broker(self._server.host, self._server.port, "collector", self._at.password, f"collector-{self._name}", SITE)  # fmt: skip
            source = MqttSource(broker, clock)
            ingest = Ingest(source, journal, LiveTable([PLANT]), [], [PLANT], clock, offload=asyncio.to_thread)  # fmt: skip
            ingest.restore()
            self.ingest, self.source = ingest, source
            try:
                await ingest.run()
            finally:
                await source.close()

    @property
    def hears(self) -> bool:
        """Whether it is connected. NATS retains a moment later than it acknowledges: an agent that is born
        in that moment is heard at its next birth, 10 s later."""
        return self.source is not None and self.source.connected

    @property
    def taken(self) -> int:
        """Readings that it journalled."""
        return self.ingest.stats.readings if self.ingest else 0

    async def falls(self) -> None:
        """It is gone without giving anything back."""
        await self._leases.close()
        await self.leaves()

    async def leaves(self) -> None:
        self.holding.cancel()
        await asyncio.gather(self.holding, return_exceptions=True)
        await self._leases.close()


class Counter:
    """A device whose point has another value at each read; `made` are those that it gave."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.made: list[float] = []

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        value = float(len(self.made))
        self.made.append(value)
        return ReadResult([PointReading(point.id, value, 0, self._clock.now()) for point in points])

    def forget(self, device: str) -> None:
        """Nothing was learnt."""

    def words(self) -> str:
        return ""

    async def close(self) -> None:
        """Nothing to give back."""


def paced(site: Plant, period_s: float) -> Plant:
    """The same site, its points read so often."""
    points = {
        point.id: msgspec.structs.replace(point, spec=replace(point.spec, period_s=period_s))
        for point in site.points.values()
    }
    return replace(site, points=points)


@asynccontextmanager
async def speaking(server: NatsServer) -> AsyncIterator[list[float]]:
    """A real agent that reads another value every few milliseconds; yields the values that it kept."""
    clock, rng = ScaledClock(), np.random.default_rng(1)
    device = Counter(clock)
    user = f"{SITE}/{AGENT}"
    connect = paho_connect(server.host, server.port, user, server.users[user], SITE, AGENT)
    outbox = Outbox(":memory:", now=clock.now(), rng=rng)
    agent = Agent(paced(PLANT, PACE_S), AGENT, {AGENT: device}, outbox, connect, clock, rng)
    running = asyncio.create_task(agent.run())

    def emptied() -> bool:
        agent.flush()
        return not outbox.batches

    yield device.made
    agent.pollers[0].end()
    await until(lambda: agent.pollers[0].stats.reads == len(device.made), 10)
    await asyncio.sleep(0)  # what was read is taken up
    await until(emptied, 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    outbox.close()


def numbers_and_values(journal: NatsJournal) -> tuple[list[int], list[float]]:
    """The numbers of the agent's batches and the values of its point, in the order of the journal."""
    entries = [entry for _, entry in journal.read_from(0, 100_000)]
    assert {entry.kind for entry in entries} == {"birth", "batch"}
    rows = decode(journal.births()[-1].payload, Birth).points
    index = next(row.index for row in rows if row.point == POINT)
    batches = [decode_batch(e.payload) for e in entries if e.kind == "batch" and e.lane == "data"]
    read = [v for b in batches for i, v in zip(b.i, b.v, strict=True) if i == index]
    return [b.s for b in batches], [v for v in read if v is not None]


async def has_each_once(journal: NatsJournal, made: list[float]) -> None:
    """Every batch by its number and every value that was made, in order; closes the journal."""
    numbers, values = numbers_and_values(journal)
    await asyncio.to_thread(journal.close)
    assert numbers == list(range(1, len(numbers) + 1))
    assert values == made


async def test_collectors_take_a_site_over_from_each_other_and_every_reading_is_kept_once(
    nats: NatsServer, tmp_path: Path
) -> None:
    first = Member(nats, "a", tmp_path)
    await until(lambda: first.hears, 10)
    async with speaking(nats) as made:
        await until(lambda: first.taken > 20, 10)
        second = Member(nats, "b", tmp_path)
        await first.falls()
        await until(lambda: second.taken > 20, 10)
        third = Member(nats, "c", tmp_path)
        await second.leaves()
        await until(lambda: third.taken > 20, 10)
    await third.leaves()
    journal = await asyncio.to_thread(kept, nats, tmp_path)
    await has_each_once(journal, made)


async def test_who_does_not_know_that_it_lost_a_site_journals_and_commits_nothing_more(
    nats: NatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stray = Member(nats, "stray", tmp_path)
    await until(lambda: stray.hears, 10)
    async with speaking(nats) as made:
        await until(lambda: stray.taken > 20, 10)
        other = Member(nats, "heir", tmp_path)
        heir = asyncio.create_task(other.work())  # as if its clock had let the lease end
        await until(lambda: other.taken > 20 and "taken this journal over" in caplog.text, 10)
    heir.cancel()
    await asyncio.gather(heir, return_exceptions=True)
    for member in (other, stray):
        await member.leaves()
    journal = await asyncio.to_thread(kept, nats, tmp_path)
    await has_each_once(journal, made)


# --- what an heir knows ------------------------------------------------------------------------


def knowing(journal: NatsJournal, judged: int = 0) -> Ingest:
    """A collector over twins but for the journal, brought to where the one before stood."""
    table, judge = LiveTable([HEARD]), Recorder(judged)
    ingest = Ingest(Source(), journal, table, [judge], [HEARD], ScaledClock(), saved=journal)
    ingest.restore()
    return ingest


def shown(ingest: Ingest) -> dict[str, float]:
    snapshot = ingest.live.snapshot(SITE)
    return dict(zip(snapshot.points, snapshot.value.tolist(), strict=True))


async def test_an_heir_shows_what_the_one_before_did_and_reads_only_what_that_had_not_saved(
    nats: NatsServer, tmp_path: Path
) -> None:
    """One point spoke only in an hour that is cut off: no journal tells its last value."""
    with closing(kept(nats, tmp_path)) as journal:
        first = knowing(journal)
        await first.take([birth()])
        await first.take([batch(1, (0, 1.0), (1, 7.0))])
        await first.take([batch(2, (0, 2.0), at=T0 + 2 * HOUR_MS)])
        await first.save()
        await first.take([batch(3, (0, 3.0), at=T0 + 2 * HOUR_MS)])
    with closing(kept(nats, tmp_path)) as journal:
        heir = knowing(journal, judged=journal.last())
        assert [e.seq for _, e in journal.read_from(0, 9)] == [2, 3]
        assert shown(heir) == shown(first) == {"pump/flow": 3.0, "pump/pressure": 7.0}
        assert heir.stats.replayed == 1


# --- who decides -------------------------------------------------------------------------------


@dataclass
class Deciding:
    """One collector with the journal, the ledger's claim and alarms over a tank that must not be silent."""

    alarming: Alarming
    live: LiveTable
    journal: NatsJournal

    def hears(self, said: Said, position: int) -> None:
        group = group_of(self.live, [said], said.time, position=position)
        self.live.apply(group)
        self.alarming.judge(group)
        self.alarming.flush()

    def is_silent_at(self, second: float) -> None:
        self.alarming.wake(ms(second))
        self.alarming.flush()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with fresh(request.param, tmp_path, request) as made:
        yield made


@pytest.fixture
def decides(nats: NatsServer, tmp_path: Path, ledger: Ledger) -> Iterator[Callable[[], Deciding]]:
    """One more collector that takes the site over from the one before."""
    made: list[Deciding] = []
    watched = a_plant([a_rule("silent", kind="silent", levels=())])

    def another() -> Deciding:
        journal, live = kept(nats, tmp_path), LiveTable([watched])
        ours = claim(ledger.decisions, tmp_path.name, journal.prove, lambda: True)
        alarming = Alarming([watched], live, ours, OwnedAsks(ledger.asks, ours))
        alarming.restore()
        made.append(Deciding(alarming, live, journal))
        return made[-1]

    yield another
    for each in made:
        each.journal.close()


def test_what_a_woken_collector_decides_after_it_lost_the_site_is_not_kept(
    ledger: Ledger, decides: Callable[[], Deciding]
) -> None:
    """It was stopped and heard nothing meanwhile, so for it everything is silent; the heir heard all."""
    woken = decides()
    woken.hears(Said(0, 1.0), 1)
    heir = decides()
    heir.hears(Said(50, 1.0), 2)
    for second in (100, 102):
        with pytest.raises(TakenOver):
            woken.is_silent_at(second)
    assert ledger.decisions.since(0) == []
    heir.is_silent_at(100)
    assert ledger.decisions.since(0) == []
    heir.is_silent_at(200)
    first, *_ = ledger.decisions.since(0)
    assert (first.kind, first.at) == ("raised", ms(110.001))


def test_a_collector_that_was_stopped_between_journal_and_ledger_claims_nothing(
    nats: NatsServer, tmp_path: Path, ledger: Ledger, decides: Callable[[], Deciding]
) -> None:
    stopped = kept(nats, tmp_path)
    heir = decides()
    with pytest.raises(TakenOver):
        claim(ledger.decisions, tmp_path.name, stopped.prove, lambda: True)
    stopped.close()
    heir.hears(Said(50, 1.0), 1)


def kept(server: NatsServer, journal: Path) -> NatsJournal:
    at = NatsAt(server.url, "collector", server.users["collector"])
    return NatsJournal(at, journal.name, cap_bytes=1 << 24)
