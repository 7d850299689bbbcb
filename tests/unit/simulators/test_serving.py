"""The estate on real sockets: Modbus, RTSP and MQTT at once, ended without a trace."""

import asyncio
import json
import struct
from dataclasses import replace

import pytest

from config.clock import ScaledClock
from config.plant import Secret
from config.profile import JsonPath, ModbusLimits
from simulators.camera_server import Login
from simulators.estate import Estate
from simulators.mqtt_device import MqttDevices
from simulators.playing import play_mqtt
from simulators.replay import Player, Recording
from simulators.serving import Access, Servers, run_estate, serving
from tests.unit.simulators.brokers import small_broker
from tests.unit.simulators.plants import plant_of, point, small_plant
from tests.waiting import until


async def ask(port: int, request: bytes) -> bytes:
    """What a server answers to the first bytes on a connection of its own; nothing if it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(4096), 5)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def read(unit: int, function: int, address: int, count: int) -> bytes:
    return struct.pack(">HHHBBHH", 1, 0, 6, unit, function, address, count)


async def test_every_line_of_a_plant_is_served_by_its_protocol() -> None:
    async with small_broker() as broker:
        access = Access({"pits": broker.port}, brokers={"pits": Login("device", "word")})
        estate = Estate(small_plant(), 1)
        async with serving(estate, ScaledClock(factor=10), access) as servers:
            assert set(servers.ports) == {"a-serial", "panel-line", "lift-line", "chiller-line", "camera-1"}  # fmt: skip
            words = await ask(servers.ports["a-serial"], read(3, 3, 42, 1))
            assert words[7:] == bytes.fromhex("03020001")
            seen = await ask(servers.ports["camera-1"], b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            assert seen.startswith(b"RTSP/1.0 200 OK")
            await until(lambda: len(broker.said) >= 2)
            assert servers.modbus["a-serial"].functions == {3: 1}
        assert broker.users == [("device", "word")]
        topic, payload = broker.said[0]
        assert topic == "pits/p7/state"
        assert json.loads(payload)["pumps"] == {"p1": "off", "p2": "off"}


async def test_faults_reach_the_wire_and_time_goes_on_with_every_request() -> None:
    clock = ScaledClock(factor=5)
    estate = Estate(small_plant(), 1)
    async with (
        small_broker() as broker,
        serving(estate, clock, Access({"pits": broker.port})) as servers,
    ):
        port = servers.ports["a-serial"]
        estate.fault("a-booster", "refusing", code=4)
        assert (await ask(port, read(3, 3, 42, 1)))[7:] == bytes.fromhex("8304")
        estate.fault("a-serial", "link_lost")
        assert await ask(port, read(3, 3, 42, 1)) == b""
        estate.clear()
        assert (await ask(port, read(3, 3, 42, 1)))[7:] == bytes.fromhex("03020001")
        assert clock.now() - estate.now_ms() < 5_000


async def test_secrets_of_cameras_and_brokers_are_asked_by_name() -> None:
    asked: list[str] = []

    def password(secret: Secret) -> str:
        asked.append(secret.name)
        return "word"

    plant = small_plant()
    line = plant.lines["pits"]
    camera = plant.devices["camera-1"]
    lines = {**plant.lines, "pits": replace(line, user="p", secret=Secret("pits"))}
    devices = {**plant.devices, "camera-1": replace(camera, user="v", secret=Secret("cam"))}
    plant = replace(plant, lines=lines, devices=devices)
    async with small_broker() as broker:
        access = Access({"pits": broker.port}, password_of=password)
        async with serving(Estate(plant), ScaledClock(), access) as servers:
            await until(lambda: bool(broker.users))
            described = await ask(
                servers.ports["camera-1"], b"DESCRIBE rtsp://x/a RTSP/1.0\r\n\r\n"
            )
            assert b" 401 " in described
    assert sorted(asked) == ["cam", "pits"]
    assert broker.users == [("p", "word")]


async def test_running_says_when_it_listens_and_ends_when_cancelled() -> None:
    ready: list[Servers] = []
    async with small_broker() as broker:
        access = Access({"pits": broker.port})
        task = asyncio.create_task(
            run_estate(Estate(small_plant()), ScaledClock(), access, ready.append)
        )
        await until(lambda: bool(ready))
        port = ready[0].ports["panel-line"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_is_said_and_nothing_stays_open() -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    with pytest.raises(OSError, match="address already in use"):
        async with serving(Estate(small_plant()), ScaledClock(), Access({"lift-line": port})):
            pass
    taken.close()
    await taken.wait_closed()


async def test_a_payload_that_was_not_acknowledged_is_said_again_and_drained() -> None:
    async with small_broker() as broker:
        devices = MqttDevices("127.0.0.1", broker.port, client_id="rows")
        devices.start()
        broker.drop_next = 1
        devices.publish([("rows/1", b"one"), ("rows/2", b"two")])
        assert await devices.drain(10)
        assert devices.unacknowledged == 0
        assert {("rows/1", b"one"), ("rows/2", b"two")} <= set(broker.said)
        await devices.close()
        await devices.close()


async def test_a_recording_is_published_row_by_row_and_acknowledged() -> None:
    points = [
        point("said/row_number", JsonPath("rows", ("row",), time_path=("ts",)), "said"),
        point("said/flow", JsonPath("rows", ("flow",)), "said"),
    ]
    plant = plant_of([("said", "mqtt", "pits", "said", "p1")], points, ModbusLimits())
    rows = tuple((n / 3,) for n in range(50))
    player = Player(plant, "said", Recording(("flow",), tuple(range(0, 50_000, 1000)), rows))
    async with small_broker() as broker:
        devices = MqttDevices("127.0.0.1", broker.port, client_id="rows")
        devices.start()
        try:
            await until(lambda: devices.is_connected)
            assert await play_mqtt(player, ScaledClock(factor=200), devices)
        finally:
            await devices.close()
        told = [json.loads(payload) for _, payload in broker.said]
        assert [row["row"] for row in told] == list(range(1, 51))
        assert [row["flow"] for row in told] == [row[0] for row in rows]


async def test_draining_gives_up_after_its_time() -> None:
    devices = MqttDevices("127.0.0.1", 1, client_id="nobody")
    devices.start()
    devices.publish([("rows/1", b"one")])
    assert not await devices.drain(0.1)
    await devices.close()
