"""The watcher is watched: every minute the server says how it stands, and looks whether synthetic readings came through."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from collector.live import LiveTable
from collector.ports import Journal, MarkKey, Message, ReadingStore, Unavailable
from collector.projecting import Offload
from collector.speaking import Speaker
from config.clock import Clock
from config.links import HEARTBEAT
from config.plant import STEWARD, Plant

log = logging.getLogger("steward.selfwatch")

LOOK_S: Final = 60.0
READ_BACK_MS: Final = 600_000
"""A heartbeat older than that is not looked for."""
LEEWAY_MS: Final = 60_000
"""An agent's clock may run ahead so far uncorrected."""
READ_BACK_MAX: Final = 10
"""Agents whose heartbeat is read back at one look; the others have their turn at the next."""

AgentKey = tuple[str, str]
"""site, agent"""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """One agent's newest heartbeat at its last read-back (`looked`), in the live table and in the store: UTC ms, 0: none.

    Of more agents than are read back at one look each speaks of its own turn: what came since is no reproach.
    """

    seen: int = 0
    stored: int = 0
    looked: int = 0


def unproven_ms(synthetic: Sequence[Synthetic], since: int) -> int:
    """How long the store had not given back what the live table had; 0 where it gave all of it.

    Agents that are not heard prove nothing and accuse nobody: what is older than was asked for is missed by none.
    `since` is when looking began.
    """
    waits = (
        one.looked - max(one.stored, since)
        for one in synthetic
        if one.seen > one.stored and one.looked - one.seen <= READ_BACK_MS
    )
    return max(waits, default=0)


def through_at(synthetic: Sequence[Synthetic]) -> int:
    """When the newest synthetic reading that came all the way was made; UTC ms, 0: none yet."""
    return max((min(one.seen, one.stored) for one in synthetic), default=0)


class SelfWatch:
    """`run` it beside ingest. `says` gives the server's own points by name, `put` takes messages as if a broker brought them.

    So what it says is journalled, judged and stored as every reading is.
    """

    def __init__(
        self, plants: Sequence[Plant], live: LiveTable, journal: Journal, store: ReadingStore,
        clock: Clock, offload: Offload,
    ) -> None:  # fmt: skip
        self._live = live
        self._journal = journal
        self._store = store
        self._clock = clock
        self._offload = offload
        self._speakers = [
            Speaker(plant, points) for plant in plants if (points := plant.points_of(STEWARD))
        ]
        self._agents = [(plant.site, agent) for plant in plants for agent in plant.agents if f"{agent}/{HEARTBEAT}" in plant.points]  # fmt: skip
        self._found: dict[AgentKey, Synthetic] = {}
        self._turn = 0
        self._since = self._answered = clock.now()
        self._is_refused = False
        self.says: Callable[[], Mapping[str, float]] = dict
        self.put: Callable[[Message], None] = lambda message: None

    async def run(self) -> None:
        """For ever: look, and say what was seen."""
        while True:
            await self._clock.sleep_until(self._clock.monotonic() + LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Read back what is due, then say everything of every site."""
        now = self._clock.now()
        await self._offload(partial(self._read_back, now))
        said = {**await self._offload(self._said), "synthetic_age": self.unproven_ms(now) / 1000}
        marks = await self._offload(self._journal.marks)
        for speaker in self._speakers:
            self._say(speaker, said, marks, now)

    def _said(self) -> Mapping[str, float]:
        """The server's own points; nothing for this minute where the journal cannot be read."""
        try:
            return self.says()
        except Unavailable as error:
            log.warning("the server cannot say how it stands: %s", error)
            return {}

    def synthetic(self) -> list[Synthetic]:
        """How the heartbeats of all agents stood when they were read back."""
        return [self._found.get(name, Synthetic()) for name in self._agents]

    def unproven_ms(self, now: int) -> int:
        """How long the store has not given back what it was given, or not answered at all."""
        silent = now - self._answered if self._is_refused else 0
        return max(silent, unproven_ms(self.synthetic(), self._since))

    def age_ms(self) -> int | None:
        """Since the newest synthetic reading that came all the way was made; None: none did yet."""
        at = through_at(self.synthetic())
        return self._clock.now() - at if at else None

    def is_proven(self, within_ms: int) -> bool:
        """Whether a synthetic reading came all the way lately, or the watch has not been there for so long."""
        now = self._clock.now()
        return now - max(through_at(self.synthetic()), self._since) <= within_ms

    def _seen(self, name: AgentKey) -> int:
        site, agent = name
        return int(self._live.source_time[self._live.row(site, f"{agent}/{HEARTBEAT}")])

    def _read_back(self, now: int) -> None:
        """Ask the store for the heartbeats of those whose turn it is; one that cannot be asked shows nothing."""
        count = min(READ_BACK_MAX, len(self._agents))
        turn = [self._agents[(self._turn + n) % len(self._agents)] for n in range(count)]
        self._turn += count
        for site, agent in turn:
            seen = self._seen((site, agent))
            try:
                raw = self._store.raw(site, f"{agent}/{HEARTBEAT}", now - READ_BACK_MS, now + LEEWAY_MS)  # fmt: skip
            except Unavailable:
                self._is_refused = True
                return
            self._answered, self._is_refused = now, False
            before = self._found.get((site, agent), Synthetic()).stored
            stored = int(raw.time[-1]) if len(raw.time) else before
            self._found[site, agent] = Synthetic(seen, stored, now)

    def _say(self, speaker: Speaker, said: Mapping[str, float], marks: Mapping[MarkKey, int], now: int) -> None:  # fmt: skip
        """What is known now; a point that nobody gives is not said."""
        values = (said.get(point.id.removeprefix(f"{STEWARD}/")) for point in speaker.points)
        rows = [(i, now, float(value), 0) for i, value in enumerate(values) if value is not None]
        speaker.say(rows, "data", marks, now, self.put)
