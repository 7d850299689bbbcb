"""Rows 16 to 18: what an edge agent takes: memory, CPU at rest, seconds from its start to its first value."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.modbus_devices import serving
from benchmarks.rows import Row
from benchmarks.running import ROOT, Failed, broker, end, go, line_of, say, started
from commands.installation import Installation, Stop
from commands.part_servers import free_port
from commands.parts import NotHere, ensure
from config.load import load_plant

ROUNDS: Final = 3
UNIT: Final = "% of a core"
PACE_S: Final = 5.0
REST_S: Final = 10.0
REST_DEVICES: Final = 10
REST_POINTS: Final = 100
TOLD_S: Final = 50.0
"""So often each value is told that does not change: with every fifth read, by the agent and by the loop."""
ON_THE_WAY_MAX: Final = 3
"""Devices whose values may be on their way when a process is asked."""
FEW: Final = (100, 10)
MANY_POINTS: Final = (100, 100)
MANY_DEVICES: Final = (1000, 10)
"""Devices, and points of each."""
SITE: Final = """site = "bench"
name = {{ en = "Bench" }}
time_zone = "UTC"
calendar = "cn"

[poll]
normal = "{pace}"
"""
PROFILE: Final = """profile = "meter"
version = 1
name = { en = "Meter" }
protocol = "modbus"
class = "energy-meter"
"""
POINT: Final = """
[points.v{n}]
name = {{ en = "Value {n}" }}
at = "holding:{n}"
type = "i16"
unit = "°C"
scale = 0.1
decimals = 1
range = [-4000, 4000]
poll = "normal"
"""
DEVICE: Final = """
[lines.l{n}]
agent = "edge"
tcp = "127.0.0.1:{port}"

[assets.m{n}]
name = {{ en = "Meter {n}" }}
system = "elevator"

