"""Broker and InfluxDB behind TLS: the server and agents speak to who proves its name, and to nobody else."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from collector.adapters.mqtt import Broker, MqttSource
from collector.adapters.store_influx import InfluxStore
from collector.ports import Message, Unavailable
from commands.access import authorities
from commands.part_servers import InfluxServer, MosquittoServer
from config.clock import ScaledClock
from config.settings import SettingsError
from edge.mqtt_publisher import paho_connect
from tests.system.at_influx import batch, new_bucket
from tests.waiting import until

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates; `file` is what those who trust it are given."""

    ca: trustme.CA
    file: str

    def server(self, name: str = HOST) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return Authority(ca, str(tmp_path / "ca.pem"))


@asynccontextmanager
async def before(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port that speaks TLS and carries what it hears to a real server on another."""
    carrying: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying.add(asyncio.current_task())  # type: ignore[arg-type]  # within one
        there, to = await asyncio.open_connection(HOST, port)
        ways = [asyncio.create_task(way) for way in (pump(reader, to), pump(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, to):
                end.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    server = await asyncio.start_server(carry, HOST, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)
        await server.wait_closed()


def source_at(port: int, mosquitto: MosquittoServer, ca_file: str) -> MqttSource:
    return MqttSource(
        Broker(HOST, port, "collector", mosquitto.users["collector"], ca_file=ca_file),
        ScaledClock(),
    )


async def taken(source: MqttSource, into: list[Message]) -> None:
    async for messages in source.batches():
        into += messages


@pytest.mark.system
async def test_a_batch_goes_from_agent_to_server_over_tls(
    mosquitto: MosquittoServer, authority: Authority
) -> None:
    user = "riverside/agent-1"
    async with before(mosquitto.port, authority.server()) as port:
        source, got = source_at(port, mosquitto, authority.file), list[Message]()
        taking = asyncio.create_task(taken(source, got))
        await until(lambda: source.connected, 20)
        connect = paho_connect(
            HOST, port, user, mosquitto.users[user], "riverside", "agent-1", ca_file=authority.file
        )
        async with connect(b"lost") as agent:
            await agent.publish("data", b"hello", retain=False)
            await until(lambda: any(message.payload == b"hello" for message in got), 20)
        await source.close()
        await taking


@pytest.mark.system
@pytest.mark.parametrize("name", ["another authority", "another name"])
async def test_a_broker_that_does_not_prove_its_name_gets_no_password(
    mosquitto: MosquittoServer, authority: Authority, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    shown = (
        authority.server("broker.example.org")
        if name == "another name"
        else Authority(trustme.CA(), "").server()
    )
    async with before(mosquitto.port, shown) as port:
        source, got = source_at(port, mosquitto, authority.file), list[Message]()
        with caplog.at_level(logging.WARNING):
            taking = asyncio.create_task(taken(source, got))
            await until(lambda: len(caplog.records) >= 2, 20)
        await source.close()
        await taking
    assert "certificate verify failed" in caplog.text
    assert got == []


@pytest.mark.system
async def test_readings_are_kept_in_an_influxdb_that_proves_its_name(
    influxd: InfluxServer, authority: Authority
) -> None:
    bucket, at = new_bucket(), int(influxd.url.rpartition(":")[2])
    async with before(at, authority.server()) as port:
        told = (f"https://{HOST}:{port}", influxd.token, influxd.org, bucket)
        store = InfluxStore(*told, ca_file=authority.file)
        await asyncio.to_thread(store.write, [batch([1.0, 2.0])], 5)
        assert await asyncio.to_thread(store.count) == 2
        store.close()
        distrusting = InfluxStore(*told)
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await asyncio.to_thread(distrusting.cursor)
        distrusting.close()


def test_a_file_of_authorities_that_cannot_be_used_stops_the_start(
    tmp_path: Path, authority: Authority
) -> None:
    assert authorities("STEWARD_BROKER_CA_FILE", authority.file) == authority.file
    assert authorities("STEWARD_BROKER_CA_FILE", "") == ""
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (tmp_path / "nowhere.pem", empty):
        with pytest.raises(SettingsError, match="STEWARD_BROKER_CA_FILE"):
            authorities("STEWARD_BROKER_CA_FILE", str(path))
