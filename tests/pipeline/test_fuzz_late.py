"""The fuzzer of Modbus on a bus: late answers, several in turn, find out a transport that believes one of them."""

import asyncio
from typing import Any

import pytest

from commands.proving import fuzz_modbus
from commands.proving.fuzz_cases import Tally, Wrong, seeded
from config.plant import LineKind
from config.profile import Table
from edge import modbus_transport
from edge.modbus_transport import NoAnswer, PymodbusTransport, Refused

LIFE_FRAMES = 1_000
LIVES_MAX = 12
hear_a_sign = PymodbusTransport._hear_a_sign


async def no_sign(_self: PymodbusTransport, *_: object) -> None:
    """Believes what comes first after a silence."""


def whole(_table: Table, count: int, _late: object) -> int:
    """Asks for the whole again, to hear a sign of life: its answer looks like a late one."""
    return count


async def refusal_believed(self: Any, unit: int, table: Table, address: int, count: int) -> None:
    """Takes a refusal for a sign of life, which may be a late one too."""
    try:
        await hear_a_sign(self, unit, table, address, count)
    except NoAnswer as error:
        if not isinstance(error.__cause__, Refused):
            raise
        self._owes_nothing(unit)
        self._asked_again_at[unit] = asyncio.get_running_loop().time() + self._line.timeout_s


FAULTS: dict[str, tuple[object, str, object]] = {
    "no sign": (PymodbusTransport, "_hear_a_sign", no_sign),
    "whole sign": (modbus_transport, "_told_apart", whole),
    "late for one timeout": (modbus_transport, "LATE_MAX", 1.0),
    "late for two and a half": (modbus_transport, "LATE_MAX", 2.5),
    "refusal believed": (PymodbusTransport, "_hear_a_sign", refusal_believed),
}


def live(kind: LineKind, lives: int) -> Tally:
    tally = Tally()
    for n in range(lives):
        fuzz_modbus.life(kind)(seeded(n), LIFE_FRAMES, tally, lambda: None)
    return tally


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["rtu", "rtu_over_tcp"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_transport_that_believes_a_late_answer_is_found_out(
    fault: str, kind: LineKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units are slow all the time here, to need few frames."""
    monkeypatch.setattr(fuzz_modbus, "SLOW", 1.0)
    monkeypatch.setattr(*FAULTS[fault])
    with pytest.raises(Wrong, match="which no fitting answer says"):
        live(kind, LIVES_MAX)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("kind", ["rtu", "rtu_over_tcp"])
def test_a_transport_that_believes_none_is_not(
    kind: LineKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And reads values between the late answers."""
    monkeypatch.setattr(fuzz_modbus, "SLOW", 1.0)
    tally = live(kind, 1)
    assert tally.frames[fuzz_modbus.LATE] > LIFE_FRAMES / 10
    assert tally.values > LIFE_FRAMES / 50
