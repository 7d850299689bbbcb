"""An agent whose disk refuses: what memory holds, what it lets go, and that it says so."""

import asyncio
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from config.clock import SteppedClock, VirtualClock, VirtualLoop, run_virtual
from config.load import LIBRARY, load_plant
from config.plant import Plant
from edge.agent import FLUSH_READINGS, KEPT_AT_ONCE_MAX, PENDING_READINGS_MAX, Agent
from edge.batches import READINGS_MAX
from edge.outbox import Dropped, Outbox
from edge.ports import LinkLost, PointReading, PublisherContext
from edge.readings import QUALITIES, Birth, Committed, decode, decode_batch, encode
from tests.unit.edge.modbus_twins import TwinLine, reader_of
from tests.unit.edge.rows import START_MS, device, line, plant, register_point
from tests.waiting import until


def site() -> Plant:
    points = [
        register_point("flow", 0, longest_silence_s=1.0),
        register_point("trip", 1, longest_silence_s=1.0, lane="event"),
    ]
    return plant([line()], [device()], points)


def nowhere(will: bytes) -> PublisherContext:
    raise LinkLost("no broker")


@pytest.fixture
def agent() -> Agent:
    clock, rng = SteppedClock(), np.random.default_rng(1)
    outbox = Outbox(":memory:", now=clock.now(), rng=rng)
    return Agent(site(), "e", {}, outbox, nowhere, clock, rng)


def refuse(agent: Agent, *, refuses: bool) -> None:
    """SQLite itself says that the disk is full."""
    pages = agent.outbox._file.db.execute("PRAGMA page_count").fetchone()[0]
    agent.outbox._file.db.execute(f"PRAGMA max_page_count = {pages if refuses else 2**30}")


def fill(agent: Agent) -> None:
    """Until nothing more fits."""
    while not agent.stats.refused:
        agent.take(readings("trip", 0, 200))


def readings(name: str, first: int, count: int) -> list[PointReading]:
    return [
        PointReading(f"a/{name}", float(n), 0, START_MS + n) for n in range(first, first + count)
    ]


def in_memory(agent: Agent) -> int:
    return len(agent._urgent) + len(agent._pending)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", ["trip", "flow"])
def test_memory_is_bounded_while_the_disk_refuses_and_what_goes_is_counted(
    agent: Agent, name: str
) -> None:
    refuse(agent, refuses=True)
    fill(agent)
    before = in_memory(agent)
    for first in range(1_000, 1_000 + PENDING_READINGS_MAX + 5_000, 5_000):
        agent.take(readings(name, first, 5_000))
    agent.flush()
    came = before + PENDING_READINGS_MAX + 5_000
    assert in_memory(agent) <= PENDING_READINGS_MAX + before
    lost = agent.stats.overflowed
    assert lost.readings == came - in_memory(agent) > 0
    assert START_MS <= lost.first <= lost.last


def test_what_memory_held_is_kept_in_batches_of_bounded_size_once_the_disk_takes_it(
    agent: Agent,
) -> None:
    refuse(agent, refuses=True)
    fill(agent)
    held = agent.outbox.batches
    agent.take(readings("flow", 1_000, KEPT_AT_ONCE_MAX + READINGS_MAX + 1))
    refuse(agent, refuses=False)
    agent.flush()
    assert in_memory(agent) == 0
    agent.outbox.number("data", START_MS, 0.0)
    times, sizes, after = [], [], 0
    while found := agent.outbox.numbered("data", after):
        batch = decode_batch(agent.outbox.payload(found, START_MS))
        times += [batch.t + offset for offset in batch.d]
        sizes.append(len(batch.i))
        after = found.seq
    assert sizes == [READINGS_MAX] * (KEPT_AT_ONCE_MAX // READINGS_MAX + 1) + [1]
    assert times == sorted(set(times))
    assert agent.outbox.batches == held + len(sizes) + 1  # and what was urgent


def test_a_disk_with_little_room_takes_little_at_a_time(agent: Agent) -> None:
    refuse(agent, refuses=True)
    fill(agent)
    agent.take(readings("flow", 1_000, 2 * KEPT_AT_ONCE_MAX))
    agent.flush()
    held, db = in_memory(agent), agent.outbox._file.db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + 6}")
    for _ in range(10):
        agent.flush()
    assert held - KEPT_AT_ONCE_MAX < in_memory(agent) <= held - FLUSH_READINGS
    refuse(agent, refuses=False)
    agent.flush()
    assert in_memory(agent) == 0


