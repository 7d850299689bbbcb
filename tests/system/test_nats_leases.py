"""Leases over a NATS that is stopped, begun again and late: who has a site keeps it or has it again."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.adapters.leases_nats import NatsLeases
from collector.adapters.nats_link import NatsAt
from commands.part_servers import NatsServer, start_nats
from tests.waiting import until

pytestmark = pytest.mark.system

LASTS_S = 1.0
SITE = "riverside"
RIGHTS = {
    "collector": {"publish": ["steward/v1/+/+/committed"], "receive": ["steward/v1/+/+/data"]}
}


class Single:
    """One NATS server, which is ended and begun again on what it kept."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._ports: tuple[int, int] | None = None
        self.begins()

    @property
    def at(self) -> NatsAt:
        return NatsAt(self.server.url, "collector", "word")

    def begins(self) -> None:
        self.server: NatsServer = start_nats(
            self._program,
            self._folder,
            users={"collector": "word"},
            rights=RIGHTS,
            ports=self._ports,
        )
        self._ports = int(self.server.url.rpartition(":")[2]), self.server.port


@pytest.fixture
def single(part_programs: Callable[[str], Path], tmp_path: Path) -> Iterator[Single]:
    made = Single(part_programs("nats"), tmp_path)
    yield made
    made.server.stop()


async def test_after_a_restart_of_nats_a_site_is_taken_again_and_its_trouble_is_said_once(
    single: Single, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "steward.lease")
    leases = NatsLeases(single.at, "left", LASTS_S)
    await leases.taken(SITE)
    single.server.stop()
    await asyncio.wait_for(leases.lost(SITE), 20)
    await leases.give_back(SITE)
    single.begins()
    await asyncio.wait_for(leases.taken(SITE), 20)
    assert leases.holds(SITE)
    await until(lambda: "NATS keeps leases again" in caplog.messages, 10)
    said = [message.partition(":")[0] for message in caplog.messages]
    assert said.count("NATS keeps no lease for us") == said.count("NATS keeps leases again") == 1
    await leases.close()
