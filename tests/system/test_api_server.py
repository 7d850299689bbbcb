"""The API behind a real server and real sockets: the feed, its resume, and bytes that are no HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from api.at_once import Said
from api.routes.sites import FRAMES_PER_CHECK
from commands.web_server import web_server
from tests.unit.api.plants import PRESSURE
from tests.unit.api.web import BASE, Web
from tests.waiting import until

pytestmark = pytest.mark.system
BEGINNING = ["snapshot", "alarms", "orders", "plans"]


@dataclass
class Served:
    """A site on a port of this machine, and a client who may read it."""

    web: Web
    port: int
    client: httpx.AsyncClient


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    web = Web()
    server = web_server(web.app, host="127.0.0.1", port=0, log_level="critical")
    serving = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    token = web.services.people.make_token("wall", ["viewer"], ["*"], "test")
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"}
        ) as client:
            yield Served(web, port, client)
    finally:
        server.should_exit = True
        await serving


async def events(reply: httpx.Response, count: int) -> list[dict[str, str]]:
    """The first events of a stream, as an EventSource would see them."""
    found: list[dict[str, str]] = []
    one: dict[str, str] = {}
    async for line in reply.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            one[name] = value
            continue
        found.append(one)
        one = {}
        if len(found) == count:
            break
    return found


async def test_the_feed_begins_with_a_snapshot_and_resumes_by_its_last_mark() -> None:
    async with served() as here:
        url = f"{BASE}/live/stream"
        async with here.client.stream("GET", url) as reply:
            first = await events(reply, 4)
        assert [e["event"] for e in first] == BEGINNING
        here.web.site.read({PRESSURE: 4.5})
        headers = {"last-event-id": first[0]["id"]}
        async with here.client.stream("GET", url, headers=headers) as reply:
            (again,) = await events(reply, 1)
        assert again["event"] == "changes"
        assert '"value":[4.5]' in again["data"]
        feed = here.web.services.feeds["riverside"]
        await until(lambda: not feed._clients)


def frames_of(body: bytes) -> list[bytes]:
    """Whole frames, each `id`, `event` and `data`; nothing else may be between them."""
    *whole, _ = body.split(b"\n\n")
    names = [[line.split(b":")[0] for line in frame.split(b"\n")] for frame in whole]
    assert names == [[b"id", b"event", b"data"]] * len(whole)
    return whole


async def test_frames_past_the_server_are_one_answer_in_chunks_that_ends_with_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind its end the connection is as good as before: the next request comes by it."""
    past, at_once = [], Said.at_once

    def counting(said: Said, in_a_chunk: bytes) -> bool:
        past.append(at_once(said, in_a_chunk))
        return past[-1]

    monkeypatch.setattr(Said, "at_once", counting)
    async with served() as here:
        id = here.client.headers["authorization"].split("_")[1]
        async with here.client.stream("GET", f"{BASE}/live/stream") as reply:
            connection = reply.extensions["network_stream"]
            pieces = reply.aiter_bytes()
            body = await anext(pieces)
            while past.count(True) < 3:
                body += await anext(pieces)
            here.web.services.people.revoke(id, "test")
            body += b"".join([piece async for piece in pieces])
        assert len(frames_of(body)) >= FRAMES_PER_CHECK
        async with here.client.stream("GET", f"{BASE}/live") as reply:
            assert reply.status_code == 401
            assert reply.extensions["network_stream"] is connection


async def test_who_does_not_know_chunks_gets_none() -> None:
    async with served() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        authorization = here.client.headers["authorization"]
        writer.write(
            f"GET {BASE}/live/stream HTTP/1.0\r\nauthorization: {authorization}\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        body = b""
        while body.count(b"event: beat") < 3:
            body += await asyncio.wait_for(reader.read(4096), 5)
        writer.close()
        assert b" 200 " in head.split(b"\r\n")[0]
        assert len(frames_of(body)) >= len(BEGINNING) + 2


NOT_HTTP = [
    b"\x00" * 100,
    b"hello\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
]


@pytest.mark.parametrize("number", range(len(NOT_HTTP)))
async def test_bytes_that_are_no_http_never_break_the_server(number: int) -> None:
    async with served() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(NOT_HTTP[number])
        answer = b""
        with contextlib.suppress(OSError):  # hanging up is an answer too
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert b" 500 " not in answer.split(b"\r\n")[0]
        assert (await here.client.get("/api/v1/health/live")).json() == {"ok": True}
