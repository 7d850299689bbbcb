"""A port for a server of ours is nobody else's, neither before it listens nor between two of its lives."""

import asyncio
import socket

import pytest

from commands import part_servers
from commands.part_servers import KEEPS_PORTS, free_port, free_ports, listens


@pytest.mark.skipif(not KEEPS_PORTS, reason="this system refuses a server whose port is kept")
def test_nobody_else_can_take_it_or_is_given_it() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    assert not listens(port)


async def test_our_servers_listen_there_one_after_the_other() -> None:
    port = free_port()
    for _ in range(2):
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
            assert listens(port)
        assert not listens(port)


def test_elsewhere_none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_servers, "KEEPS_PORTS", False)
    ports = free_ports(3)
    assert len(set(ports)) == 3
    for port in ports:
        with socket.socket() as other:
            other.bind(("127.0.0.1", port))


def test_so_many_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_servers, "HELD_PORTS_MAX", 2)
    first, *more = free_ports(3)
    assert len({first, *more}) == 3
    free_ports(2)
    for port in (first, *more):
        with socket.socket() as other:
            other.bind(("127.0.0.1", port))
