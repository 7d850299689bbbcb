"""An agent, as a process, whose files may hardly grow: it reads on, says what is wrong, and loses nothing that memory can hold."""

import asyncio
import json
import resource
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from commands.installation import Installation
from commands.part_servers import free_ports
from commands.proving.accidents import EDGE
from commands.proving.counting_plant import (
    AGENT,
    LINE,
    CountingDevices,
    asset_of,
    witness,
    write_plant,
)
from commands.proving.history import problems
from commands.proving.kills import is_quiet, keep_last_of_journal, read_history
from commands.proving.lives import make_template
from commands.settling import settle
from config.clock import ScaledClock
from config.load import load_plant
from simulators.modbus_server import ModbusServer
from tests.waiting import until

LIMIT_BYTES = 150_000
ANSWERS_MORE = 20
WAIT_S = 60.0


@dataclass
class Squeezed:
    """A site whose agent may not write files beyond `LIMIT_BYTES`; its server is not there yet."""

    site: Installation
    folder: Path
    devices: CountingDevices

    def start_server(self) -> None:
        self.site.run("server", "server", str(self.folder))

    def answers(self) -> int:
        """How often the first device was asked."""
        return len(self.devices.given[asset_of(1)])

    def said(self, words: str) -> int:
        """How often the agent's log has these."""
        path = self.site.data / "logs" / f"{EDGE}.log"
        return path.read_text(encoding="utf-8").count(words)

    def largest(self) -> int:
        """Bytes of the largest file of the outbox."""
        return max(path.stat().st_size for path in (self.site.data / "edge").iterdir())


@asynccontextmanager
async def squeezed(folder: Path) -> AsyncIterator[Squeezed]:
    write_plant(folder / "plant")
    plant = load_plant(folder / "plant")
    template = await asyncio.to_thread(make_template, folder / "template", folder / "plant", plant)
    assert template is not None
    data = folder / "data"
    shutil.copytree(template.data, data)
    devices = CountingDevices(ScaledClock().now)
    wires = ModbusServer(devices, ScaledClock())
    lines = {LINE: f"127.0.0.1:{await wires.start()}"}
    (data / "lines.json").write_text(json.dumps(lines), encoding="utf-8")
    http, broker = free_ports(2)
    site = Installation({str(folder / "plant"): plant}, data, http, who="test", broker_port=broker)
    try:
        site.run("broker", "broker", str(folder / "plant"))
        agent = site.run(EDGE, "edge", str(folder / "plant"), AGENT)
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))
        yield Squeezed(site, folder / "plant", devices)
    finally:
        site.children.stop()
        await wires.close()


@pytest.mark.system
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
async def test_an_agent_whose_files_may_not_grow_goes_on_and_sends_all_once_it_is_heard(
    tmp_path: Path,
) -> None:
    async with squeezed(tmp_path) as it:
        await until(lambda: it.said("is its disk full"), WAIT_S)
        refused = it.answers()
        await until(lambda: it.answers() >= refused + ANSWERS_MORE, WAIT_S)
        assert it.site.by_name[EDGE].look() == "", "it reads on"
        assert it.largest() <= LIMIT_BYTES
        it.start_server()
        await until(lambda: it.said("takes readings again"), WAIT_S)
        await until(lambda: is_quiet(it.site), WAIT_S)
        await asyncio.to_thread(settle, it.site, lambda: None)
    keep_last_of_journal(it.site.data)
    history = read_history(it.site)
    witnessed = witness(it.devices.given, history.stored)
    assert [*problems(history), *witnessed.problems] == []
    assert witnessed.given > 2 * (refused + ANSWERS_MORE)
    assert (
        it.said("is its disk full")
        == it.said("takes readings again")
        == it.said("lost since the start: 0")
    )
    assert it.said("are lost") == 0
