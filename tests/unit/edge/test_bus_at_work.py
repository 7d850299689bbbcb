"""A serial bus behind a transparent gateway, in virtual time: what a fault of one unit costs it and the others."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from commands.proving.fuzz_modbus_lines import FuzzedLoop, PortLoop
from config.clock import VirtualClock
from config.plant import Line, Serial
from config.profile import ModbusLimits
from edge.bus_time import character_s, gap_s
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import NoAnswer, PymodbusTransport
from edge.poller import Poller
from edge.ports import PointReading
from edge.readings import QUALITIES
from tests.unit.edge.polled_line import said
from tests.unit.edge.rows import START_MS, device, line, plant, register_point
from tests.unit.edge.serial_twin import honest_words, sealed

SERIAL = Serial(baud=9600, parity="none", stop_bits=2, turnaround_s=0.005)
TAKES_S = 0.03


@dataclass
class Bus:
    """Units that answer after `TAKES_S` what `answer` makes of a request, b"" for none; it hears when each was asked."""

    loop: FuzzedLoop
    answer: Callable[[bytes], bytes] = honest_words
    asked_at: list[float] = field(default_factory=list)

    def asked(self, written: bytes) -> None:
        self.asked_at.append(self.loop.time())
        frame = self.answer(written)
        if frame:
            self.loop.call_later(TAKES_S, self.loop.deliver, frame)


def played(
    story: Callable[[Bus, PymodbusTransport], Awaitable[None]], timeout_s: float = 1.0,
    loop: FuzzedLoop | None = None, row: Line | None = None,
) -> Bus:  # fmt: skip
    loop = loop or FuzzedLoop()
    loop.devices = bus = Bus(loop)

    async def main() -> None:
        await story(bus, PymodbusTransport(row or bus_line(timeout_s)))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    return bus


def bus_line(timeout_s: float, **fields: float) -> Line:
    return line(
        "l", kind="rtu_over_tcp", host="h", port=1, serial=SERIAL, timeout_s=timeout_s, **fields
    )


@dataclass
class Polled:
    """What a poller told in so many seconds, with the time of the loop."""

    poller: Poller
    told: list[tuple[float, PointReading]]
    bus: Bus

    def good(self, name: str, since: float = 0.0) -> list[float]:
        """When a point was told good."""
        return [
            at for at, one in self.told
            if one.point == name and at >= since and one.quality == QUALITIES["good"]
        ]  # fmt: skip


def polled(
    seconds: float, addresses: list[int], units: int = 1, *, row: Line, seed: int = 1,
    answer: Callable[[Bus, bytes], bytes] = lambda bus, request: honest_words(request),
) -> Polled:  # fmt: skip
    loop = FuzzedLoop()
    loop.devices = bus = Bus(loop)
    bus.answer = lambda request: answer(bus, request)
    clock = VirtualClock(loop, START_MS)
    devices = [device(f"d{unit}", unit=str(unit)) for unit in range(1, units + 1)]
    points = [
        register_point(f"{one.id}/{a}", a, id=f"{one.id}/{a}", device=one.id, period_s=1.0)
        for one in devices for a in addresses
    ]  # fmt: skip
    reader = ModbusReader(PymodbusTransport(row), lambda _: ModbusLimits(), clock, row)
    poller = Poller(plant([row], devices, points), "l", reader, clock, np.random.default_rng(seed))
    told: list[tuple[float, PointReading]] = []

    async def main() -> None:
        task = asyncio.create_task(
            poller.run(lambda readings: told.extend((loop.time(), one) for one in readings))
        )
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    return Polled(poller, told, bus)


def test_nobody_is_asked_while_a_late_answer_of_another_is_on_the_wire() -> None:
    late = honest_words(bytes((1, 3, 0, 0, 0, 60)))
    came: list[float] = []

    async def story(bus: Bus, transport: PymodbusTransport) -> None:
        def piece(byte: int) -> None:
            came.append(bus.loop.time())
            bus.loop.deliver(bytes((byte,)))

        bus.answer = lambda request: honest_words(request) if request[0] == 2 else b""
        assert await transport.request(2, "holding", 0, 2) == [2000, 2001]
        for number, byte in enumerate(late):
            bus.loop.call_later(number * character_s(SERIAL), piece, byte)
        await asyncio.sleep(20 * character_s(SERIAL))
        assert await transport.request(2, "holding", 0, 2) == [2000, 2001]

    bus = played(story)
    assert len(came) == len(late)
    assert bus.asked_at[1] - came[-1] >= gap_s(SERIAL)


def test_a_bus_that_is_never_quiet_is_waited_for_no_longer_than_a_timeout() -> None:
    async def story(bus: Bus, transport: PymodbusTransport) -> None:
        def babble() -> None:
            bus.loop.deliver(b"\0")
            bus.loop.call_later(character_s(SERIAL), babble)

        await transport.request(2, "holding", 0, 2)
        babble()
        begun = bus.loop.time()
        bus.answer = lambda request: b"\0" + honest_words(request)
        assert await transport.request(2, "holding", 0, 2) == [2000, 2001]
        assert bus.asked_at[1] - begun == pytest.approx(0.5, abs=0.02)

    played(story, timeout_s=0.5)


@pytest.mark.parametrize("behind", [b"", honest_words(bytes((9, 3, 0, 0, 0, 2)))], ids=len)
@pytest.mark.parametrize("sizes", [(20,), (1000, 100)], ids=str)
def test_an_answer_is_found_behind_noise_that_came_before_it(
    sizes: tuple[int, ...], behind: bytes
) -> None:
    """More than a few frames at once are let go."""

    async def story(bus: Bus, transport: PymodbusTransport) -> None:
        def noisy(request: bytes) -> bytes:
            for n, size in enumerate(sizes, 1):
                bus.loop.call_later(n * TAKES_S / 4, bus.loop.deliver, bytes(size))
            return behind + honest_words(request)

        bus.answer = noisy
        assert await transport.request(2, "holding", 0, 2) == [2000, 2001]

    played(story)


def test_what_stands_in_a_late_answer_of_another_is_no_answer() -> None:
    inside = sealed(bytes((2, 3, 4, 0, 1, 0, 2)))
    late = sealed(bytes((1, 3, 20, 0)) + inside + bytes(10))

    async def story(bus: Bus, transport: PymodbusTransport) -> None:
        def after_the_late(request: bytes) -> bytes:
            bus.loop.call_later(TAKES_S / 3, bus.loop.deliver, late[:16])
            bus.loop.call_later(TAKES_S / 2, bus.loop.deliver, late[16:])
            return honest_words(request)

        bus.answer = lambda _: b""
        with pytest.raises(NoAnswer):
            await transport.request(1, "holding", 0, 10)
        bus.answer = after_the_late
        assert await transport.request(2, "holding", 0, 2) == [2000, 2001]

    played(story)


def test_noise_of_a_request_hides_nothing_of_the_next() -> None:
    loop = PortLoop()

    async def story(bus: Bus, transport: PymodbusTransport) -> None:
        bus.answer = lambda _: bytes(20)
        with pytest.raises(NoAnswer):
            await transport.request(2, "holding", 0, 2)
        bus.answer = honest_words
        assert await transport.request(2, "holding", 0, 2) == [2000, 2001]
        await transport.close()

    played(story, loop=loop, row=line("l", kind="rtu", path=loop.path, serial=SERIAL))


def test_what_is_no_frame_is_told_by_its_bytes() -> None:
    """A wrong speed or parity is no missing device."""

    async def story(bus: Bus, transport: PymodbusTransport) -> None:
        for noise in (
            b"\xf8\x00\x1f\x9c\x00",
            honest_words(bytes((8, 3, 0, 0, 0, 2)))[:-1] + b"\0",
        ):
            bus.answer = lambda _, noise=noise: noise  # type: ignore[misc]
            with pytest.raises(NoAnswer, match=f"{len(noise)} bytes came, first {noise[:8].hex()}"):
                await transport.request(8, "holding", 0, 2)
            await asyncio.sleep(5.0)

    played(story)


def test_a_block_that_is_always_garbled_costs_its_bus_nothing() -> None:
    def short(_: Bus, request: bytes) -> bytes:
        broken = request[0] == 1 and int.from_bytes(request[2:4], "big") >= 500
        return sealed(bytes((1, 3, 2, 0, 7))) if broken else honest_words(request)

    row = bus_line(1.0)
    wrong, right = (polled(60.0, [0, 1, 500, 501], 5, row=row, answer=how) for how in (short, lambda _, request: honest_words(request)))  # fmt: skip
    assert wrong.poller.stats.missed == right.poller.stats.missed == 0
    assert wrong.poller.stats.busy_s < 1.1 * right.poller.stats.busy_s
    assert len(wrong.good("d1/0")) == len(right.good("d1/0"))
    assert not wrong.good("d1/500")


@pytest.mark.parametrize("timeout_s", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_one_register_is_back_within_six_timeouts_of_a_lost_frame(
    timeout_s: float, seed: int
) -> None:
    def lost(bus: Bus, request: bytes) -> bytes:
        return b"" if len(bus.asked_at) == 5 else honest_words(request)

    row = bus_line(timeout_s, backoff_s_max=2.0)
    it = polled(30.0, [0], row=row, answer=lost, seed=seed)
    lost_at = it.bus.asked_at[4]
    back = it.good("d1/0", since=lost_at)[0] - lost_at
    assert back < 6 * (timeout_s + TAKES_S + 21 * character_s(SERIAL))
    assert it.poller.stats.lost == set()


@pytest.mark.parametrize("seed", range(3))
def test_a_unit_that_may_not_be_asked_yet_says_nothing_of_a_line_that_is_down(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    def unplugged(bus: Bus, request: bytes) -> bytes:
        if request[0] == 1 and 5.0 < bus.loop.time() < 10.0:
            bus.loop.devices = None
            bus.loop.call_later(40.0, setattr, bus.loop, "devices", bus)
            return b""
        return honest_words(request)

    it = polled(90.0, [0], units=2, row=bus_line(3.0), answer=unplugged, seed=seed)
    assert [words.split()[0] for words in said(caplog)["line l"]] == ["lost:", "back"]
    assert it.poller.stats.lost == set()
