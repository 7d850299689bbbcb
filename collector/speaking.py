"""The agent `steward`: what is made here comes in as if a broker had brought it, so ingest numbers, journals and judges it as all else.

Scores alone go into the journal with the readings that they are made of (`collector.scoring`), in the same words.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from collector.ports import MarkKey, Message
from config.plant import STEWARD, Plant, Point
from edge.readings import (
    CONTRACT,
    Birth,
    Lane,
    PointRow,
    Readings,
    encode,
    encode_batch,
    topic,
)

WAITING_MS_MAX: Final = 300_000
"""What was said and is not journalled is said anew only then: a journal that refuses must not pile it up."""

Said = tuple[int, int, float, int]
"""Place among the points, UTC ms, value (NaN: none), quality."""


@dataclass(slots=True)
class Speaker:
    """Says some points of one site; another set of them is another epoch, as for every agent.

    Its numbers go on from the journal's marks, so that a restart repeats and skips nothing.
    """

    plant: Plant
    points: Sequence[Point]
    epoch: str = field(init=False)
    _born: bool = field(init=False, default=False)
    _said: dict[Lane, tuple[int, int]] = field(init=False, default_factory=dict)
    """By lane the number that was given last, and when (UTC ms)."""

    def __post_init__(self) -> None:
        named = "\n".join(f"{point.id} {point.unit} {point.kind}" for point in self.points)
        self.epoch = hashlib.sha256(named.encode()).hexdigest()[:16]

    def say(
        self, said: Sequence[Said], lane: Lane, marks: Mapping[MarkKey, int], now: int,
        put: Callable[[Message], None],
    ) -> bool:  # fmt: skip
        """One batch, behind a birth where it is the first; False while the one before is on its way."""
        site = self.plant.site
        mark = marks.get((site, STEWARD, self.epoch, lane), 0)
        number, at = self._said.get(lane, (0, 0))
        if not said or (mark < number and now - at < WAITING_MS_MAX):
            return False
        if not self._born:
            self._born = True
            put(Message(topic(site, STEWARD, "birth"), self.birth(), now))
        self._said[lane] = mark + 1, now
        put(Message(topic(site, STEWARD, lane), self.batch(said, mark + 1, now), now))
        return True

    def batch(self, said: Sequence[Said], seq: int, now: int) -> bytes:
        """The payload that says these under this number."""
        index, time, value, quality = zip(*said, strict=True)
        readings = Readings(
            np.array(index, np.int64), np.array(time, np.int64), np.array(value, np.float64),
            np.array(quality, np.uint8),
        )  # fmt: skip
        return encode_batch(readings, epoch=self.epoch, seq=seq, oldest=seq, now=now)

    def birth(self) -> bytes:
        """The payload that says what the points are."""
        rows = [
            PointRow(i, p.id, p.unit, p.kind, p.decimals, "data", p.period_s, p.longest_silence_s)
            for i, p in enumerate(self.points)
        ]
        return encode(Birth(CONTRACT, 1, self.epoch, "", self.plant.hash, rows))
