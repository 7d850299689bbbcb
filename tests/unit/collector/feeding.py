"""A small plant, messages as its agents would send them, and recorders for ingest's tests."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from collector.adapters.memory_journal import MemoryJournal
from collector.groups import Group
from collector.ports import MarkKey, Message, StoreBatch, Unavailable
from config.plant import Asset, Device, Line, Plant, Point, PointSpec, System
from config.profile import JsonPath
from edge.readings import Batch, Birth, PointRow, encode, topic

T = TypeVar("T")
SITE = "riverside"
NAMES = {"en": "x"}
T0 = 1_763_700_000_000


def plant(points_of: Mapping[str, Sequence[str]] | None = None) -> Plant:
    """One device per agent; its points are those named."""
    points_of = points_of or {"a1": ("pump/flow", "pump/pressure"), "a2": ("fan/speed",)}
    spec = PointSpec(NAMES, "measurement", "bar", JsonPath("", ()))
    points = {
        p: Point(p, p.split("/")[0], agent, spec)
        for agent, names in points_of.items()
        for p in names
    }
    assets = {p.asset: Asset(p.asset, NAMES, "water") for p in points.values()}
    return Plant(
        site=SITE, name=NAMES, time_zone="UTC", calendar="", seasons={},
        systems={"water": System("water", NAMES)}, locations={}, agents=tuple(points_of),
        lines={a: Line(a, a, "mqtt") for a in points_of},
        devices={a: Device(a, "x", a, "pump") for a in points_of},
        profiles={}, assets=assets, points=points, rules={}, plans={}, poll_classes={},
    )  # fmt: skip


def birth(
    *points: str, agent: str = "a1", epoch: str = "E1", unit: str = "bar", at: int = T0,
    retired: Sequence[int] = (),
) -> Message:  # fmt: skip
    names = points or ("pump/flow", "pump/pressure")
    rows = [
        PointRow(i, name, unit, "measurement", 2, "data", 10, 60, retired=i in retired)
        for i, name in enumerate(names)
    ]
    payload = encode(Birth("1.0", 1, epoch, "1", "hash", rows))
    return Message(topic(SITE, agent, "birth"), payload, at)


Reading = (
    tuple[int, float | None] | tuple[int, float | None, int] | tuple[int, float | None, int, int]
)


def batch(
    seq: int,
    *readings: Reading,
    agent: str = "a1",
    lane: str = "data",
    at: int = T0,
    error: int = 0,
) -> Message:
    """Readings are (index, value, quality = 0, offset from `at` in ms = 0); `error` is the agent's clock's."""
    columns = [(*r, 0, 0)[:4] if len(r) == 2 else (*r, 0)[:4] for r in readings]
    i, v, q, d = (list(c) for c in zip(*columns, strict=True)) if columns else ([], [], [], [])
    payload = encode(Batch("E1", seq, 1, at + error, at + error, i, d, v, q))
    return Message(topic(SITE, agent, lane), payload, at)


class Source:
    """A `BatchSource` that is given lists and keeps what was committed."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bool]] = []
        self._lists: deque[list[Message]] = deque()
        self._news = asyncio.Event()
        self._closed = False

    def give(self, *messages: Message) -> None:
        self._lists.append(list(messages))
        self._news.set()

    async def batches(self) -> AsyncIterator[list[Message]]:
        while not self._closed or self._lists:
            if self._lists:
                yield self._lists.popleft()
            else:
                self._news.clear()
                await self._news.wait()

    def waiting(self) -> list[Message]:
        return self._lists[0] if self._lists else []

    async def commit(self, topic: str, payload: bytes, *, retain: bool) -> None:
        self.sent.append((topic, payload, retain))

    async def close(self) -> None:
        self._closed = True
        self._news.set()


class Recorder:
    """A judge that keeps what it was given; `away` makes its ledger unreachable that many times."""

    def __init__(self, position: int = 0) -> None:
        self.position = position
        self.groups: list[Group] = []
        self.said: list[str] = []
        self.away = 0

    def judge(self, group: Group) -> None:
        self.groups.append(group)
        self.said.append("judge")

    def recall(self) -> None:
        self.said.append("recall")

    def flush(self) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("ledger away")
        if self.groups:
            self.position = self.groups[-1].position


class Store:
    """Keeps rows (point, time, value, quality) and a cursor; `away` makes writes fail that many times."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, float, int]] = []
        self.position = 0
        self.away = 0
        self.writes = 0

    def write(self, batches: Sequence[StoreBatch], cursor: int) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("store away")
        for b in batches:
            points = [b.keys[k].point for k in b.key.tolist()]
            self.rows += zip(
                points, b.time.tolist(), b.value.tolist(), b.quality.tolist(), strict=True
            )
        self.position = cursor
        self.writes += 1

    def cursor(self) -> int:
        if self.away:
            self.away -= 1
            raise Unavailable("store away")
        return self.position


def same(one: Group, other: Group) -> bool:
    """Whether two groups are equal to the last byte."""
    columns = ("row", "time", "value", "quality", "live", "agent")
    return (one.position, one.received, one.agents) == (
        other.position, other.received, other.agents,
    ) and all(
        np.array_equal(getattr(one, c).tobytes(), getattr(other, c).tobytes()) for c in columns
    )  # fmt: skip


class MarksBeside(MemoryJournal):
    """A journal whose marks may wait for a disk: only work given to `beside` may ask for them."""

    def __init__(self) -> None:
        super().__init__()
        self._is_beside = False

    async def beside(self, work: Callable[[], T]) -> T:
        self._is_beside = True
        try:
            return work()
        finally:
            self._is_beside = False

    def marks(self) -> Mapping[MarkKey, int]:
        assert self._is_beside, "the loop would wait for the journal's lock"
        return super().marks()
