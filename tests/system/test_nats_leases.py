"""Leases over a NATS that is stopped, begun again and late: who has a site keeps it or has it again."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nats.js import JetStreamContext

from collector.adapters.leases_nats import NatsLeases
from collector.adapters.nats_link import NatsAt, NatsThread
from collector.ports import Unavailable
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

    async def is_late(self, said: pytest.LogCaptureFixture) -> None:
        """Be silent until somebody has waited too long, then do what was asked."""
        process = self.server.running.process
        process.send_signal(signal.SIGSTOP)
        try:
            await until(lambda: "NATS keeps no lease for us" in said.text, 20)
        finally:
            process.send_signal(signal.SIGCONT)

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


async def test_a_renewal_whose_answer_came_too_late_costs_no_lease(
    single: Single, caplog: pytest.LogCaptureFixture
) -> None:
    leases = NatsLeases(single.at, "left", 6.0)
    await leases.taken(SITE)
    lost = asyncio.create_task(leases.lost(SITE))
    await single.is_late(caplog)
    await until(lambda: "NATS keeps leases again" in caplog.messages, 6)
    assert leases.holds(SITE)
    assert not lost.done()
    await leases.give_back(SITE)
    await lost
    await leases.close()


async def test_who_waits_and_cannot_ask_does_not_say_that_another_has_it(
    single: Single, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = NatsLeases(single.at, "left", 3.0), NatsLeases(single.at, "right", 3.0)
    await first.taken(SITE)
    other = asyncio.create_task(second.taken(SITE))
    await until(lambda: second.found(SITE) == "left has it", 5)
    single.server.stop()
    await until(lambda: second.found(SITE).startswith("NATS cannot be asked: "), 10)
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    for leases in (first, second):
        await leases.close()


async def test_a_site_that_was_taken_with_a_late_answer_is_had_before_that_lease_ran_out(
    single: Single, caplog: pytest.LogCaptureFixture
) -> None:
    leases = NatsLeases(single.at, "left", 20.0)
    single.server.running.process.send_signal(signal.SIGSTOP)
    taken = asyncio.create_task(leases.taken(SITE))
    await single.is_late(caplog)
    await asyncio.wait_for(taken, 15)
    await leases.give_back(SITE)
    await leases.close()


async def test_another_of_the_same_name_does_not_take_it_for_its_own(single: Single) -> None:
    first, second = (NatsLeases(single.at, "left", LASTS_S) for _ in range(2))
    await first.taken(SITE)
    other = asyncio.create_task(second.taken(SITE))
    await asyncio.wait([other], timeout=2 * LASTS_S)
    assert (other.done(), first.holds(SITE), second.holds(SITE)) == (False, True, False)
    await first.give_back(SITE)
    await asyncio.wait_for(other, 5)
    for leases in (first, second):
        await leases.close()


def test_what_begins_while_the_connection_ends_is_refused_and_nobody_waits_for_it_for_ever(
    nats: NatsServer,
) -> None:
    link = NatsThread(NatsAt(nats.url, "collector", nats.users["collector"]))
    said: list[str] = []

    async def nothing(_: JetStreamContext) -> None: ...

    async def begins_another_as_it_ends(_: JetStreamContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            try:
                link.begin(nothing)
            except Unavailable as error:
                said.append(str(error))

    link.begin(begins_another_as_it_ends)
    link.close()
    assert said == ["the connection to NATS was closed"]
