"""The fuzzers: a seeded sample holds, and receivers that are careless are found out."""

import asyncio
import gc
import json
import mmap
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import pytest
from pymodbus.transport.serialtransport import SerialTransport

from commands.main import main
from commands.proving import fuzz, fuzz_fire, fuzz_modbus
from commands.proving.fuzz_cases import HONEST, Life, Tally, Wrong, seeded
from commands.proving.fuzz_fire_oracle import sound
from commands.proving.fuzz_modbus import life as modbus_life
from config.plant import Line, LineKind
from config.profile import Table
from edge import fire_centre, gb26875, mqtt_heard, payloads, wills
from edge.modbus_outcome import Apart, Outcome
from edge.modbus_transport import NoAnswer, PymodbusTransport, Refused
from edge.ports import PointReading
from simulators.fire_frames import SEND, frame

SAMPLE = 500
FEW = 100
FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


def found(life: Life, frames: int = 2_000) -> str:
    with pytest.raises(Wrong) as caught:
        life(seeded(7), frames, Tally(), lambda: None)
    return caught.value.what


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_few_of_every_kind_hold(kind: str) -> None:
    """Under coverage, which the others are too long for."""
    done = fuzz.fuzz(FEW, seed=3, kinds=(kind,))
    assert not done.failures
    assert done.parts[kind].tally.values > FEW / 20


@pytest.mark.usefixtures("unmeasured")
def test_a_sample_of_every_kind_holds() -> None:
    done = fuzz.fuzz(SAMPLE, seed=11)
    assert done.problems == []
    assert set(done.parts) == set(fuzz.KINDS)
    for part in done.parts.values():
        assert part.tally.count >= SAMPLE
        assert part.tally.values > SAMPLE / 10, "values are read, not all refused"
        assert part.tally.right == part.tally.values
        assert part.tally.without_value > SAMPLE / 10


# --- memory ----------------------------------------------------------------------------------------


def keeping(keep: Callable[[int], None], at_start: Callable[[], None] = lambda: None) -> Life:
    """A life that accepts each frame, and does so much more with it."""

    def life(_: object, frames: int, tally: Tally, each: Callable[[], None]) -> None:
        at_start()
        for n in range(frames):
            tally.frames["honest"] += 1
            tally.values += 1
            tally.judged([1.0])
            keep(n)
            each()

    return life


def memory(size: int) -> mmap.mmap:
    """Fresh pages of the system: what is allocated may come from what this process has freed before."""
    pages = mmap.mmap(-1, size)
    pages.write(b"x" * size)
    return pages


