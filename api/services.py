"""What the routes and the scenarios work with: ports, and the verbs made of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from api.aside import count_waiting
from api.auth import ArgonHasher
from api.feed import Feed, Serials
from api.following import CURSOR
from api.looking import Look, Proving, look
from api.ordering import Ordering
from api.people import Caller, Carried, Hasher, People
from api.ports import Desk
from api.problems import Problem
from api.together import Together
from collector.ports import Ask, Asks, Decisions, LiveView, Outcome, ReadingStore, Unavailable
from config.clock import Clock, ScaledClock
from config.plant import Plant
from edge.readings import Reply

T = TypeVar("T")
OUTCOME_WAIT_S = 2.0
OUTCOME_POLL_S = 0.05
STATIC = Path(__file__).parent / "static"


class Offload(Protocol):
    """Runs a blocking call beside the loop (or, in virtual time, in place)."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


async def inline(call: Callable[[], T], /) -> T:
    """The offload of virtual time: no thread."""
    return call()


@dataclass(frozen=True, slots=True)
class Health:
    """Whether one dependency works; `detail` for those who are signed in.

    What is not `needed` is told, and makes nobody who asks for readiness think that the server is not ready.
    """

    ok: bool
    detail: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure for Prometheus: a counter's total or a gauge's value, with its labels."""

    name: str
    value: float
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)
    counter: bool = True


class Gate:
    """Lets one through at a time and few wait: hashing costs 64 MiB and a core for each."""

    def __init__(self, *, waiting_max: int = 32) -> None:
        self._one = asyncio.Lock()
        self._waiting = 0
        self._waiting_max = waiting_max

    async def __aenter__(self) -> None:
        if self._waiting >= self._waiting_max:
            raise Problem("unavailable", "too many sign in at once")
        self._waiting += 1
        try:
            await self._one.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_exc: object) -> None:
        self._one.release()


def _nothing() -> Mapping[str, Any]:
    return {}


class AskAgent(Protocol):
    """Asks a site's agent and waits for its reply; raises `Unavailable`, which says who must do what."""

    def __call__(
        self, site: str, agent: str, what: Literal["reload", "diagnose"], /
    ) -> Awaitable[Reply]: ...


async def _no_agent(site: str, agent: str, what: str) -> Reply:
    raise Unavailable(f"agent {agent} of {site} is not connected: no collector runs here")


async def _nothing_derived(_site: str, _since: date) -> int:
    return 0


@dataclass(slots=True, kw_only=True)
class Services:
    """Everything the API needs. `wall` is real time for logins and pacing; `clock` is the site's.

    The callables give what only the collector knows: dependencies, figures, agents and quarantine
    of a site, the delivery report and what was journalled behind a position, derived points made anew, until when (UTC ms) the store is complete (it may raise `Unavailable`); and ask its agents.
    """

    plants: Mapping[str, Plant]
    live: LiveView
    decisions: Decisions
    asks: Asks
    desk: Desk
    store: ReadingStore
    clock: Clock
    offload: Offload = inline
    reading: Offload = inline
    """The offload of what reads the store, which may take long."""
    wall: Clock = field(default_factory=ScaledClock)
    hasher: Hasher = field(default_factory=ArgonHasher)
    health: Callable[[], Mapping[str, Health]] = dict
    figures: Callable[[], Iterable[Figure]] = tuple
    agents: Callable[[str], Sequence[Mapping[str, Any]]] = lambda _site: ()
    quarantine: Callable[[str], Mapping[str, Any]] = lambda _site: {"items": [], "count": 0}
    delivery: Callable[[], Mapping[str, Any]] = _nothing
    delivery_since: Callable[[int], Mapping[str, Any]] = lambda _position: {"batches": [], "whole": True}  # fmt: skip
    derive_again: Callable[[str, date], Awaitable[int]] = _nothing_derived
    complete_until: Callable[[], int] = lambda: 0
    ask_agent: AskAgent = _no_agent
    static: Path = STATIC
    ordering: Ordering = field(init=False)
    proving: Proving = field(init=False)
    people: People = field(init=False)
    callers: Together[Carried, Caller | None] = field(init=False)
    """Who each request is from; of those that hear a feed a thousand may be looked at again at once."""
    feeds: dict[str, Feed] = field(init=False)
    hashing: Gate = field(init=False, default_factory=Gate)
    _ledger: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.ordering = Ordering(self.plants, self.desk, self.clock)
        self.proving = Proving(self.plants)
        self.people = People(self.desk, self.wall, self.hasher)
        self.callers = Together(self.people.by_each, self.offload)
        self.feeds = {
            site: Feed(site, self.live, self.clock, self.wall, self.serials) for site in self.plants
        }

    def first_start_link(self, kept: str = "") -> str | None:
        """The path that makes the first admin, valid once and for 24 h; None once anybody exists.

        `kept`, the one given last, stays as long as it is valid.
        """
        return self.people.first_start_link(kept)

    def dependencies(self) -> dict[str, Health]:
        """Whether everything needed works, and whether the desk could take all that was decided."""
        try:
            waiting = count_waiting(self.desk)
        except Unavailable:
            return dict(self.health())
        detail = f"{waiting} events of the ledger are set aside, see the log" if waiting else ""
        return {**self.health(), "following": Health(not waiting, detail)}

    def plant(self, site: str) -> Plant:
        """The site's plant.

        Raises:
            Problem: `not-found`.
        """
        if site not in self.plants:
            raise Problem("not-found", "there is no such site")
        return self.plants[site]

    def look(self, site: str) -> Look:
        """The live table as it is now; call it on the loop."""
        return look(self.live, site, self.clock.now())

    async def ask(self, ask: Ask) -> Outcome | None:
        """Keep what a person wants and wait up to 2 s of real time for what comes of it.

        Raises:
            Unavailable: it could not be kept.
        """
        await self.offload(lambda: self.asks.ask(ask))
        deadline = self.wall.monotonic() + OUTCOME_WAIT_S
        while True:
            outcome = await self.offload(lambda: self.asks.outcome(ask.id))
            if outcome is not None or self.wall.monotonic() >= deadline:
                return outcome
            await self.wall.sleep_until(self.wall.monotonic() + OUTCOME_POLL_S)

    async def serials(self) -> Serials:
        """Numbers that grow when the lists of alarms, orders and plans change."""
        with suppress(Unavailable):  # the feed goes on with what is known
            await self.offload(self._read_ledger)
        seen = self._ledger
        return {
            "alarms": seen.get("alarm", 0),
            "orders": self.ordering.serial,
            "plans": seen.get("occurrence", 0),
        }

    def _read_ledger(self) -> None:
        seen = self._ledger
        if "position" not in seen:
            start = self.desk.cursor(CURSOR)
            seen.update(position=start, alarm=start, occurrence=start)
        while events := self.decisions.since(seen["position"]):
            for event in events:
                seen[event.stream] = event.seq
            seen["position"] = events[-1].seq


def ask_id(kind: str, subject: str, by: str, request_id: str) -> str:
    """The same wish of the same person, sent twice, has the same id."""
    return sha256("\0".join((kind, subject, by, request_id)).encode()).hexdigest()[:32]