[devices.d{n}]
profile = "meter"
line = "l{n}"
asset = "m{n}"
unit = 1
"""


def _memory() -> Iterator[Row]:
    """Of each size the median of several agents: what the system maps and what a heap leaves unused differ from one to the next."""
    sizes = (FEW, MANY_POINTS, MANY_DEVICES)
    rounds = [[_resident_kb(*size) for size in sizes] for _ in range(ROUNDS)]
    few, points, devs = (median(found) for found in zip(*rounds, strict=True))
    per_point = (points - few) / (MANY_POINTS[0] * (MANY_POINTS[1] - FEW[1]))
    per_device = (devs - points) / (MANY_DEVICES[0] - MANY_POINTS[0])
    spread = ", ".join(f"{max(found) - min(found):.0f}" for found in zip(*rounds, strict=True))
    note = f"resident memory of an agent with {FEW}, {MANY_POINTS} and {MANY_DEVICES} devices and points of each: {few / 1024:.1f}, {points / 1024:.1f} and {devs / 1024:.1f} MB, medians of {ROUNDS} that differ by {spread} KB; each device on a line of its own; plant, reader, last readings, outbox"
    yield Row("16 memory of a point", per_point, "KB", None, 0.25, "lower", note)
    yield Row("16 memory of a device and its line", per_device, "KB", None, 20.0, "lower")


def _resident_kb(count: int, points: int) -> float:
    say(f"  row 16: {count} devices with {points} points each")
    with _agent(count, points, PACE_S) as agent:
        while agent.asked()["reads"] < 3 * count:
            time.sleep(0.5)
        return agent.asked()["rss_kb"]


def _rest(lasts_s: float) -> Iterator[Row]:
    """An agent and what it is made of, each beside a bare loop that does as much, all at the same time.

    At rest the equipment shows what it showed; the busy agent's shows other values at each read. What delivers has a
    server of its own, or for the loop a Mosquitto, whose CPU is not counted (decision 147).
    """
    mosquitto = ensure(["mosquitto"])["mosquitto"]
    if isinstance(mosquitto, NotHere):
        yield Row("17 CPU of an agent at rest", None, UNIT, note=f"not run: {mosquitto.reason}")
        return
    with (
        broker(mosquitto) as (server, _),
        _agent(REST_DEVICES, REST_POINTS, REST_S, "--keeps-nothing") as polling,
        _agent(REST_DEVICES, REST_POINTS, REST_S, values=1, sends=True) as whole,
        _agent(REST_DEVICES, REST_POINTS, REST_S, sends=True) as busy,
        _bare(whole.ports) as bare,
        _bare(whole.ports, "--broker", str(server.port)) as sending,
    ):
        time.sleep(REST_S + 2.0)
        processes = (bare, sending, polling.process, whole.process, busy.process)
        asked_at = [[asked(process) for process in processes]]
        for number in range(ROUNDS):
            say(f"  row 17: {number + 1} of {ROUNDS} times {lasts_s:.0f} s at rest")
            time.sleep(lasts_s)
            asked_at.append([asked(process) for process in processes])
    rounds = [
        [_between(*both) for both in zip(before, after, strict=True)]
        for before, after in pairwise(asked_at)
    ]
    for one in rounds:
        check_rest(one, lasts_s)
    used = [100 * median(one["cpu_s"] for one in of) / lasts_s for of in zip(*rounds, strict=True)]
    yield from _rest_rows(used, rounds[-1], lasts_s)


def _between(before: Mapping[str, float], after: Mapping[str, float]) -> Mapping[str, float]:
    """What was done from one asking to the next."""
    return {name: after[name] - before[name] for name in after}


def check_rest(done: Sequence[Mapping[str, float]], lasts_s: float) -> None:
    """Raises `Failed` unless all did what was due: the bare loops, polling alone, the agent, the busy one.

    All read as often, each reading was good, and who sends has sent each value as often as was due, all of it confirmed.
    """
    cycles, told = lasts_s / REST_S, int(lasts_s / TOLD_S)
    reads = [one["reads"] for one in done]
    if max(reads) - min(reads) > REST_DEVICES or min(reads) < REST_DEVICES * (cycles - 1):
        raise Failed(f"not all read as often as was due: {reads}")
    if bad := [one["bad"] for one in done if one["bad"]]:
        raise Failed(f"not all that was read is good: {bad} readings")
    _, sending, _, whole, busy = done
    for one, times in ((sending, told), (whole, told), (busy, int(cycles) - 1)):
        due = REST_POINTS * (REST_DEVICES * times - ON_THE_WAY_MAX)
        if one["confirmed"] < due:
            raise Failed(f"{due} readings were due to be sent and confirmed: {one}")


def _rest_rows(
    used: Sequence[float], done: Sequence[Mapping[str, float]], lasts_s: float
) -> Iterator[Row]:
    loop, sends, polls, agent, stirred = used
    _, sending, _, whole, busy = done
    of = f"{REST_DEVICES} devices with {REST_POINTS} points each, read every {REST_S:g} s, all good; median of {ROUNDS} times {lasts_s:.0f} s"
    told = ", ".join(f"{one['confirmed']:.0f}" for one in (sending, whole, busy))
    note = f"{of}; the agent tells each value within a minute, in batches on disk that its server confirms; a loop sends the same as JSON by paho at QoS 1 and keeps nothing; readings sent and confirmed in the last of them: loop, agent, busy agent {told}"
    yield Row("17 CPU of an agent at rest, and of a loop that drops all", agent, UNIT, loop, 2.0, "lower", note)  # fmt: skip
    yield Row("17 the same agent", agent, UNIT, None, 1.0, "lower")
    yield Row("17 the same agent, and a loop that sends", agent, UNIT, sends, 2.0, "lower")
    yield Row("17 its reading and judging, and a loop that drops all", polls, UNIT, loop, 2.0, "lower")  # fmt: skip
    yield Row("17 other values at each read, all delivered", stirred, UNIT, sends)


@contextmanager
def _bare(ports: Sequence[int], *how: str) -> Iterator[subprocess.Popen[str]]:
    process = started(
        "benchmarks.modbus_edge", "--count", str(REST_POINTS), "--period", str(REST_S), *how,
        "--bare", *map(str, ports),
    )  # fmt: skip
    try:
        line_of(process)
        yield process
    finally:
        end(process)


def _start() -> Row:
    count, points = MANY_POINTS
    ours, imports = [], []
    for number in range(ROUNDS):
        say(f"  row 18: start {number + 1} of {ROUNDS}")
        with _agent(count, points, PACE_S) as agent:
            ours.append(agent.live_s)
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import fastapi"], check=True, cwd=ROOT)
        imports.append(time.perf_counter() - begun)
    mine, fastapi = median(ours), median(imports)
    note = f"{count * points} points on {count} devices, the edge's share: from the start of its process to the first good value, {mine:.2f} s; `import fastapi` {fastapi:.2f} s; medians of {ROUNDS}"
    return Row("18 start to first value beyond `import fastapi`", mine - fastapi, "s", None, 2.0, "lower", note)  # fmt: skip


# --- an agent in a process of its own


@dataclass(frozen=True, slots=True)
class _Agent:
    """At work on devices at these ports; `live_s` from its start to its first good value."""

    process: subprocess.Popen[str]
    ports: Sequence[int]
    live_s: float

    def asked(self) -> Mapping[str, float]:
        """What it has taken so far."""
        return asked(self.process)


def asked(process: subprocess.Popen[str]) -> Mapping[str, float]:
    """What one of `benchmarks.modbus_edge` has taken so far."""
    go(process)
    return line_of(process)


@contextmanager
def _agent(
    count: int, points: int, pace_s: float, *how: str, values: int = 1000, sends: bool = False
) -> Iterator[_Agent]:
    with (
        serving("--tcp", str(count), "--values", str(values)) as found,
        tempfile.TemporaryDirectory() as name,
        ExitStack() as stack,
    ):
        ports = list(found["ports"])
        _write_plant(Path(name), ports, points, pace_s)
        told = stack.enter_context(_site(name)) if sends else None
        words = ["--plant", name, *how, *(["--sends"] if sends else [])]
        begun = time.perf_counter()
        process = started("benchmarks.modbus_edge", *words, environment=told)
        try:
            line_of(process)
            yield _Agent(process, ports, time.perf_counter() - begun)
        finally:
            end(process)


@contextmanager
def _site(plant: str) -> Iterator[Mapping[str, str]]:
    """Broker and server of a plant; what its agent is told of them."""
    with tempfile.TemporaryDirectory() as data:
        site = Installation({plant: load_plant(Path(plant))}, Path(data), free_port(), who="  row 17")  # fmt: skip
        try:
            site.prepare()
            site.run("broker", "broker", plant)
            site.run("server", "server", plant)
            if not site.wait_for_server(Stop(install=False)):
                raise Failed("no server")
            yield site.environment(site.broker_port)
        finally:
            site.children.stop()


def _write_plant(folder: Path, ports: Sequence[int], points: int, pace_s: float) -> None:
    (folder / "profiles").mkdir()
    rows = "".join(POINT.format(n=n) for n in range(points))
    (folder / "profiles" / "meter.toml").write_text(PROFILE + rows)
    devices = "".join(DEVICE.format(n=n, port=port) for n, port in enumerate(ports))
    (folder / "plant.toml").write_text(SITE.format(pace=f"{pace_s:g}s") + devices)


MEASURES: Final[Mapping[str, Callable[[bool], Iterable[Row]]]] = {
    "16": lambda _: _memory(),
    "17": lambda small: _rest(TOLD_S if small else 2 * TOLD_S),
    "18": lambda _: [_start()],
}
"""By the number of a row; small looks at the agent's rest for half as long."""
