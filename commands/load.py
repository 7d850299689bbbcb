"""Publishes readings as many agents would, encoded beforehand, each at most a window ahead of `committed`."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from collector.adapters import mqtt_frames as mqtt
from collector.ports import Unavailable
from edge.readings import (
    WINDOW,
    Birth,
    Committed,
    Lane,
    PointRow,
    Readings,
    encode,
    encode_batch,
    topic,
)

SITE: Final = "load"
READINGS: Final = 6_000_000
PERIOD_MS: Final = 1_000
FRAMES_AT_ONCE: Final = 64
ANSWER_S_MAX: Final = 60.0
STUCK_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Shape:
    """How readings are cut into messages: agents, points of each, readings in a batch."""

    agents: int
    points: int
    batch: int


SHAPES: Final = {
    "plc60": Shape(agents=100, points=60, batch=60),
    "meter3": Shape(agents=1000, points=3, batch=3),
    "natural": Shape(agents=100, points=60, batch=500),
    "agent": Shape(agents=1, points=60, batch=500),
}


def agent_name(number: int) -> str:
    """The agent's id in the load's site."""
    return f"load-{number}"


def point_name(agent: int, index: int) -> str:
    """The point's id in the load's site."""
    return f"rack-{agent}/value_{index}"


def birth_of(agent: int, shape: Shape) -> bytes:
    """The birth of one agent, whose epoch never changes."""
    rows = [
        PointRow(i, point_name(agent, i), "°C", "measurement", 2, "data", 10.0, 60.0)
        for i in range(shape.points)
    ]
    return encode(Birth("1.0", 1, _epoch(agent), "load", "", rows))


def _epoch(agent: int) -> str:
    return f"LOAD{agent:022d}"


def batches_of(agent: int, shape: Shape, readings: int, start_ms: int) -> Iterator[bytes]:
    """The agent's batches: random walks of its points, one value a second, rounded to 2 decimals."""
    for number, columns in enumerate(_walks(agent, shape, readings, start_ms), start=1):
        yield encode_batch(columns, epoch=_epoch(agent), seq=number, oldest=1, now=start_ms)


def lines_of(agent: int, shape: Shape, readings: int, start_ms: int) -> Iterator[bytes]:
    """The same readings in as many messages, as InfluxDB's line protocol: one line per time."""
    asset, names = zip(*(point_name(agent, i).split("/") for i in range(shape.points)), strict=True)
    head = f"readings,asset={asset[0]},site={SITE} "
    for columns in _walks(agent, shape, readings, start_ms):
        fields: dict[int, list[str]] = {}
        rows = zip(
            columns.index.tolist(), columns.time.tolist(), columns.value.tolist(), strict=True
        )
        for index, time_ms, value in rows:
            fields.setdefault(time_ms, []).append(f"{names[index]}={value}")
        lines = [f"{head}{','.join(texts)} {time_ms}000000" for time_ms, texts in fields.items()]
        yield "\n".join(lines).encode()


PAYLOADS: Final = {"batches": batches_of, "lines": lines_of}


