"""One connection of an agent against a broker that drops, a collector that is away, and facts that change."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest

from config.clock import SteppedClock, VirtualClock, VirtualLoop, run_virtual
from edge.outbox import Outbox
from edge.outbox_file import OutboxRefused
from edge.ports import LinkLost, PointReading
from edge.readings import CONTRACT, Birth, Committed, Reply, Request, decode, encode
from edge.session import AWAY, STUCK, Session, SessionStats
from tests.unit.edge.rows import START_MS, register_point

OURS, KEPT = 7, 3
"""Numbers of this connection and of an earlier one, whose mark the broker kept."""


@dataclass
class Broker:
    """A publisher that counts, and a collector behind it that answers births while it is there."""

    box: Outbox
    collector: bool = True
    stores: bool = True
    waits: bool = False
    """Whether something is still in the agent's own queue."""
    births: list[Birth] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    batches: int = 0
    states: int = 0
    inbox: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        if what == "reply":
            self.replies.append(decode(payload, Reply))
        if what == "birth":
            self.births.append(decode(payload, Birth))
        elif what == "data":
            self.batches += 1
        elif what == "state":
            self.states += 1
        if self.collector and (what == "birth" or (what == "data" and self.stores)):
            self.mark(OURS)

    def queued(self) -> bool:
        return self.waits

    async def received(self) -> tuple[str, bytes]:
        return await self.inbox.get()

    async def close(self) -> None:
        """Nothing to give back."""

    def mark(self, connection: int) -> None:
        data = self.box.given("data") if self.stores else 0
        said = Committed(self.box.epoch, data=data, connection=connection)
        self.inbox.put_nowait(("committed", encode(said)))


@dataclass
class Edge:
    """What a test looks at while one session runs."""

    box: Outbox
    broker: Broker
    clock: "SteppedClock | CountingClock"
    stats: SessionStats
    wake: asyncio.Event
    facts: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    reloads: int = 0
    may_reload: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Future[None] = field(default_factory=asyncio.Future)
    ends: bool = False
    """Whether the session is to end by itself."""

    def make(self, value: float) -> None:
        now = self.clock.now()
        reading = PointReading("a/p", value, 0, now)
        self.box.keep([reading], now, monotonic=self.clock.monotonic())
        self.wake.set()

    def describe(self, connection: int) -> Birth:
        return Birth(CONTRACT, connection, self.box.epoch, "1", "", [], facts=dict(self.facts))

    def answered(self) -> None:
        self.restarts += 1

    async def reload(self) -> tuple[str, dict[str, str]]:
        self.reloads += 1
        await self.may_reload.wait()
        return "done", {"changed": "nothing changed"}


@asynccontextmanager
async def running(
    *,
    collector: bool = True,
    stores: bool = True,
    clock: "SteppedClock | CountingClock | None" = None,
) -> AsyncIterator[Edge]:
    box = Outbox(":memory:", now=START_MS, rng=np.random.default_rng(1))
    box.define([register_point("p", 0)], START_MS)
    broker, clock = Broker(box, collector, stores), clock or SteppedClock(START_MS)
    edge = Edge(box, broker, clock, SessionStats(), asyncio.Event())
    edge.may_reload.set()
    broker.mark(KEPT)
    session = Session(
        "e", box, clock, OURS, edge.wake, edge.describe, edge.answered, lambda refusal: None, edge.stats,
        edge.reload, lambda: {"line l": "1 devices"},
    )  # fmt: skip
    edge.task = asyncio.ensure_future(session.run(broker))
    await clock.advance(0.5)
    try:
        yield edge
        assert edge.task.done() is edge.ends
    finally:
        edge.task.cancel()
        await asyncio.gather(edge.task, return_exceptions=True)
        box.close()


def said(caplog: pytest.LogCaptureFixture, message: str) -> int:
    return sum(record.msg == message for record in caplog.records)


async def test_a_broker_that_drops_our_batches_is_told_while_the_collector_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(stores=False) as edge:
        edge.make(1.0)
        await edge.clock.advance(59)
        assert said(caplog, STUCK) == 0
        await edge.clock.advance(10)
        assert (said(caplog, STUCK), said(caplog, AWAY)) == (1, 0)
        await edge.clock.advance(900)
        assert (said(caplog, STUCK), said(caplog, AWAY)) == (1, 0)
        assert len(edge.broker.births) <= 40  # asks twice a minute at most
        edge.broker.stores = True
        await edge.clock.advance(60)
        assert edge.box.batches == 0


