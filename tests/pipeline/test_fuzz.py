"""The fuzzers: a seeded sample holds, and receivers that are careless are found out."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from commands.main import main
from commands.proving import fuzz
from commands.proving.fuzz_cases import Life, Tally, Wrong, seeded
from commands.proving.fuzz_modbus import life as modbus_life
from config.plant import Line, LineKind
from config.profile import Table
from edge import fire_centre, gb26875, mqtt_reader, payloads, wills
from edge.modbus_outcome import Apart, Outcome
from edge.modbus_transport import NoAnswer, PymodbusTransport
from edge.ports import PointReading

SAMPLE = 2_000
FEW = 400
FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


def found(life: Life, frames: int = 2_000) -> str:
    with pytest.raises(Wrong) as caught:
        life(seeded(7), frames, Tally(), lambda: None)
    return caught.value.what


def test_a_few_of_every_kind_hold() -> None:
    """Under coverage, which the others are too long for."""
    done = fuzz.fuzz(FEW, seed=3)
    assert not done.failures
    assert sum(part.tally.values for part in done.parts.values()) > FEW / 40


@pytest.mark.usefixtures("unmeasured")
def test_a_sample_of_every_kind_holds() -> None:
    done = fuzz.fuzz(SAMPLE, seed=11)
    assert not done.failures
    assert done.ok
    assert set(done.parts) == set(fuzz.KINDS)
    for part in done.parts.values():
        assert part.tally.values > SAMPLE / 40, "values are read, not all refused"
        assert part.tally.without_value > SAMPLE / 40


@pytest.mark.usefixtures("unmeasured")
def test_a_receiver_that_keeps_what_it_was_given_is_not_flat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[bytes] = []

    def hoarding(_: object, frames: int, tally: Tally, each: Callable[[], None]) -> None:
        for n in range(frames):
            tally.frames["honest"] += 1
            kept.append(bytes(5000 + n % 7))
            each()

    monkeypatch.setattr(fuzz, "KINDS", {"mqtt": hoarding})
    done = fuzz.fuzz(2_000, seed=1, kinds=("mqtt",))
    assert not done.flat
    assert not done.ok


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
        return await self._ask(unit, table, address, count)

    async def _silent(self, unit: int, _connection: object) -> None:
        self._asked_again_at[unit] = asyncio.get_running_loop().time() + self._line.timeout_s


@pytest.mark.usefixtures("unmeasured")
def test_a_transport_that_takes_a_late_answer_for_another_is_found_out() -> None:
    assert "which no fitting answer says" in found(modbus_life("rtu_over_tcp", Trusting), 20_000)


class Turned(PymodbusTransport):
    """Hands the words of an answer on from behind."""

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        return (await super().request(unit, table, address, count))[::-1]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["tcp", "rtu_over_tcp"])
def test_words_in_the_wrong_order_are_found_out(kind: LineKind) -> None:
    assert "says" in found(modbus_life(kind, Turned))


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
@pytest.mark.parametrize("kind", ["tcp", "rtu_over_tcp"])
def test_values_with_exponents_are_read(kind: LineKind) -> None:
    tally = Tally()
    modbus_life(kind)(seeded(11), SAMPLE, tally, lambda: None)
    assert tally.scaled > SAMPLE / 200


@pytest.mark.usefixtures("unmeasured")
def test_a_centre_that_believes_any_checksum_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gb26875.decode

    def lax(frame: bytes) -> Any:
        return right(frame[:-3] + bytes((sum(frame[2:-3]) & 0xFF,)) + frame[-2:])

    monkeypatch.setattr(gb26875, "decode", lax)
    assert "was confirmed" in found(fuzz.KINDS["gb26875"])


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
    (mqtt_reader, "RECENT_READINGS_MAX", 0, "is no news"),
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
