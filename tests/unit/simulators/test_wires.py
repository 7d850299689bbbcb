"""A network without sockets behaves as one with them: bytes in order, ends that are told, addresses that fail."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from config.clock import run_virtual
from simulators.wires import EVERYWHERE, Reach, WiredLoop

T = TypeVar("T")
HOST, PORT = "10.0.0.1", 502


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back each line; `bye` ends the connection."""
    try:
        while (line := await reader.readline()) not in (b"", b"bye\n"):
            writer.write(line)
    finally:
        writer.close()


def over_wires(main: Coroutine[Any, Any, T], loop: WiredLoop) -> T:
    return run_virtual(main, loop=loop)


async def ask(text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, PORT)
    try:
        writer.write(text)
        return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


def test_what_is_written_comes_back_in_order_and_an_end_is_told() -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, HOST, PORT)
        assert server.sockets[0].getsockname() == (HOST, PORT)
        reader, writer = await asyncio.open_connection(HOST, PORT)
        writer.writelines([b"one\n", b"tw", b"o\n", b"bye\n"])
        assert await reader.read() == b"one\ntwo\n"
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await ask(b"x\n")

    over_wires(main(), WiredLoop())


def test_more_than_a_reader_holds_waits_and_nothing_is_lost() -> None:
    async def main() -> int:
        async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(300):
                writer.write(bytes(1000))
            writer.close()

        await asyncio.start_server(pour, HOST, PORT)
        reader, writer = await asyncio.open_connection(HOST, PORT, limit=4096)
        count = 0
        while piece := await reader.read(700):
            count += len(piece)
            await asyncio.sleep(0.001)
        writer.close()
        return count

    assert over_wires(main(), WiredLoop()) == 300_000


def test_an_address_is_taken_once() -> None:
    async def main() -> None:
        await asyncio.start_server(echo, HOST, PORT)
        with pytest.raises(OSError, match="already in use"):
            await asyncio.start_server(echo, HOST, PORT)

    over_wires(main(), WiredLoop())


def test_where_a_port_is_taken_nobody_can_listen_and_nobody_answers() -> None:
    loop = WiredLoop()

    async def main() -> None:
        loop.reach = lambda address: "taken"
        with pytest.raises(OSError, match="already in use"):
            await asyncio.start_server(echo, HOST, PORT)
        with pytest.raises(ConnectionRefusedError):
            await ask(b"x\n")
        loop.reach = lambda address: "open"
        await asyncio.start_server(echo, HOST, PORT)
        assert await ask(b"well\n") == b"well\n"

    over_wires(main(), loop)


def test_a_name_is_asked_for_every_connection_and_who_listens_everywhere_is_found_where_it_leads() -> (
    None
):
    loop, names = WiredLoop(), {"pump.site": "10.0.0.7"}
    loop.resolve = lambda host: names.get(host, host)
    loop.reach = lambda address: "open" if address == ("10.0.0.8", PORT) else "refused"

    async def main() -> None:
        await asyncio.start_server(echo, EVERYWHERE, PORT)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("pump.site", PORT)
        names["pump.site"] = "10.0.0.8"
        reader, writer = await asyncio.open_connection("pump.site", PORT)
        writer.write(b"here\n")
        assert await reader.readline() == b"here\n"
        writer.close()

    over_wires(main(), loop)


def test_who_asks_for_a_connection_where_nothing_comes_back_has_it_once_something_does() -> None:
    loop = WiredLoop()

    async def main() -> float:
        await asyncio.start_server(echo, HOST, PORT)
        loop.reach = lambda address: "open" if loop.time() > 30 else "vanished"
        assert await ask(b"late\n") == b"late\n"
        return loop.time()

    assert 30 < over_wires(main(), loop) < 32


@pytest.mark.parametrize(
    ("reach", "error"), [("refused", ConnectionRefusedError), ("vanished", TimeoutError)]
)
def test_an_address_that_fails_takes_no_connection(reach: Reach, error: type[Exception]) -> None:
    loop = WiredLoop()

    async def main() -> None:
        await asyncio.start_server(echo, HOST, PORT)
        assert await ask(b"well\n") == b"well\n"
        loop.reach = lambda address: reach
        with pytest.raises(error):
            async with asyncio.timeout(1):
                await ask(b"x\n")
        loop.reach = lambda address: "open"
        assert await ask(b"again\n") == b"again\n"

    over_wires(main(), loop)


def test_where_an_address_vanished_an_open_connection_hears_nothing_not_even_its_end() -> None:
    loop = WiredLoop()

    async def main() -> None:
        await asyncio.start_server(echo, HOST, PORT)
        reader, writer = await asyncio.open_connection(HOST, PORT)
        loop.reach = lambda address: "vanished"
        writer.write(b"bye\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await reader.read()
        writer.transport.abort()

    over_wires(main(), loop)


def test_an_abort_is_a_reset_for_the_other_end() -> None:
    async def main() -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        await asyncio.start_server(hang_up, HOST, PORT)
        with pytest.raises(ConnectionResetError):
            await ask(b"x\n")

    over_wires(main(), WiredLoop())
