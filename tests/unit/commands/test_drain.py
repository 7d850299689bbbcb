"""An agent that reads nothing and only sends what its outbox holds."""

import asyncio
from collections import Counter

import numpy as np

from commands.edge import drain
from config.clock import ScaledClock
from edge.agent import Agent
from edge.outbox import Outbox
from edge.ports import PointReading
from edge.readings import Birth, Committed, decode, decode_batch, encode
from tests.unit.edge.rows import device, line, plant, register_point


class Taker:
    """A connection behind which everything is stored at once."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._born = (0, "")
        self.readings: Counter[str] = Counter()

    def __call__(self, will: bytes) -> "Taker":
        return self

    async def __aenter__(self) -> "Taker":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing to give back."""

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        if what == "birth":
            birth = decode(payload, Birth)
            self._born = (birth.connection, birth.epoch)
        elif what in {"event", "data", "backfill"}:
            batch = decode_batch(payload)
            self.readings[what] += len(batch.i)
            self._commit(**{what: batch.s})
            return
        else:
            return
        self._commit()

    def _commit(self, **marks: int) -> None:
        connection, epoch = self._born
        self._inbox.put_nowait(("committed", encode(Committed(epoch, connection=connection, **marks))))  # fmt: skip

    def queued(self) -> bool:
        return False

    async def received(self) -> tuple[str, bytes]:
        return await self._inbox.get()


async def test_what_a_drained_outbox_held_is_sent_and_nothing_new_is_left_in_it() -> None:
    clock, rng, taker = ScaledClock(), np.random.default_rng(1), Taker()
    outbox = Outbox(":memory:", now=clock.now(), rng=rng)
    site = plant([line()], [device()], [register_point("flow", 0, longest_silence_s=1.0)])
    agent = Agent(site, "e", {}, outbox, taker, clock, rng)
    agent.take([PointReading("a/flow", 1.0, 0, clock.now())])
    agent.flush()
    assert outbox.batches == 1
    async with asyncio.timeout(10):
        await drain(agent)
    assert taker.readings == {"data": 1}
    assert outbox.batches == 0
