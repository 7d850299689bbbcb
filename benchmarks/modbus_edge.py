"""An edge agent in a process of its own, as `steward edge` makes it, with a broker or without; or a bare pymodbus loop.

Says `{"live": …}` in a line of JSON when the first good value is kept, then on each line of its
standard input what it has taken so far; ends with its standard input.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo

    from edge.outbox import Outbox

TOLD_EVERY_S: Final = 49.0
"""A loop that reads every 10 s so tells every fifth read, as an agent does whose points may be silent for a minute."""
PAGE_KB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


def say(**words: Any) -> None:
    """One line of JSON."""
    print(json.dumps(words), flush=True)


class Done(NamedTuple):
    """What was done since the start: reads, readings of them that were bad, and readings that who received them confirmed."""

    reads: int
    bad: int = 0
    confirmed: int = 0


def taken(so_far: Callable[[], Done]) -> dict[str, float]:
    """CPU seconds so far, memory now, and what was done for it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "cpu_s": used.ru_utime + used.ru_stime,
        "rss_kb": pages * PAGE_KB,
        **so_far()._asdict(),
    }


def under_way(box: "Outbox") -> Iterator[int]:
    """Of each batch that has a number and is not confirmed, how many readings it holds."""
    from edge.readings import LANES, decode_batch

    for lane in LANES:
        after = box.mark(lane)
        while found := box.numbered(lane, after):
            yield len(decode_batch(box.payload(found, 0)).v)
            after = found.seq


async def agent(folder: Path, kept: Path, *, keeps: bool, sends: bool) -> None:
    """The agent `edge` of the plant in a folder; what the measurement needs is imported as it starts.

    Unless it `keeps` what is news, it judges it and lets it go: polling alone. It `sends` what it keeps
    to the broker that the environment names, or has none.
    """
    import numpy as np

    from commands.access import edge_user, password
    from commands.edge import Readers, check_budget, own_lines
    from config.clock import ScaledClock
    from config.load import load_plant
    from config.settings import read_settings
    from edge.agent import Agent
    from edge.mqtt_publisher import paho_connect
    from edge.outbox import Outbox
    from edge.ports import Connect, LinkLost, PointReading, PublisherContext
    from edge.readings import BAD

    def nowhere(will: bytes) -> PublisherContext:
        raise LinkLost("a measurement has no broker")

    class Told(Agent):
        """Says when the first good value is kept."""

        live = False

        def take(self, readings: Sequence[PointReading]) -> None:
            if keeps:
                Agent.take(self, readings)
            else:
                self._news.news(self._plausible.judged(readings, self.clock.monotonic()))
            if not self.live and any(reading.quality < BAD for reading in readings):
                self.live = True
                say(live=True)

    plant, clock, rng = load_plant(folder), ScaledClock(), np.random.default_rng(1)
    check_budget(plant, "edge")
    settings = read_settings()
    readers = Readers(settings, clock)
    readers.know(plant)
    connect: Connect = nowhere
    if sends:
        user = edge_user(plant.site, "edge")
        word = password(user, settings)
        where = (settings.broker_host, settings.broker_port)
        connect = paho_connect(*where, user, word, plant.site, "edge")
    told = Told(
        plant, "edge", {line.id: readers.make(plant, line) for line in own_lines(plant, "edge")},
        Outbox(kept, now=clock.now(), rng=rng), connect, clock, rng,
    )  # fmt: skip

    def so_far() -> Done:
        stats, sent = [poller.stats for poller in told.pollers], told.outbox.counts()
        return Done(
            reads=sum(one.reads for one in stats),
            bad=sum(one.errors.total() for one in stats),
            confirmed=sum(one.sent for one in sent) - sum(under_way(told.outbox)),
        )

    await _until_input_ends(told.run(), so_far)


async def bare(ports: Sequence[int], count: int, period_s: float, broker: int) -> None:
    """Per port a loop that reads as many words as often, and drops them.

    With the port of a `broker` it sends them once a minute, as JSON at QoS 1, and waits for nothing.
    """
    from pymodbus.client import AsyncModbusTcpClient

    reads = bad = 0
    told: list[MQTTMessageInfo] = []
    send = _sender(broker) if broker else None

    async def loop(port: int, place: float) -> None:
        nonlocal reads, bad
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        await asyncio.sleep(place * period_s)
        told_at = -TOLD_EVERY_S
        while True:
            answer = await client.read_holding_registers(0, count=count, device_id=1)
            reads += 1
            if answer.isError() or len(answer.registers) != count:
                bad += count
            elif send and time.monotonic() - told_at >= TOLD_EVERY_S:
                told_at = time.monotonic()
                told.append(send(json.dumps([place, told_at, answer.registers])))
            await asyncio.sleep(period_s)

    async def every() -> None:
        await asyncio.gather(*(loop(port, n / len(ports)) for n, port in enumerate(ports)))

    def so_far() -> Done:
        return Done(reads, bad, count * sum(one.is_published() for one in told))

    say(live=True)
    await _until_input_ends(every(), so_far)


def _sender(port: int) -> Callable[[str], "MQTTMessageInfo"]:
    """Publishes by paho with its own thread, as its documentation has it."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    from benchmarks.running import WORDS

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("load", WORDS["load"])
    client.connect("127.0.0.1", port, keepalive=20)
    client.loop_start()
    return lambda text: client.publish("bench/readings", text, qos=1)


async def _until_input_ends(work: Any, so_far: Callable[[], Done]) -> None:
    running, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        say(**taken(so_far))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # of its broker, where there is none
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plant", type=Path)
    parser.add_argument("--keeps-nothing", action="store_true")
    parser.add_argument("--sends", action="store_true")
    parser.add_argument("--bare", nargs="*", type=int)
    parser.add_argument("--broker", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--period", type=float, default=10.0)
    words = parser.parse_args()
    if words.plant is None:
        asyncio.run(bare(words.bare, words.count, words.period, words.broker))
    else:
        with tempfile.TemporaryDirectory(prefix="steward-bench-") as name:
            keeps = not words.keeps_nothing
            asyncio.run(agent(words.plant, Path(name) / "outbox", keeps=keeps, sends=words.sends))
