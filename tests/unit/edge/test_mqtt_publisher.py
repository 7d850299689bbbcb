import asyncio
import gc
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme

from collector.adapters import mqtt_frames as frames
from commands.part_servers import free_port
from edge import mqtt_publisher
from edge.mqtt_publisher import PahoConnection, paho_connect
from edge.ports import LinkLost
from edge.readings import topic
from tests.unit.edge.broker_twin import broker_twin
from tests.waiting import until

BOTH = pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "tls"])
BATCHES = [b"%d " % n + bytes(50_000) for n in range(20)]
"""More than fits between an agent and a broker that reads nothing."""


def agent_at(port: int, ca_file: str = "") -> PahoConnection:
    made = paho_connect("127.0.0.1", port, "s/a", "word", "s", "a", ca_file=ca_file)(b"{}")
    assert isinstance(made, PahoConnection)
    return made


async def refusal(port: int, ca_file: str = "") -> str:
    """Why no connection came to be."""
    try:
        async with agent_at(port, ca_file):
            return ""
    except LinkLost as lost:
        return str(lost)


async def the_end(agent: PahoConnection, within_s: float = 5.0) -> str:
    """Why a connection ended."""
    async with asyncio.timeout(within_s):
        try:
            while True:
                await agent.received()
        except LinkLost as lost:
            return str(lost)


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """Of a server on this machine, and the file for those who trust it."""
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return context, str(tmp_path / "ca.pem")


@pytest.fixture
def short_keep_alive(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(mqtt_publisher, "KEEP_ALIVE_S", 1)
    monkeypatch.setattr(mqtt_publisher, "MISC_S", 0.05)
    return 1.0


async def test_a_broker_that_is_not_there_is_a_lost_link_and_leaves_no_error_behind() -> None:
    left: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    assert await refusal(free_port())
    gc.collect()
    assert left == []


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_connection_that_ended_gives_its_sockets_back_at_once() -> None:
    """paho has a pair of its own, which stays open as long as anybody holds the client."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await refusal(port)  # threads and modules that the first one needs
    gc.collect()
    gc.disable()
    try:
        before = descriptors()
        for _ in range(3):
            assert await refusal(port)
        await until(lambda: descriptors() <= before)
    finally:
        gc.enable()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
async def test_a_ca_file_that_cannot_be_read_is_a_lost_link_that_names_it(
    tmp_path: Path, content: bytes | None
) -> None:
    """It may be read again at the next connection: an agent goes on reading its devices meanwhile."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    assert f"CA file {file}: " in await refusal(free_port(), str(file))


@BOTH
async def test_what_comes_in_one_piece_is_all_heard(
    over_tls: bool, authority: tuple[ssl.SSLContext, str]
) -> None:
    marks = [b"%d" % n for n in range(50)]
    context, ca_file = authority if over_tls else (None, "")
    async with broker_twin(context) as broker:
        told = (frames.publish(topic("s", "a", "committed"), mark) for mark in marks)
        broker.behind = b"".join(told)
        async with agent_at(broker.port, ca_file) as agent:
            async with asyncio.timeout(5):
                assert [await agent.received() for _ in marks] == [("committed", m) for m in marks]


@BOTH
async def test_what_a_broker_does_not_take_goes_out_when_it_does_and_then_nothing_waits(
    over_tls: bool, authority: tuple[ssl.SSLContext, str]
) -> None:
    context, ca_file = authority if over_tls else (None, "")
    async with broker_twin(context) as broker, agent_at(broker.port, ca_file) as agent:
        broker.reads.clear()
        for batch in BATCHES:
            await agent.publish("data", batch)
        await until(lambda: agent._loop.remove_writer(agent._socket))
        agent._write()
        assert len(broker.said) < len(BATCHES)
        assert agent.queued()
        broker.reads.set()
        await until(lambda: len(broker.said) == len(BATCHES))
        assert broker.said == BATCHES
        await until(lambda: not agent.queued())
        assert not agent._loop.remove_writer(agent._socket), "the loop turns for nothing"


async def test_a_broker_that_takes_all_and_answers_nothing_is_lost(
    short_keep_alive: float,
) -> None:
    async with broker_twin() as broker, agent_at(broker.port) as agent:
        await until(lambda: broker.pings >= 2)
        broker.mute = True
        await until(lambda: said_more(agent) and agent._lost)
        assert "Keep alive" in await the_end(agent)


def said_more(agent: PahoConnection) -> bool:
    agent._client.publish("more", b"", qos=1)
    return True


async def test_a_birth_that_takes_longer_than_the_keep_alive_gets_through(
    short_keep_alive: float,
) -> None:
    """A ping stands behind it: that it is not answered meanwhile says nothing."""
    loop, birth = asyncio.get_running_loop(), bytes(400_000)
    async with broker_twin() as broker, agent_at(broker.port) as agent:
        broker.bytes_a_second = len(birth) / (3 * short_keep_alive)
        began = loop.time()
        await agent.publish("birth", birth, retain=True)
        await until(lambda: broker.said, 10)
        assert loop.time() - began > 2.5 * short_keep_alive
        assert broker.said == [birth]
        broker.bytes_a_second *= 100
        await until(lambda: broker.pings)


async def test_a_broker_that_takes_no_more_is_lost(short_keep_alive: float) -> None:
    async with broker_twin() as broker, agent_at(broker.port) as agent:
        for batch in BATCHES:
            await agent.publish("data", batch)
        await until(lambda: broker.said)
        broker.reads.clear()
        assert "Keep alive" in await the_end(agent)


async def test_what_paho_cannot_make_sense_of_ends_the_connection_with_its_reason() -> None:
    async with broker_twin() as broker:
        broker.behind = b"\x30\x03\x00\x01\xff"  # a topic that is no text: paho raises
        async with agent_at(broker.port) as agent:
            assert "UnicodeDecodeError" in await the_end(agent)
            await until(lambda: broker.ended)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_close_that_cannot_say_goodbye_leaves_nothing_behind(cancelled: bool) -> None:
    async with broker_twin() as broker:
        agent = await agent_at(broker.port).__aenter__()
        timer = agent._misc
        broker.reads.clear()
        for batch in BATCHES:
            await agent.publish("data", batch)
        closing = asyncio.create_task(agent.close())
        if cancelled:
            await until(lambda: agent._lost)
            closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        broker.reads.set()
        await until(lambda: broker.ended)
        assert timer
        assert timer.cancelled()


async def test_what_was_said_last_is_sent_before_the_connection_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt_publisher, "CLOSE_S_MAX", 10.0)
    async with broker_twin() as broker:
        async with agent_at(broker.port) as agent:
            broker.mute = True  # what nobody reads any more would reset the connection
            for batch in BATCHES:
                await agent.publish("data", batch)
        await until(lambda: broker.ended)
        assert broker.said == BATCHES


