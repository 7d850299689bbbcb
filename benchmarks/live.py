"""Rows 14 and 15: the live snapshot beside the same bytes as a file, and 1 000 listeners of the feed beside a bare write loop."""

import asyncio
import resource
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from benchmarks.live_server import GROUPS_PER_TICK, STATIC
from benchmarks.rows import Row, main
from benchmarks.running import Failed, cpu_s, end, line_of, say, started
from commands.load import SITE
from commands.part_servers import HOST

RUNS: Final = 5
SNAPSHOT_POINTS: Final = 10_000
SNAPSHOT_CHANGING: Final = 500
"""Every 50 ms: all of the points every second."""
SAME_SIZE: Final = 1.01
"""Values and times have a digit more or less."""
ASKERS: Final = 4
ASKED_S: Final = 3.0
FEED_POINTS: Final = 1_000
FEED_CHANGING: Final = 5
"""Every 50 ms: all of the points every ten seconds."""
LISTENERS: Final = 1_000
SETTLED_S: Final = 2.0
"""Until the snapshots are out."""
HEARD_S: Final = 15.0
STARTED_S_MAX: Final = 60.0
ANSWER_S_MAX: Final = 30.0
PIECE: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the live view that runs."""

    process: subprocess.Popen[str]
    port: int
    token: str

    def request(self, path: str) -> bytes:
        """What asks for it on a connection that stays open."""
        return (
            f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        ).encode()


@contextmanager
def server(points: int, changing: int, *more: str) -> Iterator[Server]:
    """One of its own, whose table changes."""
    arguments = ["--points", str(points), "--changing", str(changing), *more]
    process = started("benchmarks.live_server", *arguments)
    try:
        yield Server(process, **line_of(process))
    finally:
        end(process)


# --- row 14 ---------------------------------------------------------------------------------------


def asked(server: Server, path: str, seconds: float) -> float:
    """Answers a second to a few who ask again as soon as they have one."""
    over = time.monotonic() + seconds
    with ThreadPoolExecutor(ASKERS) as pool:
        counts = list(pool.map(lambda _: _ask_until(server, path, over), range(ASKERS)))
    return sum(counts) / seconds


def _ask_until(server: Server, path: str, over: float) -> int:
    """How many whole answers came on one connection; raises `Failed` for one that refuses."""
    request, room, count = server.request(path), bytearray(PIECE), 0
    with socket.create_connection((HOST, server.port), ANSWER_S_MAX) as link:
        while time.monotonic() < over:
            link.sendall(request)
            _, rest = _head(link)
            while rest > 0:
                rest -= link.recv_into(room, min(rest, PIECE))
            count += 1
    return count


def size_of(server: Server, path: str) -> int:
    """Bytes of an answer's body."""
    with socket.create_connection((HOST, server.port), ANSWER_S_MAX) as link:
        link.sendall(server.request(path))
        return _head(link)[0]


def _head(link: socket.socket) -> tuple[int, int]:
    """Reads an answer's head; the bytes of its body, and of these what is still to come."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        piece = link.recv(4096)
        if not piece:
            raise Failed("the server ended the connection")
        heard += piece
    head, _, body = heard.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise Failed(f"the server answers {head[:200]!r}")
    length = next(
        line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    size = int(length.split(b":")[1])
    return size, size - len(body)


def snapshots(runs: int, seconds: float) -> Row:
    """Row 14: both from one server, whose table changes meanwhile."""
    paths = {"live": f"/api/v1/sites/{SITE}/live", "file": f"/{STATIC}"}
    rates: dict[str, list[float]] = {name: [] for name in paths}
    with server(SNAPSHOT_POINTS, SNAPSHOT_CHANGING) as one:
        sizes = [size_of(one, path) for path in paths.values()]
        if max(sizes) > SAME_SIZE * min(sizes):
            raise Failed(f"the snapshot has {sizes[0]} bytes and its file {sizes[1]}")
        for number in range(1, runs + 1):
            for name, path in paths.items():
                rates[name].append(asked(one, path, seconds))
                say(f"  14: {name}, run {number} of {runs}: {rates[name][-1]:.0f} a second")
    ours, bare = (statistics.median(rates[name]) for name in paths)
    note = f"{sizes[0] / 1000:.0f} KB, {SNAPSHOT_POINTS} points, {SNAPSHOT_CHANGING} read anew every 50 ms; {ASKERS} connections, a token looked up in SQLite for each request"
    return Row("14 live snapshot: beside the same bytes as a file", ours, "requests/s", bare, 0.7, note=note)  # fmt: skip


# --- row 15 ---------------------------------------------------------------------------------------


class Listener(asyncio.Protocol):
    """One of many connections that hear and forget."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.heard = 0
        self.begun = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # of a TCP connection
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.heard += len(data)
        self.begun.set()


