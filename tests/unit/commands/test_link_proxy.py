import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from collector.adapters import mqtt_frames as frames
from commands.proving.link_proxy import LinkProxy
from tests.waiting import until

BATCH = frames.publish("steward/v1/s/a/data", b"one", number=1)
STATE = frames.publish("steward/v1/s/a/state", b"ready", number=2)


@dataclass
class Broker:
    """Takes what comes; the tests speak for it."""

    heard: bytes = b""
    ended: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while piece := await reader.read(4096):
                self.heard += piece
        except ConnectionResetError:
            self.heard += b"<reset>"
        self.ended += 1
        writer.close()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def proxy(broker: Broker) -> AsyncIterator[LinkProxy]:
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    proxy = LinkProxy(server.sockets[0].getsockname()[1])
    await proxy.open()
    yield proxy
    await proxy.close()
    await until(lambda: broker.ended == len(broker.writers))
    server.close()


@dataclass
class Agent:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def end(self) -> str:
        """How the connection ended."""
        try:
            return "in order" if await asyncio.wait_for(self.reader.read(), 5) == b"" else "said"
        except ConnectionResetError:
            return "reset"

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def connected(proxy: LinkProxy) -> Agent:
    taken = proxy.taken
    agent = Agent(*await asyncio.open_connection("127.0.0.1", proxy.port))
    await until(lambda: proxy.taken > taken)
    return agent


async def test_both_ways_are_open_and_batches_are_kept_as_they_go_by(
    proxy: LinkProxy, broker: Broker
) -> None:
    agent = await connected(proxy)
    agent.writer.write(STATE + BATCH[:5])
    await until(lambda: broker.heard == STATE + BATCH[:5])
    assert (len(proxy.said), proxy.speaking) == (0, False)
    agent.writer.write(BATCH[5:])
    await until(lambda: broker.heard == STATE + BATCH)
    assert ([one.payload for one in proxy.said], proxy.speaking) == ([b"one"], True)
    broker.writers[0].write(b"mark")
    assert await asyncio.wait_for(agent.reader.readexactly(4), 5) == b"mark"
    await agent.close()
    await until(lambda: broker.ended)


async def test_of_a_cut_both_sides_hear_in_good_order(proxy: LinkProxy, broker: Broker) -> None:
    agent = await connected(proxy)
    assert proxy.link
    proxy.link.cut()
    assert await agent.end() == "in order"
    await until(lambda: broker.ended)
    assert broker.heard == b""
    await until(lambda: not proxy.links)
    await agent.close()


async def test_a_reset_is_a_reset_for_both(proxy: LinkProxy, broker: Broker) -> None:
    agent = await connected(proxy)
    assert proxy.link
    proxy.link.reset()
    assert await agent.end() == "reset"
    await until(lambda: broker.ended)
    assert broker.heard == b"<reset>"
    await agent.close()


async def test_a_half_open_link_swallows_and_tells_nobody(proxy: LinkProxy, broker: Broker) -> None:
    agent = await connected(proxy)
    link = proxy.link
    assert link
    link.half_open = True
    assert proxy.link is None
    agent.writer.write(BATCH)
    broker.writers[0].write(b"mark")
    await until(lambda: link.swallowed == len(BATCH) + 4)
    broker.writers[0].close()
    await until(lambda: link.ended_by == "broker")
    agent.writer.write(BATCH)
    await until(lambda: link.swallowed == 2 * len(BATCH) + 4)
    assert not agent.reader.at_eof()
    assert broker.heard == b""
    link.reset()
    assert await agent.end() == "reset"
    await until(lambda: link.gone)
    await agent.close()


async def test_of_an_agent_that_is_lost_the_broker_hears_nothing_until_it_ends_its_half(
    proxy: LinkProxy, broker: Broker
) -> None:
    agent = await connected(proxy)
    link = proxy.link
    assert link
    link.lose_agent()
    assert await agent.end() == "reset"
    await agent.close()
    again = await connected(proxy)
    again.writer.write(BATCH)
    await until(lambda: broker.heard == BATCH)
    assert not broker.ended
    assert not link.gone
    broker.writers[0].close()
    await until(lambda: link.gone)
    await again.close()


async def test_who_ends_a_link_is_known(proxy: LinkProxy, broker: Broker) -> None:
    agent = await connected(proxy)
    first = proxy.link
    assert first
    broker.writers[0].close()
    assert await agent.end() == "in order"
    assert first.ended_by == "broker"
    await agent.close()
    other = await connected(proxy)
    second = proxy.link
    assert second
    await other.close()
    await until(lambda: second.gone)
    assert second.ended_by == "agent"


async def test_a_delay_holds_back_and_changes_no_order(proxy: LinkProxy, broker: Broker) -> None:
    loop = asyncio.get_running_loop()
    agent = await connected(proxy)
    proxy.delay_s = 0.1
    begun = loop.time()
    agent.writer.write(STATE)
    await until(lambda: proxy.held_back == len(STATE))
    proxy.delay_s = 0.0
    agent.writer.write(BATCH)
    await until(lambda: broker.heard)
    assert loop.time() - begun >= 0.1
    await until(lambda: broker.heard == STATE + BATCH)
    assert proxy.held_back == len(STATE)
    await agent.close()


async def test_refused_connections_are_refused_and_the_port_is_the_same_again(
    proxy: LinkProxy,
) -> None:
    agent = await connected(proxy)
    port = proxy.port
    proxy.refuse()
    assert await agent.end() == "reset"
    await agent.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.open()
    assert proxy.port == port
    again = await connected(proxy)
    await again.close()


async def test_where_no_broker_is_nobody_is_taken() -> None:
    server = await asyncio.start_server(Broker().serve, "127.0.0.1", 0)
    proxy = LinkProxy(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    await proxy.open()
    agent = Agent(*await asyncio.open_connection("127.0.0.1", proxy.port))
    assert await agent.end() == "in order"
    assert proxy.taken == 0
    await agent.close()
    await proxy.close()