class Resolver:
    """Takes the place of the system's; who asks waits until it answers."""

    def __init__(self) -> None:
        self._real = socket.getaddrinfo
        self.answers = threading.Event()
        self.asked = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        self.answers.wait(30)
        return self._real(*args, **kwargs)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.answers.set()


async def test_an_attempt_that_was_given_up_takes_no_session_when_its_name_is_resolved(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broker_twin() as broker:
        monkeypatch.setattr(mqtt_publisher, "CONNECT_S_MAX", 0.1)
        assert "no answer in time" in await refusal(broker.port)
        assert resolver.asked == 1
        resolver.answers.set()
        await until(lambda: broker.ended)
        assert (broker.came, broker.greeted) == (1, 0)


async def test_only_who_is_still_wanted_says_who_it_is() -> None:
    async with broker_twin() as broker:
        await asyncio.to_thread(agent_at(broker.port)._dial)
        await until(lambda: broker.ended)
        assert (broker.came, broker.greeted) == (1, 0)


async def test_names_that_nobody_resolves_take_no_thread_from_the_broker() -> None:
    loop, hold = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    held = loop.run_in_executor(None, hold.wait)
    try:
        async with broker_twin() as broker, asyncio.timeout(5), agent_at(broker.port):
            assert broker.greeted == 1
    finally:
        hold.set()
        await held


STOPPED = """
import asyncio, socket, threading
from edge.mqtt_publisher import paho_connect
asked = threading.Event()
def silent(*_, **__):
    asked.set()
    threading.Event().wait()
socket.getaddrinfo = silent
async def main():
    connecting = asyncio.create_task(paho_connect("b", 1, "u", "p", "s", "a")(b"{}").__aenter__())
    while not asked.is_set():
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.wait([connecting])
asyncio.run(main())
"""


def test_a_process_that_is_told_to_stop_does_not_wait_for_a_silent_resolver() -> None:
    subprocess.run([sys.executable, "-c", STOPPED], check=True, timeout=20)
