import asyncio
from dataclasses import replace

import numpy as np
import pytest

from collector.adapters.memory_bus import MemoryBus
from commands.scenarios import PLANTS
from config.clock import ScaledClock
from config.load import load_plant
from edge.agent import Agent
from edge.modbus_reader import ModbusReader
from edge.modbus_transport import PymodbusTransport
from edge.outbox import Outbox
from edge.ports import LinkLost
from simulators.estate import Estate
from simulators.serving import Access, serving
from tests.waiting import until

READING = {1, 2, 3, 4}


@pytest.mark.usefixtures("unmeasured")
async def test_no_function_code_that_writes_ever_appears_on_the_wire() -> None:
    """Every Modbus line of Riverside, faults and refusals included, through real sockets."""
    plant = load_plant(PLANTS / "riverside")
    lines = {key: line for key, line in plant.lines.items() if line.kind == "tcp"}
    devices = {key: d for key, d in plant.devices.items() if d.line in lines}
    modbus = replace(
        plant, lines={key: replace(line, agent="e") for key, line in lines.items()}, devices=devices
    )
    clock = ScaledClock(origin_ms=1_763_700_000_000, factor=20)
    estate = Estate(modbus, 1)
    async with serving(estate, clock, Access(ports=dict.fromkeys(lines, 0))) as servers:
        limits = {profile.id: profile.limits for profile in modbus.profiles.values()}
        at = {key: replace(modbus.lines[key], port=servers.ports[key]) for key in lines}
        readers = {
            key: ModbusReader(PymodbusTransport(at[key]), limits.__getitem__, clock)
            for key in lines
        }
        rng = np.random.default_rng(1)
        outbox = Outbox(":memory:", now=clock.now(), rng=rng)
        bus = MemoryBus(clock, rng, LinkLost)
        agent = Agent(modbus, "e", readers, outbox, bus.connect(modbus.site, "e"), clock, rng)
        running = asyncio.ensure_future(agent.run())
        estate.fault("a-booster", "refusing", code=2)
        estate.fault("elevator-1", "silent")
        seen = [servers.modbus[key].functions for key in lines]
        await until(lambda: all(sum(codes.values()) >= 8 for codes in seen), timeout=30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert {code for codes in seen for code in codes} <= READING
    assert {3, 2, 4} <= {code for codes in seen for code in codes}
    outbox.close()