async def _heard(server: Server, count: int, seconds: float) -> tuple[float, float]:
    """CPU seconds of the server per second, and KB a second to each listener, when all are there."""
    loop = asyncio.get_running_loop()
    request = server.request(f"/api/v1/sites/{SITE}/live/stream")
    made = partial(Listener, request)
    links = [await loop.create_connection(made, HOST, server.port) for _ in range(count)]
    listeners = [listener for _, listener in links]
    async with asyncio.timeout(STARTED_S_MAX):
        await asyncio.gather(*(listener.begun.wait() for listener in listeners))
    await asyncio.sleep(SETTLED_S)
    before, cpu, begun = _amounts(listeners), cpu_s([server.process.pid]), time.monotonic()
    await asyncio.sleep(seconds)
    lasted, cpu = time.monotonic() - begun, cpu_s([server.process.pid]) - cpu
    amounts = [now - then for now, then in zip(_amounts(listeners), before, strict=True)]
    for link, _ in links:
        link.close()
    if min(amounts) < 0.5 * max(amounts):
        raise Failed(f"of {count} listeners one heard {min(amounts)} bytes and one {max(amounts)}")
    return cpu / lasted, statistics.median(amounts) / lasted / 1000


def _amounts(listeners: Sequence[Listener]) -> list[int]:
    return [listener.heard for listener in listeners]


def listened(count: int, runs: int, seconds: float) -> Row:
    """Row 15."""
    sides: Mapping[str, Sequence[str]] = {"ours": (), "bare": ("--bare",)}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    with _many_files():
        for number in range(1, runs + 1):
            for name, more in sides.items():
                with server(FEED_POINTS, FEED_CHANGING, *more) as one:
                    found[name].append(asyncio.run(_heard(one, count, seconds)))
                cpu, rate = found[name][-1]
                say(f"  15: {name}, run {number} of {runs}: {cpu:.3f} cores, {rate:.1f} KB/s each")
    (ours, rate), (bare, bare_rate) = (
        [statistics.median(column) for column in zip(*found[name], strict=True)] for name in sides
    )
    each_s = GROUPS_PER_TICK * FEED_CHANGING * 4
    note = f"{count} listeners, {FEED_POINTS} points of which {each_s} are read anew in a second; {rate:.1f} and {bare_rate:.1f} KB/s to each"
    return Row("15 the feed: beside a bare write loop", 100 * ours, "% of a core", 100 * bare, 1.5, "lower", note)  # fmt: skip


@contextmanager
def _many_files() -> Iterator[None]:
    """For this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(small: bool) -> list[Row]:
    """Rows 14 and 15. Small: a tenth of the listeners, one short run each, no target claimed."""
    if not small:
        return [snapshots(RUNS, ASKED_S), listened(LISTENERS, 3, HEARD_S)]
    rows = [snapshots(1, 1.0), listened(LISTENERS // 10, 1, 3.0)]
    return [replace(row, target=None) for row in rows]


if __name__ == "__main__":
    raise SystemExit(main(run))
