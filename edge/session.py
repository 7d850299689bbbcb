"""One connection of an agent: its birth, its batches, its state, and what it hears; ends when the link is lost."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from config.clock import Clock
from edge.outbox import Outbox
from edge.outbox_file import OutboxRefused
from edge.ports import LinkLost, Publisher
from edge.readings import (
    Birth,
    Committed,
    Malformed,
    Reply,
    Request,
    State,
    decode,
    encode,
)
from edge.sending import ASK_AFTER_S, RESEND_AFTER_S, Heard, Sending

log = logging.getLogger(__name__)

TICK_S: Final = 0.5
STATE_S: Final = 10.0
REBIRTH_S: Final = 10.0
REBIRTH_S_MAX: Final = 60.0
FACTS_S_MAX: Final = 3600.0
"""Changed facts are told after 10 s, then at intervals that double up to this."""
UNANSWERED_S: Final = 60.0
STOPPING_S: Final = 2.0
DEAF_S: Final = 120.0
"""A connection on which no birth is answered for so long is ended: it may be deaf, the collector not away."""
DEAF_S_MAX: Final = 3600.0
STUCK: Final = (
    "the broker takes my messages but they are not stored: check its name and rights (agent %s)"
)
AWAY: Final = "no collector answers agent %s: its readings are kept"


@dataclass(slots=True)
class SessionStats:
    """Counted over all connections of an agent."""

    connections: int = 0
    births: int = 0
    sent: int = 0
    malformed: int = 0
    requests: int = 0


@dataclass(slots=True)
class Session:
    """One connection's life.

    `describe` makes the birth of a connection number but for its table, `on_answer` is called when the collector has
    first answered a table of points on this connection, `refused` when the outbox could not do
    something; `reload` reads the plant anew and `lines` says the state of each line. Whoever makes a batch sets `wake`.
    """

    agent: str
    outbox: Outbox
    clock: Clock
    connection: int
    wake: asyncio.Event
    describe: Callable[[int], Birth]
    on_answer: Callable[[], None]
    refused: Callable[[OutboxRefused], None]
    stats: SessionStats
    reload: Callable[[], Awaitable[tuple[str, dict[str, str]]]]
    lines: Callable[[], Mapping[str, str]]
    pace: float = 1.0
    patience_s: float = DEAF_S
    """How long births may go unanswered before another connection is tried."""
    answered: bool = False
    """Whether the collector has answered any birth of this connection."""
    _sending: Sending = field(init=False)
    _birth_said: Birth | None = field(init=False, default=None)
    _begun: float = field(init=False, default=0.0)
    _heard: float = field(init=False, default=0.0)
    _born: float = field(init=False, default=0.0)
    _asking: float | None = field(init=False, default=None)
    """Since when a birth waits for its answer; as all four by the clock of births."""
    _ticked: float = field(init=False, default=0.0)
    _waited_s: float = field(init=False, default=0.0)
    """How long something waited here for the line, all in all: a birth may be among it, and what it asks is not asked yet."""
    _said: float = field(init=False, default=0.0)
    _rebirth_s: float = field(init=False, default=REBIRTH_S)
    _facts_s: float = field(init=False, default=REBIRTH_S)
    _table_said: int = field(init=False, default=0)
    _table_answered: tuple[str, int] | None = field(init=False, default=None)
    _warned: str = field(init=False, default="")
    _group: asyncio.TaskGroup = field(init=False, default_factory=asyncio.TaskGroup)
    _reloading: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._sending = Sending(self.outbox, self.connection, pace=self.pace)

    async def run(self, publisher: Publisher) -> None:
        """Speak until the link is lost (`LinkLost` in a group) or the agent is stopped."""
        self.stats.connections += 1
        self._begun = self._ticked = self.clock.monotonic()
        try:
            await self._birth(publisher)
            async with self._group as group:
                group.create_task(self._hearing(publisher))
                group.create_task(self._saying(publisher))
                group.create_task(self._ticking(publisher))
        except asyncio.CancelledError:
            with contextlib.suppress(LinkLost, TimeoutError, OutboxRefused):
                async with asyncio.timeout(STOPPING_S):
                    await self._say(publisher, "stopped")
            raise

    def may_send(self) -> bool:
        """True if what is made now is sent on this connection at once."""
        return self._sending.may_send()

    def state(self, word: Literal["ready", "lost", "stopped"]) -> State:
        """What the agent is now, as it goes over the wire."""
        backlog, oldest = self.outbox.backlog()
        return State(
            state=word, connection=self.connection, epoch=self.outbox.epoch,
            now=self.clock.now(), backlog=backlog, oldest_unsent=oldest,
        )  # fmt: skip

    # --- saying

    async def _birth(self, publisher: Publisher) -> None:
        self._birth_said = self.describe(self.connection)
        self._table_said = self.outbox.table_changes
        self._born = self._line_s()
        self._asking = self._born if self._asking is None else self._asking
        self._sending.begin()
        self.stats.births += 1
        birth = msgspec.structs.replace(self._birth_said, points=list(self.outbox.table.rows()))
        await publisher.publish("birth", encode(birth), retain=True)
        await self._say(publisher, "ready")

    async def _say(self, publisher: Publisher, word: Literal["ready", "stopped"]) -> None:
        self._said = self.clock.monotonic()
        await publisher.publish("state", encode(self.state(word)), retain=True)

    async def _saying(self, publisher: Publisher) -> None:
        while True:
            self.wake.clear()
            try:
                if self._sending.epoch != self.outbox.epoch:
                    await self._birth(publisher)
                while item := self._sending.next(
                    monotonic=self.clock.monotonic(), now=self.clock.now()
                ):
                    await publisher.publish(*item)
                    self.stats.sent += 1
            except OutboxRefused as error:
                self.refused(error)
            await self._woken()

    async def _woken(self) -> None:
        """Wait for `wake`, or until what is under way has to be sent again: a tick at rest may be longer."""
        if self._sending.rests():
            await self.wake.wait()
            return
        again = asyncio.get_running_loop().call_later(RESEND_AFTER_S, self.wake.set)
        try:
            await self.wake.wait()
        finally:
            again.cancel()

    async def _ticking(self, publisher: Publisher) -> None:
        while True:
            tick = self.clock.monotonic() + TICK_S
            due = max(tick, self._said + STATE_S) if self._sending.rests() else tick
            await self.clock.sleep_until(due)
            now = self.clock.monotonic()
            if not self._sending.rests():
                self.wake.set()
            self._waited_s += (now - self._ticked) * publisher.queued()
            self._ticked = now
            asking_s = 0.0 if self._asking is None else self._line_s() - self._asking
            if asking_s >= self.patience_s * self.pace:
                raise LinkLost(f"no answer to a birth for {self.patience_s:.0f} s: another connection is tried")  # fmt: skip
            if self._must_be_born_again(now):
                await self._birth(publisher)
            if now - self._said >= STATE_S:
                await self._say(publisher, "ready")
            self._warn(now)

    def _must_be_born_again(self, now: float) -> bool:
        """A birth that nobody answered, a new epoch, facts not known before, or nobody heard."""
        if self._sending.epoch != self.outbox.epoch:
            return True
        age = self._line_s() - self._born
        if self._sending.answered:
            self._rebirth_s = REBIRTH_S
            return self._has_other_facts(age) or (
                age >= ASK_AFTER_S and self._sending.doubtful(now)
            )
        if age < self._rebirth_s:
            return False
        self._rebirth_s = min(2 * self._rebirth_s, REBIRTH_S_MAX)
        return True

    def _line_s(self) -> float:
        """The clock of births, in seconds: it stands still while anything waits for the line."""
        return self.clock.monotonic() - self._waited_s

    def _has_other_facts(self, age: float) -> bool:
        """Whether to say what changed in the birth; a fact that changes all the time seldom."""
        if age < REBIRTH_S:
            return False
        if self._table_said != self.outbox.table_changes:
            return True
        if self.describe(self.connection) == self._birth_said or age < self._facts_s:
            return False
        self._facts_s = min(2 * self._facts_s, FACTS_S_MAX)
        return True

    def _warn(self, now: float) -> None:
        """Say once that what the broker acknowledges is not stored, or that nobody is there."""
        trouble = self._trouble(now)
        if trouble and trouble != self._warned:
            log.log(logging.ERROR if trouble == STUCK else logging.WARNING, trouble, self.agent)
        self._warned = trouble

    def _trouble(self, now: float) -> str:
        if self._sending.stuck(now):
            return STUCK
        silent_s = self._line_s() - max(self._begun, self._heard)
        return AWAY if not self._sending.answered and silent_s >= UNANSWERED_S else ""

    # --- hearing

    async def _hearing(self, publisher: Publisher) -> None:
        while True:
            what, payload = await publisher.received()
            try:
                if what == "committed":
                    await self._committed(publisher, decode(payload, Committed))
                elif what == "request":
                    await self._request(publisher, decode(payload, Request))
            except Malformed as error:
                self.stats.malformed += 1
                log.warning("agent %s was sent a %s that is none: %s", self.agent, what, error)
            except OutboxRefused as refusal:
                self.refused(refusal)

    async def _committed(self, publisher: Publisher, committed: Committed) -> None:
        now = self.clock.monotonic()
        heard = self._sending.take(committed, monotonic=now, now=self.clock.now())
        if self._sending.heard == now:
            self._heard = self._line_s()
        if heard is Heard.RENEWED:
            await self._birth(publisher)
        elif heard is Heard.ANSWERED:
            self._answer()
        self.wake.set()

    def _answer(self) -> None:
        """A birth that only asked, or told facts, makes nothing news that was sent before."""
        self.answered = True
        self._asking = None
        table = (self.outbox.epoch, self.outbox.table_changes)
        if table != self._table_answered:
            self._table_answered = table
            self.on_answer()

    async def _request(self, publisher: Publisher, request: Request) -> None:
        """What is harmless is done even if it seems to have expired: clocks may be wrong.

        A reload may take long: meanwhile all else is heard, and another one is refused.
        """
        self.stats.requests += 1
        detail: dict[str, str] = {}
        if request.what == "rebirth":
            await self._birth(publisher)
            outcome = "done"
        elif request.what == "diagnose":
            outcome, detail = self._diagnosis()
        elif request.expires < self.clock.now():
            outcome = "expired"
        elif self._reloading is not None and not self._reloading.done():
            outcome, detail = "refused", {"reason": "another reload is going on"}
        else:
            self._reloading = self._group.create_task(self._reload(publisher, request))
            return
        await publisher.publish("reply", encode(Reply(request.id, outcome, detail)))

    async def _reload(self, publisher: Publisher, request: Request) -> None:
        outcome, detail = await self.reload()
        if outcome == "done":
            await self._birth(publisher)
        await publisher.publish("reply", encode(Reply(request.id, outcome, detail)))

    def _diagnosis(self) -> tuple[str, dict[str, str]]:
        """Outcome and detail; of an outbox that cannot be read, the lines and what is wrong with it."""
        said = {"connections": str(self.stats.connections), **self.lines()}
        try:
            batches, oldest = self.outbox.backlog()
        except OutboxRefused as error:
            self.refused(error)
            return "refused", {"reason": f"outbox: {error}", **said}
        dropped = str(self.outbox.dropped.readings)
        held = {
            "batches_held": str(batches),
            "oldest_made": "none held" if oldest is None else _utc(oldest),
            "readings_dropped": dropped,
        }
        return "done", {**held, **said}


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