class CountingClock(VirtualClock):
    """Counts how often somebody is woken by it."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop, START_MS)
        self.sleeps = 0

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, at: float) -> None:
        self.sleeps += 1
        await super().sleep_until(at)


def test_a_session_with_nothing_to_send_wakes_to_say_its_state_and_misses_nothing_by_it() -> None:
    loop = VirtualLoop()

    async def rests() -> None:
        clock = CountingClock(loop)
        async with running(clock=clock) as edge:
            await clock.advance(15)
            before = clock.sleeps
            await clock.advance(60)
            assert clock.sleeps - before == 6
            assert edge.broker.states == 8
            edge.broker.stores = False  # what is made now is lost on its way
            edge.make(1.0)
            await clock.advance(1.9)
            assert edge.broker.batches == 1
            edge.broker.stores = True
            await clock.advance(0.2)
            assert (edge.broker.batches, edge.box.batches) == (2, 0)

    run_virtual(rests(), loop=loop)


async def test_a_mark_that_the_broker_kept_is_no_collector(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(collector=False) as edge:
        edge.make(1.0)
        await edge.clock.advance(110)
        assert (said(caplog, STUCK), said(caplog, AWAY)) == (0, 1)
        assert caplog.records[-1].levelno == logging.WARNING


async def ended_as_deaf(edge: Edge) -> None:
    edge.ends = True
    with pytest.raises(ExceptionGroup) as lost:
        await asyncio.wait_for(edge.task, 1)
    assert lost.group_contains(LinkLost, match="no answer to a birth for 120 s")


@pytest.mark.parametrize("answers_first", [True, False])
async def test_a_connection_on_which_nobody_answers_is_ended_for_another(
    *, answers_first: bool
) -> None:
    """It may be the connection that is deaf: a stranger took its session, a middlebox lost one way."""
    async with running(collector=answers_first) as edge:
        await edge.clock.advance(3600 if answers_first else 1)
        edge.broker.collector = False
        edge.make(1.0)
        await edge.clock.advance(100)
        assert not edge.task.done()
        await edge.clock.advance(60)
        await ended_as_deaf(edge)


async def test_nobody_is_asked_again_while_the_question_may_still_wait_for_the_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A birth behind a birth only lengthens the queue: on a slow line they were more than it carried."""
    async with running(collector=False) as edge:
        edge.broker.waits = True
        edge.make(1.0)
        await edge.clock.advance(300)
        assert (len(edge.broker.births), said(caplog, AWAY)) == (1, 0)
        edge.broker.waits = False
        await edge.clock.advance(9)
        assert len(edge.broker.births) == 1
        await edge.clock.advance(2)
        assert len(edge.broker.births) == 2  # it may have been lost
        await edge.clock.advance(100)
        assert not edge.task.done()
        await edge.clock.advance(20)
        await ended_as_deaf(edge)


async def test_a_collector_that_is_there_is_not_doubted_while_the_line_is_behind() -> None:
    async with running() as edge:
        await edge.clock.advance(5)
        edge.broker.waits, edge.broker.collector = True, False
        edge.make(1.0)
        await edge.clock.advance(300)
        assert len(edge.broker.births) == 1
        edge.broker.waits = False
        await edge.clock.advance(31)
        assert len(edge.broker.births) == 2


