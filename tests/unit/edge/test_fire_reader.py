import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from config.clock import ScaledClock
from edge.fire_centre import Centre
from edge.fire_reader import SPARE_LINKS, FireReader
from edge.readings import QUALITIES
from simulators.fire_frames import frame, wall_time
from tests.unit.edge.rows import line
from tests.unit.edge.test_fire_centre import FIRE, START, ZONE, commands, watched
from tests.waiting import until

NOW = wall_time(START, ZONE)


@asynccontextmanager
async def listening(timeout_s: float = 0.05) -> AsyncIterator[FireReader]:
    at = line(kind="fire", host="127.0.0.1", port=0, timeout_s=timeout_s)
    reader = FireReader(at, [watched("a", 889)], ScaledClock(), ZONE)
    try:
        await reader.open()
        yield reader
    finally:
        await reader.close()
        await reader.close()


async def connect(reader: FireReader) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", reader.port)


async def fires(reader: FireReader) -> bool:
    row = watched("a", 889)
    result = await reader.read(row.device, row.points)
    return any(r.point == "a/zone_fire" and r.value == 1.0 for r in result.readings)


async def test_a_frame_is_confirmed_on_its_own_connection_and_read() -> None:
    async with listening() as reader:
        back, writer = await connect(reader)
        other, third = await connect(reader)
        writer.write(frame(1, (889, 2), NOW, FIRE)[:40])
        await writer.drain()
        writer.write(frame(1, (889, 2), NOW, FIRE)[40:])
        assert commands(await back.readexactly(30)) == [3]
        assert await fires(reader)
        assert other.at_eof() is False
        for one in (writer, third):
            one.transport.abort()


async def test_the_rest_of_a_false_frame_is_not_waited_for_longer_than_the_timeout() -> None:
    async with listening() as reader:
        back, writer = await connect(reader)
        writer.write(b"@@" + bytes(22) + b"\x00\x03" + bytes(9) + frame(1, (889, 2), NOW, FIRE))
        answers = await asyncio.wait_for(back.readexactly(30), 5)
        assert commands(answers) == [3]
        writer.transport.abort()


async def test_a_port_that_is_taken_loses_the_line_and_is_tried_again() -> None:
    async with listening() as reader:
        at = line(kind="fire", host="127.0.0.1", port=reader.port)
        row = watched("a", 889)
        second = FireReader(at, [row], ScaledClock(), ZONE)
        result = await second.read(row.device, row.points)
        assert (result.lost, {r.quality for r in result.readings}) == (True, {QUALITIES["link_down"]})  # fmt: skip
        assert "cannot listen on 127.0.0.1" in result.detail
        await reader.close()
        assert not (await second.read(row.device, row.points)).lost
        await second.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "fire..lan", f"{'a' * 64}.lan"])
async def test_an_address_that_is_not_ours_or_no_hosts_loses_the_line(host: str) -> None:
    elsewhere = line(kind="fire", host=host, port=0)
    row = watched("a", 889)
    reader = FireReader(elsewhere, [row], ScaledClock(), ZONE)
    result = await reader.read(row.device, row.points)
    assert (result.lost, {r.quality for r in result.readings}) == (True, {QUALITIES["link_down"]})
    assert f"cannot listen on {host}" in result.detail
    await reader.close()


async def test_strangers_make_way_and_devices_stay() -> None:
    async with listening() as reader:
        back, device = await connect(reader)
        device.write(frame(1, (889, 2), NOW))
        await back.readexactly(30)
        strangers = [await connect(reader) for _ in range(SPARE_LINKS + 5)]
        await until(lambda: len(reader._sockets) == SPARE_LINKS + 1)
        await until(lambda: sum(one.at_eof() for one, _ in strangers) >= 1 or _closed(strangers))
        device.write(frame(2, (889, 2), NOW))
        assert commands(await back.readexactly(30)) == [3]
        for _, writer in [*strangers, (back, device)]:
            writer.transport.abort()


def _closed(links: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> bool:
    return any(reader.exception() is not None for reader, _ in links)


async def test_a_stranger_that_says_nothing_of_use_is_sent_away() -> None:
    async with listening() as reader:
        reader._stranger_s = 0.1
        back, writer = await connect(reader)
        writer.write(frame(1, (7, 2), NOW, FIRE) + b"@@")
        with suppress(ConnectionError):
            assert await asyncio.wait_for(back.read(), 5) == b""
        await until(lambda: not reader._sockets)
        writer.transport.abort()


async def test_a_new_connection_of_a_device_ends_its_old_one() -> None:
    async with listening() as reader:
        old, first = await connect(reader)
        first.write(frame(1, (889, 2), NOW))
        await old.readexactly(30)
        new, second = await connect(reader)
        second.write(frame(0, (889, 2), NOW, FIRE))
        assert commands(await new.readexactly(30)) == [3]
        with suppress(ConnectionError):
            assert await asyncio.wait_for(old.read(), 5) == b""
        assert await fires(reader)
        for one in (first, second):
            one.transport.abort()


async def test_a_device_that_vanished_from_the_network_ends_its_connection() -> None:
    """The system's own time-out is a TimeoutError too, and is said again at every look."""
    async with listening() as reader:
        _, writer = await connect(reader)
        writer.write(frame(1, (889, 2), NOW, FIRE))
        await until(lambda: reader.centre.stats.confirmed == 1)
        (one,) = reader._sockets.values()
        one.reader.set_exception(TimeoutError(110, "connection timed out"))
        await asyncio.wait_for(asyncio.shield(one.task), 5)
        assert not reader._sockets
        writer.transport.abort()


async def test_a_reader_goes_on_where_that_of_its_line_ended_and_one_never_begun_does_not_count() -> None:  # fmt: skip
    at, rows, kept = line(kind="fire", host="127.0.0.1", port=0), [watched("a", 889)], dict[str, Centre]()  # fmt: skip
    first, never, third = (FireReader(at, rows, ScaledClock(), ZONE, kept) for _ in range(3))
    await first.open()
    back, writer = await connect(first)
    writer.write(frame(1, (889, 2), NOW, FIRE))
    assert commands(await back.readexactly(30)) == [3]
    await first.close()
    writer.transport.abort()
    await never.close()
    assert await fires(third)
    await third.close()


async def test_connections_that_are_refused_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as reader:
        reader._links_max = 0
        links = [await connect(reader) for _ in range(3)]
        await until(lambda: reader.refused_links == 3)
        assert len([r for r in caplog.records if "too many connections" in r.getMessage()]) == 1
        for _, writer in links:
            writer.transport.abort()


async def test_what_a_person_may_want_to_know_of_the_line() -> None:
    async with listening() as reader:
        assert reader.words() == "0 confirmed, 0 denied"
        back, writer = await connect(reader)
        writer.write(frame(1, (889, 2), NOW, FIRE))
        await back.readexactly(30)
        reader.refused_links = 2
        assert reader.words().startswith("1 confirmed, 0 denied, clock of a -")
        assert reader.words().endswith(" s, 2 connections refused")
        writer.transport.abort()
