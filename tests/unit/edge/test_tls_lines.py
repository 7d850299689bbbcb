"""Lines over TLS, Modbus and MQTT: only to one that proves who it is."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from config.clock import SteppedClock
from config.plant import Tls
from edge.device_messages import FeedDown
from edge.modbus_transport import LinkDown, NoAnswer, PymodbusTransport
from edge.mqtt_feed import PahoFeed
from tests.unit.edge.broker_twin import broker_twin
from tests.unit.edge.modbus_twins import RecordingServer, honest
from tests.unit.edge.polled_line import descriptors
from tests.unit.edge.rows import line
from tests.waiting import until

NAME = "pump.example.org"


class Site:
    """An authority, what it signed for a device and for an agent, and a device that asks for both."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)
        mine = self.ca.issue_cert("edge-a.example.org")
        self.certificate, self.key = str(folder / "edge.pem"), str(folder / "edge.key")
        mine.cert_chain_pems[0].write_to_path(self.certificate)
        mine.private_key_pem.write_to_path(self.key)

    def device(self, name: str = NAME, *, asks: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        if asks:
            self.ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@asynccontextmanager
async def connected(
    context: ssl.SSLContext, tls: Tls, key: str = ""
) -> AsyncIterator[tuple[PymodbusTransport, RecordingServer]]:
    async with RecordingServer(honest, tls=context).running() as server:
        transport = PymodbusTransport(
            line(kind="tls", host="127.0.0.1", port=server.port, timeout_s=1.0, tls=tls), key
        )
        try:
            yield transport, server
        finally:
            await transport.close()


async def test_a_device_that_proves_its_name_is_read(site: Site) -> None:
    async with connected(site.device(), Tls(NAME, site.file)) as (transport, server):
        assert await transport.request(9, "holding", 7, 3) == [7, 8, 9]
        assert await transport.request(9, "input", 1, 1) == [1]
        assert [frame[:4] for frame in server.frames] == [b"\0\1\0\0", b"\0\2\0\0"], "numbered"


async def test_a_device_of_another_name_is_not_read(site: Site) -> None:
    async with connected(site.device("other.example.org"), Tls(NAME, site.file)) as (transport, server):  # fmt: skip
        with pytest.raises(LinkDown, match=r"certificate verify failed.*pump\.example\.org"):
            await transport.request(9, "holding", 7, 3)
        assert server.frames == []


async def test_a_device_that_another_authority_signed_is_not_read(site: Site, tmp_path: Path) -> None:  # fmt: skip
    (tmp_path / "other").mkdir()
    stranger = Site(tmp_path / "other")
    async with connected(stranger.device(), Tls(NAME, site.file)) as (transport, server):
        with pytest.raises(LinkDown, match="certificate verify failed"):
            await transport.request(9, "holding", 7, 3)
        assert server.frames == []


async def test_a_device_that_asks_who_reads_it_is_shown_our_certificate(site: Site) -> None:
    tls = Tls(NAME, site.file, certificate=site.certificate)
    async with connected(site.device(asks=True), tls, site.key) as (transport, _):
        assert await transport.request(9, "holding", 7, 3) == [7, 8, 9]
    async with connected(site.device(asks=True), Tls(NAME, site.file)) as (transport, _):
        with pytest.raises(LinkDown):
            await transport.request(9, "holding", 7, 3)


async def test_files_that_cannot_be_read_are_said(site: Site) -> None:
    async with connected(site.device(), Tls(NAME, "/nowhere/ca.pem")) as (transport, _):
        with pytest.raises(LinkDown, match="No such file"):
            await transport.request(9, "holding", 7, 3)


async def test_the_socket_to_a_device_that_vanished_is_gone_at_once(site: Site) -> None:
    """TLS would wait half a minute for the other end to agree."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    context = site.device()
    accepting = asyncio.ensure_future(
        asyncio.to_thread(lambda: context.wrap_socket(listener.accept()[0], server_side=True))
    )
    before, tls = descriptors(), Tls(NAME, site.file)
    transport = PymodbusTransport(
        line(kind="tls", host="127.0.0.1", port=listener.getsockname()[1], timeout_s=1.0, tls=tls)
    )
    with pytest.raises(NoAnswer):
        await transport.request(9, "holding", 7, 3)
    with await accepting, listener:
        await until(lambda: descriptors() <= before + 1)


async def refused(context: ssl.SSLContext, ca: str) -> str:
    """Why the broker of an MQTT line is not heard; "" if it is."""
    async with broker_twin(context) as broker:
        own = line(kind="mqtt", host="127.0.0.1", port=broker.port, tls=Tls("127.0.0.1", ca))
        feed = PahoFeed(own, str, SteppedClock())
        try:
            return ", ".join(await feed.open(frozenset({"a"})))
        except FeedDown as down:
            return str(down)
        finally:
            await feed.close()


# paho leaves the socket of a refused handshake to be collected
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_of_devices_is_heard_if_it_proves_that_it_is_the_line_s_host(
    site: Site, tmp_path: Path
) -> None:
    assert await refused(site.device("127.0.0.1"), site.file) == ""
    assert "mismatch" in await refused(site.device(NAME), site.file)
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    assert "unable to get local issuer" in await refused(site.device("127.0.0.1"), str(other))
    other.write_text("no certificate")
    assert re.search("CA file .*other.pem: ", await refused(site.device("127.0.0.1"), str(other)))