def test_each_time_that_the_disk_refuses_is_said_once_and_once_when_it_is_over(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        caplog.clear()
        refuse(agent, refuses=True)
        agent.take(readings("trip", 0, 200_000))
        for _ in range(5):
            agent.flush()
        (line,) = caplog.messages
        assert line.startswith("outbox of agent e: ")
        refuse(agent, refuses=False)
        agent.flush()
        agent.flush()
        lost = agent.stats.overflowed.readings
        assert lost > 0
        assert caplog.messages[1:] == [
            f"outbox of agent e takes readings again after 0.0 s; lost since the start: {lost}"
        ]


async def test_an_agent_that_ends_says_what_its_disk_did_not_take(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.create_task(agent.run())
    await until(lambda: agent._group is not None)
    refuse(agent, refuses=True)
    agent.take(readings("trip", 0, 50_000))
    held = in_memory(agent)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held == in_memory(agent) > 0
    assert f"agent e ends: {held} readings in memory, which its outbox did not take, are lost" in caplog.messages  # fmt: skip


def test_what_memory_let_go_is_told_with_what_the_outbox_dropped(agent: Agent) -> None:
    agent.outbox.dropped = Dropped(5, START_MS + 10_000, START_MS + 20_000)
    agent.stats.overflowed = Dropped(2, START_MS + 1_000, START_MS + 2_000)
    agent.diagnose()
    agent.outbox.number("event", START_MS, 0.0)
    found = agent.outbox.numbered("event", 0)
    assert found is not None
    batch = decode_batch(agent.outbox.payload(found, START_MS))
    assert batch.v == [7.0, (START_MS + 1_000) / 1000, (START_MS + 20_000) / 1000]


def test_nothing_dropped_leaves_the_span_of_what_was() -> None:
    some = Dropped(3, 10, 20)
    assert Dropped().joined(some) == some.joined(Dropped()) == some
    assert some.joined(replace(some, first=5)) == Dropped(6, 5, 20)


Taken = tuple[float, str, float]
"""When (seconds of the agent's life) a point said which value."""


def made_s(*taken: Taken) -> list[float]:
    """When the batches are made of what an agent is told; looked at 20 times a second."""
    loop = VirtualLoop()
    clock, rng = VirtualClock(loop, START_MS), np.random.default_rng(1)
    points = [register_point("flow", 0), register_point("level", 1)]
    outbox = Outbox(":memory:", now=clock.now(), rng=rng)
    agent = Agent(
        plant([line()], [device()], points), "e", {}, outbox, nowhere, clock, rng, reports=False
    )
    made: list[float] = []

    async def live() -> None:
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(0)
        coming = list(taken)
        for step in range(20 * 70):
            while coming and coming[0][0] * 20 <= step:
                _, name, value = coming.pop(0)
                agent.take([PointReading(f"a/{name}", value, 0, clock.now())])
            before = outbox.batches
            await asyncio.sleep(0.05)
            made.extend([(step + 1) / 20] * (outbox.batches - before))
        task.cancel()
        await asyncio.wait([task])

    run_virtual(live(), loop=loop)
    return made


def test_what_is_said_again_waits_two_seconds_for_others_to_share_its_batch() -> None:
    said = [(0.0, "flow", 1.0), (1.0, "level", 1.0), (50.0, "flow", 1.0), (51.0, "level", 1.0)]
    assert made_s(*said) == pytest.approx([0.25, 1.25, 52.0], abs=0.06)


def test_what_is_said_again_goes_with_a_change_within_its_quarter_of_a_second() -> None:
    said = [(0.0, "flow", 1.0), (1.0, "level", 1.0), (50.0, "flow", 1.0), (50.5, "level", 2.0)]
    assert made_s(*said) == pytest.approx([0.25, 1.25, 50.75], abs=0.06)


def test_what_is_said_again_late_does_not_wait() -> None:
    """Of its 60 s it keeps the two that are for the way."""
    said = [(0.0, "flow", 1.0), (55.5, "flow", 1.0)]
    assert made_s(*said) == pytest.approx([0.25, 57.5], abs=0.06)
    said = [(0.0, "flow", 1.0), (56.5, "flow", 1.0)]
    assert made_s(*said) == pytest.approx([0.25, 56.75], abs=0.06)


def library_plant(tmp_path: Path, comment: str) -> Plant:
    """The demo plant over a library of its own, of which one profile says something more."""
    library = tmp_path / "config"
    shutil.copytree(LIBRARY, library, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    profile = library / "profiles" / "booster-duo.toml"
    profile.write_text(profile.read_text(encoding="utf-8") + comment, encoding="utf-8")
    return load_plant(library / "plants" / "riverside", library=library)


def test_a_birth_shows_which_profiles_an_agent_runs(tmp_path: Path) -> None:
    births = []
    for folder, comment in (("a", ""), ("b", "# another text\n")):
        its = library_plant(tmp_path / folder, comment)
        clock, rng = SteppedClock(), np.random.default_rng(1)
        for name in its.agents:
            outbox = Outbox(":memory:", now=clock.now(), rng=rng)
            births.append(Agent(its, name, {}, outbox, nowhere, clock, rng).birth(1))
            used = {device.profile for device in its.devices_of(name)}
            assert set(births[-1].profile_hashes) == used
    half = len(births) // 2
    changed = [
        {p for p, hash in old.profile_hashes.items() if new.profile_hashes[p] != hash}
        for old, new in zip(births[:half], births[half:], strict=True)
    ]
    assert set().union(*changed) == {"booster-duo"}


def test_what_cannot_be_true_leaves_with_its_reason() -> None:
    clock, rng = SteppedClock(), np.random.default_rng(1)
    point = register_point("flow", 0, rate_max=1.0)
    outbox = Outbox(":memory:", now=clock.now(), rng=rng)
    agent = Agent(plant([line()], [device()], [point]), "e", {}, outbox, nowhere, clock, rng)
    agent.take(
        [PointReading("a/flow", v, 0, START_MS + 1000 * n) for n, v in enumerate([1, 50, 2])]
    )
    agent.flush()
    outbox.number("data", START_MS, 0.0)
    found = outbox.numbered("data", 0)
    assert found is not None
    assert decode_batch(outbox.payload(found, START_MS)).q == [0, QUALITIES["rate_implausible"], 0]


@dataclass
class Site:
    """A broker with a collector that answers births and commits nothing; it may be cut off."""

    away: bool = False
    inbox: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def __call__(self, will: bytes) -> "Site":
        if self.away:
            raise LinkLost("away")
        return self

    async def __aenter__(self) -> "Site":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        if what == "birth":
            birth = decode(payload, Birth)
            self.inbox.put_nowait(encode(Committed(birth.epoch, connection=birth.connection)))

    def queued(self) -> bool:
        return False

    async def received(self) -> tuple[str, bytes]:
        payload = await self.inbox.get()
        if self.away:
            raise LinkLost("cut off")
        return "committed", payload

    async def close(self) -> None:
        """Nothing to give back."""

    def cut(self) -> None:
        self.away = True
        self.inbox.put_nowait(b"")


async def test_a_batch_is_numbered_as_it_is_made_only_while_it_can_be_sent_at_once(
    agent: Agent,
) -> None:
    clock, site, box = agent.clock, Site(), agent.outbox
    assert isinstance(clock, SteppedClock)
    agent.connect, agent.reports = site, False
    agent.take(readings("trip", 0, 1))  # nobody is there yet
    assert box.given("event") == 0
    running = asyncio.ensure_future(agent.run())
    await clock.advance(1)
    assert box.given("event") == 1
    agent.take(readings("trip", 1, 1))
    assert box.given("event") == 2, "nothing has run since that could number it afterwards"
    site.cut()
    await clock.advance(0.1)
    agent.take(readings("flow", 0, 1))
    await clock.advance(90)
    assert box.given("data") == 0
    site.away = False
    await clock.advance(40)
    assert (box.given("data"), box.given("backfill")) == (0, 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    box.close()


async def test_a_server_that_is_back_is_told_again_what_devices_only_say_again() -> None:
    rng, site = np.random.default_rng(1), Site()
    reader, clock = reader_of(TwinLine())
    point = register_point("flow", 0, longest_silence_s=86_400.0)
    box = Outbox(":memory:", now=clock.now(), rng=rng)
    agent = Agent(
        plant([line()], [device()], [point]), "e", {"l": reader}, box, site, clock, rng,
        reports=False,
    )  # fmt: skip
    running = asyncio.ensure_future(agent.run())
    await clock.advance(60)
    told = box.given("data")
    await clock.advance(600)
    assert box.given("data") == told, "it says the same, and was told to"
    site.cut()
    await clock.advance(0.1)
    site.away = False
    await clock.advance(60)
    assert box.given("data") == told + 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    box.close()
