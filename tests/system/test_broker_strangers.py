"""What somebody who is not let in leaves behind in the embedded broker: nothing."""

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.adapters import mqtt_frames as frames
from edge.readings import topic
from tests.system.at_broker import (
    AGENT,
    NAME,
    SITE,
    USER,
    USERS,
    Running,
    collector_at,
    running,
    stranger,
)
from tests.waiting import until

pytestmark = pytest.mark.system
COMMITTED = topic(SITE, AGENT, "committed")
REFUSED = 100
GREETING = frames.connect(NAME, keepalive_s=60, user=USER, password=USERS[USER])
NO_CLIENT = {
    "nothing": b"",
    "a greeting cut in half": GREETING[:9],
    "noise": b"\xff" * 300,
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "a publish in place of a greeting": b"\x30" + GREETING[1:],
    "a greeting of another version": GREETING.replace(b"MQTT\x04", b"MQTT\x05"),
    "a greeting of another name": GREETING.replace(b"MQTT", b"TTQM"),
    "a length of five bytes": b"\x10\xff\xff\xff\xff\x01",
}
TAKEN_BYTES_MAX = 16 << 20
"""More than all buffers of a connection together."""


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as it:
        yield it


def left(at: Running) -> tuple[int, int, int, int]:
    """Sessions, subscriptions, connections and tasks that the broker has now."""
    broker = at.broker
    return (
        len(broker._sessions),
        sum(len(rows) for _, rows in broker._subscriptions.items()),
        broker._servers["default"].conn_count,
        len(asyncio.all_tasks()),
    )


@pytest.mark.parametrize(
    ("client", "user", "password", "clean"),
    [
        (NAME, USER, "guessed", False),
        ("another", "x", "x", True),
        ("", "x", "x", True),
        ("", "x", "x", False),
        ("", "", "", True),
    ],
)
async def test_who_is_refused_leaves_nothing_behind(
    at: Running, client: str, user: str, password: str, clean: bool
) -> None:
    before = left(at)
    for number in range(REFUSED):
        name = f"{client}-{number}" if client == "another" else client
        one = await stranger(at.port, user, password, name, clean=clean)
        assert await one.answer() != 0
        assert await asyncio.wait_for(one.reader.read(), 10) == b""
        one.writer.close()
    await until(lambda: left(at) == before, 10)


async def test_who_is_refused_and_says_no_more_leaves_nothing_behind(at: Running) -> None:
    """Nor who stays, or hangs up without hearing the answer."""
    before = left(at)
    made = [await stranger(at.port, "x", "x", NAME) for _ in range(REFUSED)]
    for one in made[: REFUSED // 2]:
        one.writer.transport.abort()
    await until(lambda: left(at) == before, 10)
    for one in made:
        one.writer.close()


async def test_who_leaves_leaves_nothing_behind(at: Running) -> None:
    """With a word or without, or sent away for a topic that is the broker's own."""
    before = left(at)
    for last in (frames.DISCONNECT, b"", frames.publish("$SYS/x", b"x", number=1)):
        for _ in range(10):
            one = await stranger(at.port, USER, "a", NAME)
            assert await one.answer() == 0
            one.writer.write(frames.subscribe(1, [COMMITTED]) + last)
            if last:
                await asyncio.wait_for(one.reader.read(), 10)
            one.writer.close()
        await until(lambda: left(at) == before, 10)


async def test_a_late_subscription_of_who_lost_the_session_is_not_taken_for_the_new_one(
    at: Running,
) -> None:
    """It was being looked at while the session was taken; of two under one name amqtt keeps the first."""
    collector = await collector_at(at.port)
    older = await stranger(at.port, USER, "a", NAME)
    assert await older.answer() == 0
    its_session = at.broker._sessions[NAME][0]
    newer = await stranger(at.port, USER, "a", NAME)
    assert await newer.answer() == 0
    await at.broker.add_subscription((COMMITTED, 1), its_session)
    newer.writer.write(frames.subscribe(1, [COMMITTED]))
    assert (await newer.reader.readexactly(5))[4] == 1
    collector.commit(b"mark")
    await newer.hears(b"mark")
    for one in (collector, older, newer):
        one.writer.close()


@pytest.mark.parametrize("said", NO_CLIENT)
async def test_who_does_not_greet_in_time_is_hung_up_on(at: Running, said: str) -> None:
    before = left(at)
    at.broker.connect_s_max = 0.2
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(NO_CLIENT[said])
    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)
    await until(lambda: left(at) == before, 10)
    writer.close()


async def test_of_a_greeting_without_an_end_only_the_beginning_is_read(at: Running) -> None:
    """It says 256 MB, and each of its fields is as long as MQTT lets it."""
    before = left(at)
    _, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x04\xf6\x00\x3c")
    taken = 0
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while taken < TAKEN_BYTES_MAX:
                writer.write(b"\xff" * 65_536)
                await writer.drain()
                taken += 65_536
    assert taken < TAKEN_BYTES_MAX
    await until(lambda: left(at) == before, 10)
    writer.close()


@pytest.mark.parametrize("said", [b"", GREETING[:-1]])
async def test_who_is_gone_before_it_is_answered_takes_no_place(at: Running, said: bytes) -> None:
    before = left(at)
    for _ in range(REFUSED):
        with socket.create_connection(("127.0.0.1", at.port)) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.sendall(said)
    last = await stranger(at.port, "x", "x", NAME)
    assert await last.answer() != 0
    last.writer.close()
    await until(lambda: left(at) == before, 10)


class Gone(asyncio.StreamWriter):
    """To somebody who reset the connection before it was accepted, as Linux has it then."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default if name == "peername" else super().get_extra_info(name, default)

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


async def test_who_has_no_address_any_more_takes_no_place(at: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    await until(lambda: at.broker._servers["default"].conn_count == 1, 10)
    gone = Gone(
        writer.transport, writer.transport.get_protocol(), reader, asyncio.get_running_loop()
    )
    with contextlib.suppress(OSError):
        await at.broker.stream_connected(reader, gone, "default")
    gone.transport.abort()
    await until(lambda: at.broker._servers["default"].conn_count == 0, 10)
