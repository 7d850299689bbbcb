"""What is asked of an agent is answered by its own reply in time, or says who must do what."""

import asyncio
from dataclasses import dataclass, field

import pytest

from collector.agents import AgentSeen
from collector.ports import Unavailable
from collector.requesting import SILENT_MS, WAITING_MAX, Requesting
from config.clock import SteppedClock
from edge.readings import Reply, Request, decode
from tests.waiting import until

NAME = ("s", "e")


@dataclass
class Broker:
    """Keeps what is sent."""

    clock: SteppedClock = field(default_factory=SteppedClock)
    sent: list[tuple[str, Request, bool]] = field(default_factory=list)
    seen: dict[tuple[str, str], AgentSeen] = field(default_factory=dict)
    up: bool = True
    journal_ok: bool = True
    requesting: Requesting = field(init=False)

    def __post_init__(self) -> None:
        self.seen[NAME] = AgentSeen("ready", 1, "E", heard=self.clock.now(), clock_error=-5_000)
        self.requesting = Requesting(
            self.send, lambda: self.seen, self.clock, connected=lambda: self.up,
            journal_ok=lambda: self.journal_ok, pace=10.0,
        )  # fmt: skip

    async def send(self, topic: str, payload: bytes, *, retain: bool) -> None:
        self.sent.append((topic, decode(payload, Request), retain))

    @property
    def last(self) -> str:
        """The id of what was asked last."""
        return self.sent[-1][1].id


async def test_a_reply_comes_to_whoever_asked() -> None:
    broker = Broker()
    asking = [
        asyncio.ensure_future(broker.requesting.ask(*NAME, what)) for what in ("reload", "diagnose")
    ]
    await until(lambda: len(broker.sent) == 2)
    ids = [request.id for _, request, _ in broker.sent]
    broker.requesting.replied(*NAME, Reply(ids[1], "done", {"batches_held": "3"}))
    broker.requesting.replied(*NAME, Reply(ids[0], "refused", {"reason": "x"}))
    assert [(await one).outcome for one in asking] == ["refused", "done"]
    assert [(topic, request.what, retain) for topic, request, retain in broker.sent] == [
        ("steward/v1/s/e/request", "reload", False), ("steward/v1/s/e/request", "diagnose", False),
    ]  # fmt: skip


async def test_it_expires_by_the_agents_own_clock_when_nobody_waits_any_more() -> None:
    broker = Broker()
    asked = asyncio.ensure_future(broker.requesting.ask(*NAME, "reload"))
    await until(lambda: broker.sent)
    assert broker.sent[0][1].expires == broker.clock.now() - 5_000 + 200_000
    broker.requesting.replied(*NAME, Reply(broker.last, "done"))
    await asked


async def test_a_reply_of_another_agent_or_to_nothing_answers_nobody() -> None:
    broker = Broker()
    asked = asyncio.ensure_future(broker.requesting.ask(*NAME, "reload"))
    await until(lambda: broker.sent)
    broker.requesting.replied("s", "other", Reply(broker.last, "done"))
    broker.requesting.replied(*NAME, Reply("made-up", "done"))
    broker.requesting.replied(*NAME, Reply(broker.last, "refused"))
    broker.requesting.replied(*NAME, Reply(broker.last, "done"))
    assert (await asked).outcome == "refused"


async def test_an_agent_that_does_not_reply_is_not_waited_for_for_ever() -> None:
    broker = Broker()
    broker.requesting.wait_s = 0.01
    with pytest.raises(
        Unavailable, match=r"agent e of s does not reply within 0\.01 s: see its log"
    ):
        await broker.requesting.ask(*NAME, "reload")
    broker.requesting.replied(*NAME, Reply(broker.last, "done"))
    assert broker.requesting._waiting == {}


@pytest.mark.parametrize(
    ("state", "age_ms", "said"),
    [
        ("lost", 1_000, "lost, last heard 1 s ago"),
        ("stopped", 1_000, "stopped, last heard 1 s ago"),
        ("ready", SILENT_MS + 1_000, "ready, last heard 31 s ago"),
    ],
)
async def test_an_agent_that_is_not_there_is_not_asked(state: str, age_ms: int, said: str) -> None:
    broker = Broker()
    broker.seen[NAME] = AgentSeen(state, 1, "E", heard=broker.clock.now() - age_ms)
    with pytest.raises(Unavailable, match=f"agent e of s is not connected: {said}; see that"):
        await broker.requesting.ask(*NAME, "diagnose")
    assert broker.sent == []


async def test_an_agent_that_was_never_heard_is_not_asked() -> None:
    broker = Broker()
    broker.seen[NAME] = AgentSeen()
    with pytest.raises(Unavailable, match="not heard since the server's start"):
        await broker.requesting.ask(*NAME, "diagnose")


async def test_without_the_broker_it_is_the_broker_that_is_named() -> None:
    broker = Broker(up=False)
    with pytest.raises(Unavailable, match="the server has no connection to the broker"):
        await broker.requesting.ask(*NAME, "diagnose")


async def test_a_server_that_cannot_write_its_journal_says_that_and_not_that_the_agent_is_silent() -> (
    None
):
    """It takes nothing from the broker then: states and replies lie there."""
    broker = Broker(journal_ok=False)
    broker.seen[NAME] = AgentSeen("ready", 1, "E", heard=broker.clock.now() - SILENT_MS - 1)
    with pytest.raises(
        Unavailable,
        match=r"^agent e of s cannot be asked: the server cannot write its journal",
    ):
        await broker.requesting.ask(*NAME, "diagnose")
    assert broker.sent == []


async def test_a_journal_that_is_full_meanwhile_is_said_instead_of_the_agents_log() -> None:
    broker = Broker()
    broker.requesting.wait_s = 0.2
    asked = asyncio.ensure_future(broker.requesting.ask(*NAME, "reload"))
    await until(lambda: broker.sent)
    broker.journal_ok = False
    with pytest.raises(Unavailable, match=r"does not reply within 0\.2 s: the server cannot write"):
        await asked


async def test_no_more_wait_than_the_bound() -> None:
    broker = Broker()
    asked = [
        asyncio.ensure_future(broker.requesting.ask(*NAME, "diagnose")) for _ in range(WAITING_MAX)
    ]
    await until(lambda: len(broker.sent) == WAITING_MAX)
    with pytest.raises(Unavailable, match="100 requests wait"):
        await broker.requesting.ask(*NAME, "diagnose")
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert broker.requesting._waiting == {}