async def test_a_collector_that_goes_away_is_told_and_its_return_found(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as edge:
        edge.make(1.0)
        await edge.clock.advance(5)
        assert edge.box.batches == 0
        edge.broker.collector = False
        edge.make(2.0)
        await edge.clock.advance(70)
        assert (said(caplog, STUCK), said(caplog, AWAY)) == (0, 1)
        edge.broker.collector = True
        await edge.clock.advance(61)
        assert edge.box.batches == 0


async def test_a_new_epoch_is_born_as_soon_as_there_is_something_to_send() -> None:
    """Begun by whoever kept or looked, while the session rested: no reading waits for its next state."""
    async with running() as edge:
        await edge.clock.advance(1)
        edge.box.commit(Committed(edge.box.epoch, data=9), edge.clock.now())
        edge.make(7.0)
        await edge.clock.advance(0.1)
        assert [birth.epoch for birth in edge.broker.births[1:]] == [edge.box.epoch]
        assert (edge.broker.batches, edge.box.batches) == (1, 0)


async def test_nobody_is_asked_while_nothing_is_under_way() -> None:
    async with running() as edge:
        await edge.clock.advance(900)
        assert len(edge.broker.births) == 1


@pytest.mark.usefixtures("unmeasured")
async def test_a_fact_that_changes_all_the_time_is_told_ever_more_seldom_and_restarts_nothing() -> None:  # fmt: skip
    async with running() as edge:
        for second in range(1800):
            edge.facts["a/clock"] = str(second)
            await edge.clock.advance(1)
        assert 5 <= len(edge.broker.births) <= 9
        assert edge.restarts == 1


async def test_a_fact_that_becomes_known_is_told_within_seconds() -> None:
    async with running() as edge:
        edge.facts["a/serial"] = "SN42"
        await edge.clock.advance(10)
        assert edge.broker.births[-1].facts == {"a/serial": "SN42"}
        assert edge.restarts == 1


async def test_a_table_that_grew_is_news_at_once_whatever_the_facts_did() -> None:
    async with running() as edge:
        for second in range(100):
            edge.facts["a/clock"] = str(second)
            await edge.clock.advance(1)
        births = len(edge.broker.births)
        edge.box.define([register_point("p", 0), register_point("q", 1)], START_MS)
        await edge.clock.advance(11)
        assert (edge.restarts, len(edge.broker.births)) == (2, births + 1)


def ask(edge: Edge, what: Literal["rebirth", "reload", "diagnose"], lasts_ms: int = 60_000) -> None:
    request = Request(what, edge.clock.now() + lasts_ms, what)
    edge.broker.inbox.put_nowait(("request", encode(request)))


async def test_a_request_to_reload_is_done_born_again_and_answered() -> None:
    async with running() as edge:
        births = len(edge.broker.births)
        ask(edge, "reload")
        await edge.clock.advance(0.1)
        assert edge.broker.replies == [Reply("reload", "done", {"changed": "nothing changed"})]
        assert (edge.reloads, len(edge.broker.births)) == (1, births + 1)


async def test_what_is_stored_is_heard_of_while_a_reload_lasts() -> None:
    """And a second request meanwhile is refused: none of them is kept waiting."""
    async with running() as edge:
        edge.may_reload.clear()
        ask(edge, "reload")
        ask(edge, "reload")
        edge.make(1.0)
        await edge.clock.advance(5.0)
        assert edge.box.batches == 0, "the collector's mark was taken"
        assert [(reply.outcome, edge.reloads) for reply in edge.broker.replies] == [("refused", 1)]
        edge.may_reload.set()
        await edge.clock.advance(0.1)
        assert [reply.outcome for reply in edge.broker.replies] == ["refused", "done"]
        ask(edge, "reload")
        await edge.clock.advance(0.1)
        assert edge.reloads == 2


async def test_a_request_to_reload_that_comes_too_late_is_not_done() -> None:
    async with running() as edge:
        ask(edge, "reload", lasts_ms=-1)
        await edge.clock.advance(0.1)
        assert edge.broker.replies == [Reply("reload", "expired", {})]
        assert edge.reloads == 0


async def test_a_diagnosis_says_the_state_of_every_line() -> None:
    async with running() as edge:
        ask(edge, "diagnose", lasts_ms=-1)
        await edge.clock.advance(0.1)
        (reply,) = edge.broker.replies
        assert (reply.outcome, reply.detail["line l"]) == ("done", "1 devices")
        assert reply.detail["batches_held"] == "0"
        assert reply.detail["oldest_made"] == "none held"


async def test_a_diagnosis_says_when_the_oldest_that_is_held_was_made() -> None:
    async with running() as edge:
        edge.make(1.0)
        ask(edge, "diagnose")
        await edge.clock.advance(0.1)
        (reply,) = edge.broker.replies
        assert reply.detail["batches_held"] == "1"
        assert reply.detail["oldest_made"] == "2025-11-21T04:40:00+00:00"


async def test_a_diagnosis_of_an_outbox_that_cannot_be_read_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreadable(box: Outbox) -> tuple[int, int | None]:
        raise OutboxRefused("disk I/O error")

    async with running() as edge:
        monkeypatch.setattr(Outbox, "backlog", unreadable)
        ask(edge, "diagnose")
        await edge.clock.advance(0.1)
        (reply,) = edge.broker.replies
        assert (reply.outcome, reply.detail["reason"]) == ("refused", "outbox: disk I/O error")
        assert reply.detail["line l"] == "1 devices"
