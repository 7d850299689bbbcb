"""Blocks that a device refuses by exceptions that do not speak of the range: who is told, and how often."""

import logging
from collections.abc import Sequence

import pytest

from edge.modbus_reader import ModbusReader
from tests.unit.edge.modbus_twins import TwinLine, at, reader_of, reasons
from tests.unit.edge.rows import device

FAR = 500
"""Too far from the others for one request."""


def denying(twin: TwinLine, code: int, first: int = FAR) -> None:
    twin.refuses = lambda address, _count: code if address >= first else 0


async def read(reader: ModbusReader, times: int, addresses: Sequence[int] = (1, 2, FAR, FAR + 1)):  # type: ignore[no-untyped-def]
    for _ in range(times):
        result = await reader.read(device(), at(*addresses))
    return result


@pytest.mark.parametrize(
    ("code", "advice"), [(1, "table"), (4, "look at the device"), (6, "less often"), (77, "manual")]
)
async def test_a_block_that_is_denied_is_said_once_with_points_code_and_advice_and_once_when_given(
    code: int, advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    twin = TwinLine()
    reader, clock = reader_of(twin)
    denying(twin, code)
    await read(reader, 1)
    assert not caplog.messages, "it may be one bad moment"
    await clock.advance(10)
    assert reasons(await read(reader, 50))["500"] == "device_refused"
    (line,) = caplog.messages
    assert line.startswith(f"device d refuses holding 500..501: exception {code} (a/500, a/501): ")
    assert advice in line
    assert "a/500, a/501" in reader.words()
    await clock.advance(50)
    denying(twin, code, FAR + 10)
    await read(reader, 50)
    assert caplog.messages[1:] == ["device d gives a/500, a/501 again after 60.0 s"]
    assert reader.words() == ""


async def test_a_device_that_stutters_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin)
    for _ in range(20):
        denying(twin, 6)
        await read(reader, 1)
        denying(twin, 6, FAR + 10)
        await read(reader, 1)
    assert not caplog.messages


async def test_another_reason_is_said_anew(caplog: pytest.LogCaptureFixture) -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin)
    for code in (6, 4):
        denying(twin, code)
        await read(reader, 5)
    assert [line.split(" (")[0][-1] for line in caplog.messages] == ["6", "4"]


async def test_a_device_that_denies_everything_is_its_pollers_to_say_with_the_same_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    twin = TwinLine(exceptions={1: 4})
    reader, _ = reader_of(twin)
    result = await read(reader, 3, [1, 2])
    assert not caplog.messages
    assert result.detail.startswith("d refuses holding 1..2: exception 4 (a/1, a/2): it failed")


async def test_of_many_points_some_are_named(caplog: pytest.LogCaptureFixture) -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin)
    denying(twin, 4)
    await read(reader, 2, [1, *range(FAR, FAR + 40)])
    (line,) = caplog.messages
    assert "(a/500, a/501, a/502, a/503, a/504 and 35 more)" in line


async def test_of_a_device_that_was_changed_nothing_is_said_to_be_given_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    twin = TwinLine()
    reader, _ = reader_of(twin)
    denying(twin, 4)
    await read(reader, 2)
    caplog.clear()
    reader.forget("d")
    denying(twin, 4, FAR + 10)
    with caplog.at_level(logging.WARNING):
        await read(reader, 2)
    assert not caplog.messages
