"""What answers in the measurements of the edge: Modbus devices on many ports, or on a serial bus, in a process of their own.

Says in one line of JSON where they are, and serves until its standard input ends.
"""

import argparse
import asyncio
import itertools
import json
import selectors
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from benchmarks.running import end, line_of, started
from config.plant import Serial
from tests.unit.edge.serial_twin import SerialBus, honest_words


@contextmanager
def serving(*words: str) -> Iterator[dict[str, Any]]:
    """Where the devices are that these arguments ask for, in a process of their own."""
    process = started("benchmarks.modbus_devices", *words)
    try:
        yield dict(line_of(process))
    finally:
        end(process)


class Device(asyncio.Protocol):
    """Answers each read at once, with the next of these words; a dead one hears and says nothing."""

    def __init__(self, words: Iterator[bytes], *, dead: bool) -> None:
        self._words = words
        self._dead = dead
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Twelve bytes are one request."""
        self._rest += data
        while len(self._rest) >= 12:
            request, self._rest = self._rest[:12], self._rest[12:]
            if not self._dead and isinstance(self._transport, asyncio.Transport):
                self._transport.write(_answer(request, next(self._words)))


def _answer(request: bytes, word: bytes) -> bytes:
    size = 2 * int.from_bytes(request[10:12], "big")
    head = request[:4] + (size + 3).to_bytes(2, "big") + request[6:8] + bytes((size,))
    return head + word * (size // 2)


async def _tcp(count: int, dead: int, values: int) -> None:
    loop = asyncio.get_running_loop()
    answers = itertools.cycle(n.to_bytes(2, "big") for n in range(values))
    servers = [
        await loop.create_server(lambda n=n: Device(answers, dead=n < dead), "127.0.0.1", 0)  # type: ignore[misc]  # a default
        for n in range(count)
    ]
    print(json.dumps({"ports": [s.sockets[0].getsockname()[1] for s in servers]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _serial(baud: int) -> None:
    answer = lru_cache(honest_words)  # a wire does not wait for Python to work out a checksum
    bus = SerialBus(Serial(baud, "none", 2, turnaround_s=0.0), answer)
    async with bus.running():
        print(json.dumps({"path": bus.path}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _punctual_loop() -> asyncio.AbstractEventLoop:
    """Its timers are exact to microseconds, as a wire is; those of epoll are late by up to a millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tcp", type=int, default=0)
    parser.add_argument("--dead", type=int, default=0)
    parser.add_argument("--values", type=int, default=1000, help="how many answers take turns")
    parser.add_argument("--baud", type=int, default=0)
    words = parser.parse_args()
    if words.tcp:
        asyncio.run(_tcp(words.tcp, words.dead, words.values))
    else:
        with asyncio.Runner(loop_factory=_punctual_loop) as runner:
            runner.run(_serial(words.baud))
