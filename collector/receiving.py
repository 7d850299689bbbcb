"""Decides what becomes of each message that agents send: kept, had already, a gap, or set aside; sends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from collector.agents import Agent, Agents, AgentSeen, Epoch, LaneOf
from collector.decoding import Decoded, Decoder
from collector.domain.delivery import ARRIVALS_TO_BELIEVE, Step, accept
from collector.ports import Entry, Journal, Message
from config.clock import Clock
from config.plant import Plant
from edge.readings import (
    LANES,
    Malformed,
    Reply,
    Request,
    State,
    decode,
    encode,
    parse_topic,
    topic,
)

REBIRTH_EVERY_MS: Final = 5_000
REQUEST_LASTS_MS: Final = 30_000
GAP_ANSWER_EVERY_MS: Final = 1_000
PAYLOAD_BYTES_MAX: Final = 4 * 1024 * 1024
ASIDE_BYTES_KEPT: Final = 64 * 1024
ASIDE_PER_HOUR_MAX: Final = 10_000
"""Set-aside messages without a number that are kept per hour; more are only counted."""
HOUR_MS: Final = 3_600_000

Sending = tuple[str, bytes, bool]
"""Topic, payload, retain."""


@dataclass(slots=True)
class Taken:
    """What came of some messages: `entries` to journal in this order; `batches` what those of kind
    `batch` hold, in the same order; `replies` may be sent only when the entries are durable. `told`
    are the replies of agents (site, agent, reply) to what was asked of them.
    """

    entries: list[Entry] = field(default_factory=list)
    batches: list[Decoded] = field(default_factory=list)
    replies: list[Sending] = field(default_factory=list)
    told: list[tuple[str, str, Reply]] = field(default_factory=list)


class _Header(msgspec.Struct):
    """What is still believed of a batch whose structure is broken: its number, not its `o`."""

    e: str
    s: int


class Receiving:
    """Takes messages as they arrive and says what to journal, what was accepted, what to answer.

    A caller whose journal refuses the entries appends the same entries again before it takes any
    further message: what was taken is known here from then on.
    """

    def __init__(self, plants: Sequence[Plant], clock: Clock) -> None:
        self._plants = plants
        self._clock = clock
        self._requests = 0
        self._decoder = Decoder()
        self._ahead: tuple[Sequence[Message], Sequence[Decoded | Malformed]] = ((), ())
        """Messages of lanes that are decoded already."""
        self.counts: dict[str, int] = {}
        """How many messages came to what: state, repeat, gap, aside, unknown_epoch, …"""
        self._begin()

    def _begin(self) -> None:
        self._agents = Agents(self._plants)
        self._lanes = {
            topic(agent.site, agent.id, lane): LaneOf(agent, lane)
            for agent in self._agents.by_name.values()
            for lane in LANES
        }
        self._touched: dict[Agent, None] = {}
        """Those that may be owed an answer, in order."""
        self._taken = Taken()
        self._asides = (0, 0)

    def take(self, messages: Sequence[Message]) -> Taken:
        """Decide about messages in order of their arrival; never raises for what they contain."""
        taken = self._taken = Taken()
        decoded = iter(self._decoded([m for m in messages if m.topic in self._lanes]))
        for message in messages:
            lane = self._lanes.get(message.topic)
            if lane is None:
                self._other(message)
            else:
                self._numbered(lane, message, next(decoded))
        now = self._clock.now()
        for agent in self._touched:
            self._answer(agent, now)
        self._touched.clear()
        return taken

    def restore(self, journal: Journal, position: int | None = None) -> None:
        """Begin anew from what the journal holds: marks, and births as of `position` (now if None).

        The journal keeps the newest birth of every known epoch beyond its trimming.
        """
        self._begin()
        for entry in journal.births(position):
            self._reborn(entry)
        for (site, name, epoch, lane), mark in journal.marks().items():
            agent = self._agents.by_name.get((site, name))
            if agent is not None and epoch in agent.epochs:
                agent.epochs[epoch].marks[lane] = mark

    def agents(self) -> Mapping[tuple[str, str], AgentSeen]:
        """What each (site, agent) last said of itself, with its clock error now."""
        known = tuple(self._agents.by_name.items())  # at once: threads ask while new ones come
        for _, agent in known:
            agent.seen.clock_error = agent.clock.ms
        return {name: agent.seen for name, agent in known}

    def _reborn(self, entry: Entry) -> None:
        agent = self._agents.by_name.get((entry.site, entry.agent))
        if agent is not None:
            try:
                self._agents.born(agent, entry.payload)
            except Malformed:
                self._count("unreadable_birth")

    # --- lanes

    def look_ahead(self, messages: Sequence[Message]) -> None:
        """Decode what will be taken soon, while there is nothing else to do; nothing is decided."""
        numbered = [message for message in messages if message.topic in self._lanes]
        self._ahead = numbered, self._decoded(numbered)

    def _decoded(self, messages: Sequence[Message]) -> list[Decoded | Malformed]:
        """The batches of messages that stand in lanes. What was decoded ahead comes first, if at all."""
        ahead, decoded = self._ahead
        known = min(len(ahead), len(messages))
        if messages[:known] != ahead[:known]:  # equal ones are the same, which is quickly seen
            known = 0
        fresh = [message.payload for message in messages[known:]]
        found = self._decoder.decode(
            [payload for payload in fresh if len(payload) <= PAYLOAD_BYTES_MAX]
        )
        if len(found) < len(fresh):
            each = iter(found)
            found = [next(each) if len(p) <= PAYLOAD_BYTES_MAX else _too_long(p) for p in fresh]
        return [*decoded[:known], *found]

    def _numbered(self, lane: LaneOf, message: Message, batch: Decoded | Malformed) -> None:
        if isinstance(batch, Malformed):
            self._broken(lane, message, str(batch))
            return
        agent = lane.agent
        agent.clock.sample(batch.n, message.received)
        epoch = agent.epochs.get(batch.e)
        if epoch is None:
            self._count("unknown_epoch")
            self._ask_rebirth(agent, message.received)
        elif batch.highest >= epoch.size:
            self._unknown_index(lane, epoch, batch, message)
        elif self._next(lane, epoch, (batch.s, batch.o), message.received):
            self._keep(lane, batch, message)

    def _next(self, lane: LaneOf, epoch: Epoch, number: tuple[int, int], received: int) -> bool:
        """True if (sequence, oldest) is the next one: its mark is moved, its entry is the caller's."""
        agent = lane.agent
        mark = epoch.marks.get(lane.lane, 0)
        step, missing = accept(mark, *number)
        self._touched[agent] = None
        if missing:
            self._missing(lane, epoch, (mark + 1, missing), received)
        if step is Step.KEEP:
            epoch.marks[lane.lane] = number[0]
            agent.newest = epoch.birth.epoch
            agent.answer = True
            lane.went_on()
            return True
        if step is Step.REPEAT:
            agent.answer = True
        else:
            agent.gap = True
        self._count(step.value)
        return False

    def _missing(self, lane: LaneOf, epoch: Epoch, span: tuple[int, int], received: int) -> None:
        agent = lane.agent
        epoch.marks[lane.lane] = span[1]
        agent.answer = True
        lane.went_on()
        self._count("missing", span[1] - span[0] + 1)
        self._taken.entries.append(
            Entry(
                received, "missing", agent.site, agent.id, lane.lane, epoch.birth.epoch,
                span[0], span[1], clock_error=agent.clock.ms,
            )
        )  # fmt: skip

    def _keep(self, lane: LaneOf, batch: Decoded, message: Message) -> None:
        agent = lane.agent
        self._taken.entries.append(
            Entry(
                message.received, "batch", agent.site, agent.id, lane.lane, batch.e, batch.s, 0,
                message.payload, agent.clock.ms, "", batch.size,
            )
        )  # fmt: skip
        self._taken.batches.append(batch)

    def _broken(self, lane: LaneOf, message: Message, reason: str) -> None:
        """Its number is committed so that it cannot block its lane, if need be by counting."""
        agent = lane.agent
        header = _header(message.payload)
        name = agent.newest if header is None else header.e
        epoch = agent.epochs.get(name)
        number = 0
        if epoch is None:
            self._ask_rebirth(agent, message.received)
        elif header is not None:
            number = header.s
        elif lane.unreadable.believed(message.payload):
            number = epoch.marks.get(lane.lane, 0) + 1
        if epoch is None or not number:
            self._aside(message, reason, agent)
        elif self._next(lane, epoch, (number, 0), message.received):
            self._aside_numbered(lane, name, number, message, reason)

    def _unknown_index(self, lane: LaneOf, epoch: Epoch, batch: Decoded, message: Message) -> None:
        """Wait for a birth that explains it; after several births did not, set the batch aside."""
        agent = lane.agent
        self._count("unknown_index")
        if batch.s == epoch.marks.get(lane.lane, 0) + 1 and agent.births != lane.births_then:
            lane.births_then = agent.births
            lane.unknown_indexes += 1
        if lane.unknown_indexes <= ARRIVALS_TO_BELIEVE:
            self._ask_rebirth(agent, message.received)
        elif self._next(lane, epoch, (batch.s, batch.o), message.received):
            reason = f"index {batch.highest} is not among the {epoch.size} of its epoch"
            self._aside_numbered(lane, batch.e, batch.s, message, reason)

    # --- everything else

    def _other(self, message: Message) -> None:
        if message.topic == "":
            self._connected()
            return
        parts = parse_topic(message.topic)
        agent = parts and self._agents.by_name.get((parts.site, parts.agent))
        if parts is None or not agent:
            self._aside(message, f"nobody of the plants publishes {message.topic[:200]!r}")
            return
        try:
            self._from_agent(agent, parts.what, message)
        except Malformed as error:
            self._aside(message, str(error), agent)

    def _from_agent(self, agent: Agent, what: str, message: Message) -> None:
        if len(message.payload) > PAYLOAD_BYTES_MAX:
            raise _too_long(message.payload)
        if what == "birth":
            self._born(agent, message)
        elif what == "state":
            state = decode(message.payload, State)
            agent.heard(state, message.received)
            if not agent.knows(state):
                self._ask_rebirth(agent, message.received)
        elif what == "reply":
            self._taken.told.append((agent.site, agent.id, decode(message.payload, Reply)))
        else:
            raise Malformed(f"agents do not publish {what[:50]!r}")
        self._count(what)

    def _born(self, agent: Agent, message: Message) -> None:
        if self._agents.born(agent, message.payload):
            self._taken.entries.append(
                Entry(
                    message.received, "birth", agent.site, agent.id,
                    epoch=agent.newest, payload=message.payload, clock_error=agent.clock.ms,
                )
            )  # fmt: skip
        agent.answer = True
        self._touched[agent] = None

    def _connected(self) -> None:
        for agent in self._agents.by_name.values():
            agent.answer = True
            self._touched[agent] = None

    def _aside(self, message: Message, reason: str, agent: Agent | None = None) -> None:
        """Keep what has no number, within a bound per hour."""
        self._count("aside")
        hour, kept = self._asides
        kept = kept + 1 if hour == message.received // HOUR_MS else 1
        self._asides = (message.received // HOUR_MS, kept)
        if kept > ASIDE_PER_HOUR_MAX:
            return
        self._taken.entries.append(
            Entry(
                message.received, "aside", agent.site if agent else "", agent.id if agent else "",
                payload=message.payload[:ASIDE_BYTES_KEPT], reason=reason,
            )
        )  # fmt: skip

    def _aside_numbered(
        self, lane: LaneOf, epoch: str, seq: int, message: Message, reason: str
    ) -> None:
        self._count("aside")
        self._taken.entries.append(
            Entry(
                message.received, "aside", lane.agent.site, lane.agent.id, lane.lane, epoch, seq, 0,
                message.payload[:ASIDE_BYTES_KEPT], lane.agent.clock.ms, reason,
            )
        )  # fmt: skip

    # --- answers

    def _answer(self, agent: Agent, now: int) -> None:
        due = agent.answer or (agent.gap and now - agent.answered >= GAP_ANSWER_EVERY_MS)
        agent.answer = agent.gap = False
        committed = agent.committed()
        if due and committed is not None:
            agent.answered = now
            self._reply(agent, "committed", encode(committed), retain=True)

    def _ask_rebirth(self, agent: Agent, now: int) -> None:
        if 0 <= now - agent.rebirth_asked < REBIRTH_EVERY_MS:
            return
        agent.rebirth_asked = now
        self._requests += 1
        request = Request(f"rebirth-{now}-{self._requests}", now + REQUEST_LASTS_MS, "rebirth")
        self._reply(agent, "request", encode(request), retain=False)

    def _reply(self, agent: Agent, what: str, payload: bytes, *, retain: bool) -> None:
        self._taken.replies.append((topic(agent.site, agent.id, what), payload, retain))

    def _count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by


def _too_long(payload: bytes) -> Malformed:
    return Malformed(f"{len(payload)} bytes are more than {PAYLOAD_BYTES_MAX}")


def _header(payload: bytes) -> _Header | None:
    try:
        header = msgspec.json.decode(payload, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return header if 1 <= header.s < 2**53 else None
