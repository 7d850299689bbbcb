"""A recording on real sockets: a Modbus device that plays it, or its rows published by MQTT."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config.clock import Clock
from simulators.modbus_server import ModbusServer
from simulators.mqtt_device import MqttDevices
from simulators.replay import Player, ReplayModbus, ReplayMqtt

TICK_S = 0.25
DRAIN_S_MAX = 30.0


@asynccontextmanager
async def playing_modbus(
    player: Player, clock: Clock, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[ReplayModbus, ModbusServer, int]]:
    """Serve the recording as a Modbus TCP device; gives the device, its server and the real port.

    Raises OSError when the port is taken.
    """
    replay = ReplayModbus(player, clock.now)
    server = ModbusServer(replay, clock)
    try:
        yield replay, server, await server.start(host, port)
    finally:
        await server.close()


async def play_mqtt(player: Player, clock: Clock, devices: MqttDevices) -> bool:
    """Publish every row when it is due; True once the broker has acknowledged all of them.

    `devices` is started by the caller. False when the broker still has not taken everything 30 real
    seconds after the last row.
    """
    replay = ReplayMqtt(player)
    while not replay.finished:
        devices.publish(replay.publications(clock.now()))
        await clock.sleep_until(clock.monotonic() + TICK_S)
    return await devices.drain(DRAIN_S_MAX)