def _walks(agent: int, shape: Shape, readings: int, start_ms: int) -> Iterator[Readings]:
    """The readings of each message."""
    rng = np.random.default_rng(agent)
    rounds = -(-readings // shape.points)
    walk = 20 + np.cumsum(rng.normal(0, 0.05, (rounds, shape.points)), axis=0)
    value = np.round(walk, 2).ravel()[:readings]
    index = np.tile(np.arange(shape.points), rounds)[:readings]
    late = np.repeat(np.arange(rounds), shape.points)[:readings] * PERIOD_MS
    quality = np.zeros(readings, np.uint8)
    for at in range(0, readings, shape.batch):
        part = slice(at, at + shape.batch)
        yield Readings(index[part], start_ms + late[part], value[part], quality[part])


@dataclass(slots=True)
class _Agent:
    """What one agent sends: whole PUBLISH packets, how many were sent, how many are committed."""

    packets: list[bytes]
    sent: int = 0
    committed: int = 0
    answered: bool = False
    moved: float = 0.0


class Publisher:
    """One connection for all agents. Rates are readings a second; 0 is as fast as it goes."""

    def __init__(
        self,
        shape: Shape,
        readings: int,
        start_ms: int,
        rate: float = 0.0,
        payload: str = "batches",
        lane: Lane = "data",
    ) -> None:
        self._shape = shape
        self._payloads = PAYLOADS[payload]
        self._lane = lane
        self._rate = rate
        self.window = WINDOW
        """Batches of an agent ahead of `committed`; without a collector as many as there are."""
        each = readings // shape.agents
        self.readings = each * shape.agents
        self._agents = {
            agent_name(n): _Agent(self._packets(n, each, start_ms)) for n in range(shape.agents)
        }
        self._news = asyncio.Event()
        self._rest = b""
        self._acknowledged = 0

    def _packets(self, agent: int, readings: int, start_ms: int) -> list[bytes]:
        where = topic(SITE, agent_name(agent), self._lane)
        batches = self._payloads(agent, self._shape, readings, start_ms)
        return [mqtt.publish(where, b, number=1 + n % 60_000) for n, b in enumerate(batches)]

    @property
    def messages(self) -> int:
        """How many batches there are."""
        return sum(len(agent.packets) for agent in self._agents.values())

    async def connect(self, host: str, port: int, user: str, password: str) -> None:
        """Connect and send every birth."""
        self._reader, self._writer = await asyncio.open_connection(host, port, limit=1 << 20)
        self._writer.write(mqtt.connect("load", keepalive_s=0, user=user, password=password))
        self._writer.write(mqtt.subscribe(1, [topic(SITE, "+", "committed")], qos=0))
        for n, name in enumerate(self._agents):
            birth = birth_of(n, self._shape)
            where = topic(SITE, name, "birth")
            self._writer.write(mqtt.publish(where, birth, number=60_001, retain=True))
        await self._writer.drain()
        self._hearing = asyncio.create_task(self._hear())

    async def answered(self) -> None:
        """Wait until the collector has answered every birth."""
        async with asyncio.timeout(ANSWER_S_MAX):
            await self._until(lambda: all(a.answered for a in self._agents.values()))

    async def pour(self) -> None:
        """Send everything to nobody in particular: no window, until the broker has it all."""
        self.window = sys.maxsize
        while await self._round(time.monotonic()):
            pass
        taken = self.messages + len(self._agents)
        await self._until(lambda: self._acknowledged >= taken)

    async def send(self) -> None:
        """Send everything; returns when the last is committed."""
        started = time.monotonic()
        while not all(a.committed >= len(a.packets) for a in self._agents.values()):
            self._news.clear()
            wrote = await self._round(started)
            if not wrote:
                await self._wait()

    async def close(self) -> None:
        """End the connection when everything is on its way."""
        self._writer.write(mqtt.DISCONNECT)
        self._writer.close()
        await self._writer.wait_closed()
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)

    async def _round(self, started: float) -> int:
        allowed = sys.maxsize
        if self._rate:
            sent = sum(a.sent for a in self._agents.values())
            allowed = int((time.monotonic() - started) * self._rate / self._shape.batch) - sent
        pieces: list[bytes] = []
        for agent in self._agents.values():
            upto = min(
                agent.committed + self.window, len(agent.packets), agent.sent + FRAMES_AT_ONCE
            )
            upto = min(upto, agent.sent + max(0, allowed - len(pieces)))
            pieces += agent.packets[agent.sent : upto]
            agent.sent = max(agent.sent, upto)
        if pieces:
            self._writer.write(b"".join(pieces))
            await self._writer.drain()
        return len(pieces)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(0.01 if self._rate else STUCK_S):
                await self._news.wait()
        except TimeoutError:
            if not self._rate:
                for agent in self._agents.values():
                    agent.sent = agent.committed

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._news.clear()
            await self._news.wait()

    async def _hear(self) -> None:
        while piece := await self._reader.read(1 << 20):
            published, others, used = mqtt.cut(self._rest + piece)
            self._acknowledged += sum(1 for frame in others if frame.kind == mqtt.PUBACK)
            self._rest = (self._rest + piece)[used:]
            for message in published:
                agent = self._agents.get(message.topic.split("/")[3])
                if agent is not None:
                    mark = msgspec.json.decode(message.payload, type=Committed)
                    agent.answered = True
                    agent.committed = max(agent.committed, getattr(mark, self._lane))
            self._news.set()


async def _main(options: argparse.Namespace) -> None:
    now_ms = time.time_ns() // 1_000_000
    publisher = Publisher(
        SHAPES[options.shape], options.readings, now_ms, options.rate, options.payload, options.lane
    )
    await publisher.connect(options.host, options.port, options.user, options.password)
    if not options.pour:
        await publisher.answered()
    report = {"readings": publisher.readings, "messages": publisher.messages}
    print(json.dumps({"ready": True, **report}), flush=True)
    if options.wait:
        await asyncio.to_thread(sys.stdin.readline)
    started = time.monotonic()
    await (publisher.pour() if options.pour else publisher.send())
    seconds = time.monotonic() - started
    await publisher.close()
    rate = publisher.readings / seconds
    print(json.dumps({"seconds": round(seconds, 3), "readings_per_s": round(rate), **report}))


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--shape", choices=SHAPES, default="natural")
    parser.add_argument("--payload", choices=PAYLOADS, default="batches", help="lines: InfluxDB's")
    parser.add_argument("--lane", choices=("data", "backfill"), default="data")
    parser.add_argument("--readings", type=int, default=READINGS)
    parser.add_argument("--rate", type=float, default=0.0, help="readings a second (0: no limit)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--pour", action="store_true", help="without a collector: no window")
    parser.add_argument(
        "--wait", action="store_true", help="wait for a line on stdin before sending"
    )


def run(options: argparse.Namespace) -> int:
    """Publish a load and say how long it took until everything was committed. Raises `Unavailable`."""
    try:
        asyncio.run(_main(options))
    except OSError as error:
        raise Unavailable(f"no broker takes the load at {options.host}:{options.port} ({error}): start one, or name it with --host and --port") from error  # fmt: skip
    return 0


def main(argv: list[str] | None = None) -> int:
    """The load alone, without the other commands."""
    parser = argparse.ArgumentParser(prog="steward simulate load", description=__doc__)
    add(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
