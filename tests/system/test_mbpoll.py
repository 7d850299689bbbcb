"""An independent Modbus master reads raw registers; put together here, they are what the profile promises."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.clock import ScaledClock
from config.load import load_plant
from config.plant import Plant
from config.profile import ModbusLimits, Register
from simulators.estate import Estate
from simulators.modbus_server import ModbusServer
from simulators.playing import playing_modbus
from simulators.replay import Player, Recording, find_device
from tests.unit.simulators.plants import holding, plant_of, point, small_plant

RIVERSIDE = Path(__file__).parents[2] / "config" / "plants" / "riverside"
pytestmark = pytest.mark.system
TYPES = {"coil": "0", "discrete": "1", "input": "3:hex", "holding": "4:hex"}


async def poll(
    mbpoll: Path, port: int, unit: int, table: str, address: int, count: int
) -> list[int]:
    """What mbpoll prints for `count` raw registers or bits from `address` on."""
    process = await asyncio.create_subprocess_exec(
        mbpoll, "-0", "-1", "-q", "-m", "tcp", "-p", str(port), "-a", str(unit),
        "-t", TYPES[table], "-r", str(address), "-c", str(count), "127.0.0.1",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    lines = [line for line in out.decode().splitlines() if line.startswith("[")]
    assert len(lines) == count, out.decode()
    return [int(line.split(":")[1].split()[0], 16) for line in lines]


ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")


def together(words: list[int], order: str) -> bytes:
    """Bytes with the most significant first, by this test's own reading of the order's letters."""
    wire = b"".join(struct.pack(">H", word) for word in words)
    if len(wire) == 2:
        return wire[::-1] if order in ("BADC", "DCBA") else wire
    if len(wire) == 4:
        return bytes(wire[order.index(letter)] for letter in "ABCD")
    low_first, swapped = order in ("CDAB", "DCBA"), order in ("BADC", "DCBA")
    pairs = [wire[i : i + 2] for i in range(0, len(wire), 2)]
    pairs = pairs[::-1] if low_first else pairs
    return b"".join(pair[::-1] if swapped else pair for pair in pairs)


def number(register: Register, words: list[int]) -> float:
    """The value that the profile promises for these words."""
    data = together(words, register.order)
    if register.bit is not None:
        return float(int.from_bytes(data, "big") >> register.bit & 1)
    if register.type in ("f32", "f64"):
        raw: float = struct.unpack(">f" if register.type == "f32" else ">d", data)[0]
    elif register.type.startswith("bcd"):
        raw = int(data.hex())
    else:
        raw = int.from_bytes(data, "big", signed=register.type.startswith("i"))
    return raw * register.scale + register.offset


@asynccontextmanager
async def serving(plant: Plant) -> AsyncIterator[tuple[Estate, dict[str, ModbusServer], dict[str, int]]]:  # fmt: skip
    estate = Estate(plant, 3)
    clock = ScaledClock()
    estate.advance(1_763_700_000_000)
    lines = [line.id for line in plant.lines.values() if line.kind == "tcp"]
    servers = {line: ModbusServer(estate.words(line), clock) for line in lines}
    ports = {line: await server.start() for line, server in servers.items()}
    try:
        yield estate, servers, ports
    finally:
        for server in servers.values():
            await server.close()


def resolution(register: Register) -> float:
    return 1e-6 if register.type in ("f32", "f64") else abs(register.scale) / 2 + 1e-9


async def check_plant(mbpoll: Path, plant: Plant) -> int:
    """Read every register of the plant one by one; returns how many."""
    done = 0
    async with serving(plant) as (estate, servers, ports):
        for one in plant.points.values():
            register = one.source
            if not isinstance(register, Register) or register.type == "string":
                continue
            device = plant.devices[one.device]
            bits = register.table in ("coil", "discrete")
            count = 1 if bits else _words(register)
            unit = int(device.unit or 1)
            words = await poll(
                mbpoll, ports[device.line], unit, register.table, register.address, count
            )
            got = float(words[0]) if bits else number(register, words)
            wanted = estate.value(one.id)
            assert isinstance(wanted, float)
            assert math.isclose(got, wanted, rel_tol=1e-6, abs_tol=resolution(register)), one.id
            done += 1
        assert all(set(server.functions) <= {1, 2, 3, 4} for server in servers.values())
    return done


def _words(register: Register) -> int:
    return {"32": 2, "64": 4}.get(register.type[-2:], 1)


VALUES = {
    "u16": 54321.0, "i16": -1234.0, "u32": 305419896.0, "i32": -305419896.0, "bcd16": 2026.0,
    "bcd32": 12345678.0, "f32": 230.5, "u64": 2.0**40 + 5, "i64": -(2.0**40), "f64": 3.141592653589793,
}  # fmt: skip


async def test_mbpoll_and_own_arithmetic_find_the_value_in_every_type_and_order(
    mbpoll: Path,
) -> None:
    rows = [
        point(f"bench/{kind}_{order.lower()}", holding(10 * at, kind, order=order), "bench")
        for at, (kind, order) in enumerate((k, o) for k in VALUES for o in ORDERS)
    ]
    plant = plant_of([("bench", "modbus", "bench", "bench", "17")], rows, ModbusLimits())
    async with serving(plant) as (estate, servers, ports):
        for row in rows:
            kind = row.id.split("/")[1].split("_")[0]
            estate.fault("bench", "set", point=row.id, value=VALUES[kind])
        estate.advance(estate.now_ms() + 1000)
        for row in rows:
            assert isinstance(row.source, Register)
            words = await poll(
                mbpoll, ports["bench"], 17, "holding", row.source.address, _words(row.source)
            )
            kind = row.id.split("/")[1].split("_")[0]
            assert number(row.source, words) == VALUES[kind], row.id
        assert set(servers["bench"].functions) == {3}


async def test_mbpoll_reads_every_register_of_a_plant_as_its_profiles_promise(mbpoll: Path) -> None:
    assert await check_plant(mbpoll, small_plant()) > 25


async def test_mbpoll_reads_every_register_of_riverside_as_its_profiles_promise(
    mbpoll: Path,
) -> None:
    assert await check_plant(mbpoll, load_plant(RIVERSIDE)) > 100


async def test_mbpoll_reads_number_and_values_of_one_row_from_a_recording(mbpoll: Path) -> None:
    plant = load_plant(RIVERSIDE)
    rows = tuple((float(n), n / 4) for n in range(1000))
    recording = Recording(("Current", "Pressure"), tuple(range(0, 200_000, 200)), rows)
    player = Player(plant, find_device(plant, recording, "modbus"), recording)
    unit = int(player.device.unit)
    async with playing_modbus(player, ScaledClock(factor=20)) as (replay, server, port):
        seen = set()
        for _ in range(20):
            words = await poll(mbpoll, port, unit, "input", 0, 18)
            row = words[0] * 65536 + words[1] - 1
            current = struct.unpack(">f", struct.pack(">HH", *words[6:8]))[0]
            pressure = struct.unpack(">f", struct.pack(">HH", words[9], words[8]))[0]
            assert (current, pressure) == rows[row]
            assert words[2:4] == [0x7FC0, 0], "a point without a column"
            seen.add(row)
        assert len(seen) > 10
        assert not replay.finished
        assert set(server.functions) == {4}


async def test_mbpoll_is_refused_what_is_not_there(mbpoll: Path) -> None:
    async with serving(small_plant()) as (_, _, ports):
        process = await asyncio.create_subprocess_exec(
            mbpoll, "-0", "-1", "-q", "-p", str(ports["panel-line"]), "-r", "500", "127.0.0.1",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 10)
        assert b"Illegal data address" in out
