"""What the collector remembers of each agent: its epochs with their tables and marks, its clock, its state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.counting import EPOCHS_KEPT
from collector.domain.delivery import (
    Arrivals,
    ClockError,
    change_of_meaning,
    wrong_with_birth,
)
from config.plant import STEWARD, Plant
from edge.readings import Birth, Committed, Lane, Malformed, State, decode


@dataclass(slots=True)
class AgentSeen:
    """What an agent last said of itself.

    `state` is `ready`, `lost`, `stopped` or empty; `heard` is when it last said so (UTC ms, 0: never
    since the collector's start); `clock_error` in ms, edge minus collector.
    """

    state: str = ""
    connection: int = 0
    epoch: str = ""
    heard: int = 0
    backlog: int = 0
    oldest_unsent: int | None = None
    clock_error: int = 0


@dataclass(slots=True)
class Epoch:
    """One life of an agent's outbox: what its indexes mean and what was kept of its lanes."""

    birth: Birth
    size: int
    marks: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Agent:
    """One agent. `answer` and `gap` say what the messages at hand ask to be answered.

    `newest` is the epoch that last spoke: of the last birth, or of the last batch that was kept.
    """

    site: str
    id: str
    epochs: dict[str, Epoch] = field(default_factory=dict)
    newest: str = ""
    births: int = 0
    clock: ClockError = field(default_factory=ClockError)
    seen: AgentSeen = field(default_factory=AgentSeen)
    answer: bool = False
    gap: bool = False
    answered: int = 0
    rebirth_asked: int = 0

    def committed(self) -> Committed | None:
        """The marks of the newest epoch; None before the first birth."""
        epoch = self.epochs.get(self.newest)
        if epoch is None:
            return None
        return Committed(
            epoch=self.newest,
            connection=epoch.birth.connection,
            event=epoch.marks.get("event", 0),
            data=epoch.marks.get("data", 0),
            backfill=epoch.marks.get("backfill", 0),
        )

    def knows(self, state: State) -> bool:
        """False if this state speaks of an epoch or a connection whose birth never came."""
        epoch = self.epochs.get(state.epoch)
        return epoch is not None and epoch.birth.connection >= state.connection

    def heard(self, state: State, received: int) -> None:
        """Take up a state; a `lost` of an older connection is the will of one that is over."""
        self.clock.sample(state.now, received)
        if state.state == "lost" and state.connection < self.seen.connection:
            return
        self.seen = AgentSeen(
            state=state.state,
            connection=state.connection,
            epoch=state.epoch,
            heard=received,
            backlog=state.backlog,
            oldest_unsent=state.oldest_unsent,
        )


@dataclass(slots=True)
class LaneOf:
    """One agent's lane and what came on it that could not be kept since it last went on."""

    agent: Agent
    lane: Lane
    unreadable: Arrivals = field(default_factory=Arrivals)
    unknown_indexes: int = 0
    births_then: int = -1

    def went_on(self) -> None:
        """A number was kept."""
        self.unreadable.clear()
        self.unknown_indexes = 0


class Agents:
    """The agents of the plants, and whose points are whose."""

    def __init__(self, plants: Sequence[Plant]) -> None:
        self.by_name: Mapping[tuple[str, str], Agent] = {
            (plant.site, agent): Agent(plant.site, agent)
            for plant in plants
            for agent in (*plant.agents, STEWARD)
        }

    def born(self, agent: Agent, payload: bytes) -> bool:
        """Take up a birth; True if it says anything new, so that it must be journalled.

        Raises:
            Malformed: it is not a birth, or it gives a known index another meaning.
        """
        birth = decode(payload, Birth)
        known = agent.epochs.get(birth.epoch)
        reason = wrong_with_birth(birth) or (known and change_of_meaning(known.birth, birth))
        if reason:
            raise Malformed(reason)
        agent.births += 1
        agent.newest = birth.epoch
        if known is not None and _same(known.birth, birth):
            known.birth = birth
            return False
        epoch = Epoch(birth, len(birth.points))
        if known is not None:
            epoch.marks = known.marks
            del agent.epochs[birth.epoch]
        agent.epochs[birth.epoch] = epoch
        while len(agent.epochs) > EPOCHS_KEPT:
            del agent.epochs[next(iter(agent.epochs))]
        return True


def _same(known: Birth, birth: Birth) -> bool:
    known.connection = birth.connection
    return known == birth