def problems_of(life: Life, frames: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(fuzz, "KINDS", {"mqtt": life})
    return fuzz.fuzz(frames, seed=1, kinds=("mqtt",)).problems


@pytest.mark.usefixtures("unmeasured")
def test_memory_is_flat_where_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_of(keeping(lambda _: None), 5_000, monkeypatch) == []


@pytest.mark.usefixtures("unmeasured")
def test_a_receiver_that_keeps_large_objects_is_not_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[mmap.mmap] = []
    life = keeping(lambda _: kept.append(memory(4096)))
    assert problems_of(life, 1_000, monkeypatch) == ["mqtt: memory is not flat"]


@pytest.mark.usefixtures("unmeasured")
def test_a_receiver_that_keeps_small_objects_is_not_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of fifty frames, as if of one kind of damage: 60 kB in all, which the process would not show."""
    kept: list[bytes] = []
    life = keeping(lambda n: None if n % 50 else kept.append(bytes(40 + n % 7)))
    assert problems_of(life, fuzz.LIFE_FRAMES, monkeypatch) == ["mqtt: memory is not flat"]


@pytest.mark.usefixtures("unmeasured")
def test_a_receiver_that_fills_what_it_remembers_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last life of a run may be short."""
    monkeypatch.setattr(fuzz, "LIFE_FRAMES", 20_000)
    kept: deque[bytes] = deque(maxlen=2_000)
    life = keeping(lambda n: kept.append(bytes(40 + n % 7)), at_start=kept.clear)
    assert problems_of(life, 22_000, monkeypatch) == []


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("leave", [lambda: memory(50_000), lambda: [bytes(40) for _ in range(10)]], ids=["large", "small"])  # fmt: skip
def test_what_each_receiver_leaves_behind_is_not_flat(
    leave: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No life grows by itself: only the next ones show it."""
    kept: list[object] = []
    life = keeping(lambda _: None, at_start=lambda: kept.append(leave()))
    assert problems_of(life, 10_000, monkeypatch) == ["mqtt: memory is not flat"]


def keeps_of_refusals(kept: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two objects of each exception that a Modbus device answers."""
    right = Refused.__init__

    def keeping_it(self: Refused, code: int) -> None:
        right(self, code)
        kept.extend((object(), bytes(200)))

    monkeypatch.setattr(Refused, "__init__", keeping_it)
    monkeypatch.setattr(fuzz_modbus, "KINDS", ("exception", HONEST))


def keeps_of_bad_checksums(kept: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """400 bytes of each frame with a bad checksum."""
    right = gb26875.Splitter.feed

    def keeping_it(self: gb26875.Splitter, chunk: bytes) -> list[gb26875.Frame | gb26875.BadFrame]:
        found = right(self, chunk)
        bad = [one for one in found if isinstance(one, gb26875.BadFrame)]
        kept.extend(bytes(400) for one in bad if one.verdict is gb26875.Verdict.BAD_CHECKSUM)
        return found

    monkeypatch.setattr(gb26875.Splitter, "feed", keeping_it)
    monkeypatch.setattr(fuzz_fire, "KINDS", ("another checksum", HONEST))


Leak = Callable[[list[object], pytest.MonkeyPatch], None]
LEAKS: list[tuple[str, Leak]] = [
    ("modbus-tcp", keeps_of_refusals),
    ("gb26875", keeps_of_bad_checksums),
]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("kind", "leak"), LEAKS, ids=[kind for kind, _ in LEAKS])
def test_what_is_kept_of_one_kind_of_damage_is_not_flat(
    kind: str, leak: Leak, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That kind is half of all here, to need few frames."""
    leak([], monkeypatch)
    assert fuzz.fuzz(2_500, seed=1, kinds=(kind,)).problems == [f"{kind}: memory is not flat"]


@pytest.mark.usefixtures("unmeasured")
def test_what_nobody_holds_any_more_is_no_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cycles that wait for the collector are thousands of objects."""

    def in_a_cycle(_: int) -> None:
        cycle: list[object] = []
        cycle.append(cycle)

    with_collector_off = keeping(in_a_cycle, at_start=gc.disable)
    try:
        assert problems_of(with_collector_off, 5_000, monkeypatch) == []
    finally:
        gc.enable()


def test_a_little_growth_of_every_kind_is_too_much_together() -> None:
    def part(kind: str) -> fuzz.Part:
        return fuzz.Part(kind, Tally(Counter({"honest": 9}), 1, right=1), grown_mb=1.5)

    assert fuzz.Fuzzing(9, 1, {kind: part(kind) for kind in ("gb26875", "mqtt")}).problems == []
    three = fuzz.Fuzzing(9, 1, {kind: part(kind) for kind in ("gb26875", "mqtt", "modbus-rtu")})
    assert three.problems == ["memory grew by 4.5 MB in all kinds together"]
    assert not three.flat


# --- what proves nothing ---------------------------------------------------------------------------


def test_values_that_nobody_judged_are_no_proof() -> None:
    part = fuzz.Part("mqtt", Tally(Counter({"honest": 9}), values=3, right=2))
    assert part.problems == ["mqtt: only 2 of 3 accepted values were judged"]


def test_a_kind_of_which_nothing_was_accepted_is_no_proof() -> None:
    assert fuzz.Part("mqtt").problems == ["mqtt: nothing was accepted as good"]


def test_fewer_frames_than_asked_for_of_one_kind_are_no_proof() -> None:
    part = fuzz.Part("mqtt", Tally(Counter({"honest": 9}), 1, right=1))
    assert fuzz.Fuzzing(10, 1, {"mqtt": part}).problems == ["mqtt: only 9 frames of 10"]


# --- careless receivers ----------------------------------------------------------------------------


class Careless(asyncio.Protocol):
    """A transport that takes the first bytes that come for its answer."""

    def __init__(self, _: Line) -> None:
        self._came: asyncio.Future[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        if self._came and not self._came.done():
            self._came.set_result(data)

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        loop = asyncio.get_running_loop()
        self._came = loop.create_future()
        wire, _ = await loop.create_connection(lambda: self, "fuzzed", 502)
        pdu = bytes((FUNCTIONS[table],)) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
        wire.write(b"\0\1\0\0\0\6" + bytes((unit,)) + pdu)
        try:
            data = (await asyncio.wait_for(self._came, 1.0))[9:]
        except TimeoutError as error:
            raise NoAnswer from error
        if FUNCTIONS[table] <= 2:
            return [data[n // 8] >> n % 8 & 1 if n // 8 < len(data) else 0 for n in range(count)]
        return [int.from_bytes(data[n : n + 2].ljust(2, b"\0"), "big") for n in range(0, 2 * count, 2)]  # fmt: skip

    async def close(self) -> None:
        pass


@pytest.mark.usefixtures("unmeasured")
def test_a_transport_that_takes_whatever_comes_is_found_out() -> None:
    assert "which no fitting answer says" in found(modbus_life("tcp", Careless))


class Trusting(PymodbusTransport):
    """Keeps a gateway's connection through a silence, and believes what comes first after it."""

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        return await self._ask_once(unit, table, address, count)

    def _late(self, _unit: int) -> set[bytes]:
        return set()

    async def _silent(self, unit: int, _connection: object) -> None:
        self._asked_again_at[unit] = asyncio.get_running_loop().time() + self._line.timeout_s


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["rtu", "rtu_over_tcp"])
def test_a_transport_that_takes_a_late_answer_for_another_is_found_out(kind: LineKind) -> None:
    assert "which no fitting answer says" in found(modbus_life(kind, Trusting), 20_000)


@pytest.mark.usefixtures("unmeasured")
def test_answers_of_a_serial_line_come_through_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: SerialTransport) -> None:
        raise ZeroDivisionError("once")

    monkeypatch.setattr(SerialTransport, "intern_read_ready", failing)
    assert "crashed" in found(modbus_life("rtu"))


class Remembering(PymodbusTransport):
    """Says again of coils what was read of them first, without asking."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self._read: dict[tuple[int, Table, int, int], list[int]] = {}

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        asked = (unit, table, address, count)
        if table != "coil" or asked not in self._read:
            self._read[asked] = await super().request(*asked)
        return self._read[asked]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["tcp", "rtu", "rtu_over_tcp"])
def test_a_value_that_no_request_covers_is_found_out(
    kind: LineKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_modbus, "KINDS", (HONEST,))
    assert "of honest answers that say []" in found(modbus_life(kind, Remembering), 20_000)


class Turned(PymodbusTransport):
    """Hands the words of an answer on from behind."""

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        return (await super().request(unit, table, address, count))[::-1]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["tcp", "rtu", "rtu_over_tcp"])
def test_words_in_the_wrong_order_are_found_out(kind: LineKind) -> None:
    assert "say" in found(modbus_life(kind, Turned))


def first_told(_self: Outcome, _apart: Apart, _at: int, told: PointReading) -> PointReading:
    """Asks for exponents once more, and does not look at what comes."""
    return told


def either_side(self: Outcome, _apart: Apart, _at: int, told: PointReading) -> PointReading | None:
    """Takes what an exponent was on the same side of its value for what it was on the other."""
    return self.after.get(told.point) or self.before.get(told.point) or told


MIXING = [first_told, either_side]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["tcp", "rtu_over_tcp"])
@pytest.mark.parametrize("mixing", MIXING)
def test_a_value_with_the_exponent_of_another_time_is_found_out(
    mixing: object, kind: LineKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outcome, "_again", mixing)
    assert "answer" in found(modbus_life(kind), 20_000)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["tcp", "rtu", "rtu_over_tcp"])
def test_values_with_exponents_are_read(kind: LineKind) -> None:
    tally = Tally()
    modbus_life(kind)(seeded(11), 2_000, tally, lambda: None)
    assert tally.scaled > 10


@pytest.mark.usefixtures("unmeasured")
def test_a_centre_that_believes_any_checksum_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gb26875.decode

    def lax(frame: bytes) -> Any:
        return right(frame[:-3] + bytes((sum(frame[2:-3]) & 0xFF,)) + frame[-2:])

    monkeypatch.setattr(gb26875, "decode", lax)
    assert "was confirmed" in found(fuzz.KINDS["gb26875"])


def test_a_frame_that_was_whole_when_a_wait_ended_may_be_taken() -> None:
    """One around it is right too, by chance, once the rest of it has come."""
    addresses, now = (fuzz_fire.SOURCES[0], fuzz_fire.CENTRE), bytes((0, 0, 0, 1, 1, 26))
    heartbeat = frame(2, addresses, now, b"", SEND)
    around = frame(1, addresses, now, bytes((200, 1)) + heartbeat + b"rest", SEND)
    splitter, held = gb26875.Splitter(), around.index(b"rest")
    assert splitter.feed(around[:held]) == []
    assert [one.header.serial for one in splitter.late() if isinstance(one, gb26875.Frame)] == [2]
    assert heartbeat in set(sound(around, skips_bad=False, waits=False))
    assert set(sound(around, skips_bad=False, waits=True)) == {around}


@pytest.mark.usefixtures("unmeasured")
def test_a_bit_read_beside_its_place_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def beside(point: Any, source: Any, item: Any) -> Any:
        state = getattr(item, "state", 0)
        return float(state >> (source.bit or 0) + 1 & 1), 0

    monkeypatch.setattr(fire_centre, "read_point", beside)
    assert "no sound frame says" in found(fuzz.KINDS["gb26875"])


CARELESS: list[tuple[object, str, object, str]] = [
    (payloads, "can_be", lambda point, number: True, "does not say"),
    (payloads, "_says", lambda message, path, word: True, "does not say"),
    (payloads, "LARGEST_INTEGER", 10**60, "does not say"),
    (mqtt_heard, "RECENT_READINGS_MAX", 0, "is no news"),
    (
        mqtt_heard,
        "_in_its_time",
        lambda heard, now, at_s: now - 3_600_000,
        "not after all that was told",
    ),
    (wills.Wills, "away", lambda self, device: False, "is away"),
]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("where", "name", "lax", "said"), CARELESS, ids=[row[1] for row in CARELESS])  # fmt: skip
def test_a_reader_of_payloads_that_is_lax_is_found_out(
    where: object, name: str, lax: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, lax)
    assert said in found(fuzz.KINDS["mqtt"])


@pytest.mark.usefixtures("unmeasured")
def test_a_crash_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def crashing(*_: object) -> Any:
        raise ZeroDivisionError("once")

    monkeypatch.setattr(payloads, "value_of", crashing)
    done = fuzz.fuzz(100, seed=1, kinds=("mqtt",))
    assert [one.what for one in done.failures][:1] == ["crashed: ZeroDivisionError('once')"]


# --- the command -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("unmeasured")
def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "fuzz", "--frames", "200", "--kind", "mqtt", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["frames"], said["problems"], said["flat"]) == (200, [], True)
    told = said["kinds"]["mqtt"]
    assert said["not_honest"] == told["not_honest"] == 200 - told["of"]["honest"] < 200
    assert told["accepted"] == told["accepted_and_right"] >= told["only_value_possible"] > 0
    assert sum(said["kinds"]["mqtt"]["of"].values()) == 200


@pytest.mark.usefixtures("unmeasured")
def test_a_failure_says_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wills.Wills, "away", lambda self, device: False)
    assert main(["prove", "fuzz", "--frames", "400", "--kind", "mqtt", "--seed", "7"]) == 1
    said = capsys.readouterr().out
    assert "again: ./steward prove fuzz --kind mqtt --seed 7 --life 0" in said


@pytest.mark.usefixtures("unmeasured")
def test_a_kind_that_is_none_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "fuzz", "--kind", "smoke"]) == 2
    assert "allowed: modbus-tcp" in capsys.readouterr().err


def test_a_life_of_no_kind_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "fuzz", "--life", "3"]) == 2
    assert "say which by --kind" in capsys.readouterr().err
