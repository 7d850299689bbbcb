"""The live feed of one site: encoded once per tick for everybody, a slow client gets a snapshot later."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec

from api.at_once import chunk
from api.problems import Problem
from api.site_views import columns_of, live_columns, live_head
from api.times import text_of
from collector.ports import LiveView
from config.clock import Clock

TICK_S = 0.25
TICKS_PER_BEAT = 4
TICKS_PER_SERIALS = 2
FRAMES_MAX = 16
CLIENTS_MAX = 1000

Serials = Mapping[str, int]
"""`alarms`, `orders`, `plans` to a number that grows when the list changed."""

AtOnce = Callable[[bytes], bool]
"""Writes an HTTP chunk to a reader who waits for it; False if not: then its frame goes the usual way."""


def frame(mark: int, event: str, data: Any) -> bytes:
    """One server-sent event; its id is the mark to resume from."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (mark, event.encode(), msgspec.json.encode(data))


def never(_chunk: bytes) -> bool:
    """Of a reader whose connection nobody knows: everything goes the usual way."""
    return False


class _Client:
    """One reader: at most `FRAMES_MAX` ticks' frames wait for it, then it is behind."""

    __slots__ = ("at_once", "behind", "frames", "news", "waits")

    def __init__(self, at_once: AtOnce) -> None:
        self.frames: deque[bytes] = deque()
        self.behind = False
        self.waits = False
        self.news = asyncio.Event()
        self.at_once = at_once

    def push(self, new: bytes) -> None:
        """What could not be said at once."""
        self.waits = False
        if self.behind:
            return
        if len(self.frames) >= FRAMES_MAX:
            self.frames.clear()
            self.behind = True
        else:
            self.frames.append(new)
        self.news.set()


class Feed:
    """Watches the live table of a site while somebody listens.

    `now` is the site's clock, `wall` paces the ticks: at most four a second of real time.
    """

    def __init__(
        self,
        site: str,
        live: LiveView,
        clock: Clock,
        wall: Clock,
        serials: Callable[[], Awaitable[Serials]],
    ) -> None:
        self._site = site
        self._live = live
        self._clock = clock
        self._wall = wall
        self._read_serials = serials
        self._serials: dict[str, int] = {}
        self._clients: set[_Client] = set()
        self._task: asyncio.Task[None] | None = None
        self._mark = 0
        self._columns: tuple[int, bytes] = (0, b"")

    async def listen(
        self, last_event_id: str = "", at_once: AtOnce = never
    ) -> AsyncIterator[bytes]:
        """Frames for one reader, for ever; resumes from a mark of this life.

        While the reader waits for the next one, `at_once` is asked first.

        Raises:
            Problem: `unavailable` when too many listen.
        """
        if len(self._clients) >= CLIENTS_MAX:
            raise Problem("unavailable", f"{CLIENTS_MAX} listen already")
        client = _Client(at_once)
        self._clients.add(client)
        try:
            await self._begin()
            yield self._first(last_event_id)
            for known in self._serial_frames(self._serials):
                yield known
            while True:
                client.waits = not client.news.is_set()
                await client.news.wait()
                client.news.clear()
                if client.behind:
                    client.behind = False
                    yield self._snapshot() + b"".join(self._serial_frames(self._serials))
                while client.frames:
                    yield client.frames.popleft()
        finally:
            self._clients.discard(client)
            if not self._clients:
                await self.close()

    def whole(self) -> bytes:
        """The whole table as JSON; its columns are encoded once for all who ask before one changes."""
        mark, columns = self._columns
        if not columns or len(self._live.changes_since(self._site, mark).points):
            snapshot = self._live.snapshot(self._site)
            mark, columns = snapshot.mark, b"," + msgspec.json.encode(columns_of(snapshot))[1:]
            self._columns = (mark, columns)
        head = msgspec.json.encode(live_head(mark, self._clock.now()))
        return head[:-1] + columns  # copied once: it may be a megabyte

    async def close(self) -> None:
        """Stop watching; goes on with the next listener."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _begin(self) -> None:
        if self._task is not None:
            return
        self._mark = self._live.snapshot(self._site).mark
        self._task = asyncio.create_task(self._watch(), name=f"feed {self._site}")
        self._serials = dict(await self._read_serials())

    def _first(self, last_event_id: str) -> bytes:
        if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19):
            return self._snapshot()
        changed = self._live.changes_since(self._site, int(last_event_id))
        if len(changed.points) == len(self._live.snapshot(self._site).points):
            return self._snapshot()
        return frame(changed.mark, "changes", live_columns(changed, self._clock.now()))

    def _snapshot(self) -> bytes:
        content = msgspec.Raw(self.whole())
        return frame(self._columns[0], "snapshot", content)

    def _serial_frames(self, serials: Serials) -> list[bytes]:
        return [frame(self._mark, name, {"serial": n}) for name, n in serials.items()]

    async def _watch(self) -> None:
        tick = 0
        while True:
            await self._wall.sleep_until(self._wall.monotonic() + TICK_S)
            tick += 1
            news = await self._news() if tick % TICKS_PER_SERIALS == 0 else {}
            frames = [*self._changes(), *self._serial_frames(news)]
            if tick % TICKS_PER_BEAT == 0:
                frames.append(frame(self._mark, "beat", {"now": text_of(self._clock.now())}))
            self._push(b"".join(frames))

    def _changes(self) -> list[bytes]:
        changed = self._live.changes_since(self._site, self._mark)
        self._mark = changed.mark
        if not len(changed.points):
            return []
        return [frame(changed.mark, "changes", live_columns(changed, self._clock.now()))]

    async def _news(self) -> Serials:
        """Lists that have changed."""
        now = dict(await self._read_serials())
        news = {name: n for name, n in now.items() if n != self._serials.get(name)}
        self._serials = now
        return news

    def _push(self, new: bytes) -> None:
        """One write for each client, whatever a tick has to say."""
        if new:
            in_a_chunk = chunk(new)
            for client in self._clients:
                if not (client.waits and client.at_once(in_a_chunk)):
                    client.push(new)
