"""Who answers in NATS's place without TLS is told nothing."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from collector.adapters import nats_link
from collector.adapters.nats_link import NatsAt, connect
from collector.ports import Unavailable

INFO = b'INFO {"server_id":"x","version":"2.10.9","max_payload":1048576,"headers":true,"auth_required":true}\r\n'  # fmt: skip


@asynccontextmanager
async def nobody_we_know(heard: list[bytes]) -> AsyncIterator[int]:
    """A server that speaks NATS in clear, and keeps what it hears; its port."""

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(INFO)
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_a_server_that_says_it_has_no_tls_hears_no_password(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_link, "ANSWER_S_MAX", 0.5)
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    ca_file = "" if scheme == "tls" else str(tmp_path / "ca.pem")
    heard: list[bytes] = []
    async with nobody_we_know(heard) as port:
        at = NatsAt(f"{scheme}://127.0.0.1:{port}", "collector", "our-word", ca_file=ca_file)
        with pytest.raises(Unavailable) as refused:
            await connect(at)
    assert b"".join(heard) == b""
    assert "does not ask for TLS" in str(refused.value)
