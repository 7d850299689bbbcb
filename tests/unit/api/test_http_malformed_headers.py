"""Right bodies under headers that cannot be right: refused for the header alone, and nothing is changed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from tests.unit.api.web import BASE, Web

ORDERS = f"{BASE}/orders"
NEW = b'{"kind":"request","title":"x","asset":"b-lift"}'
MOVE = b'{"move":"triage"}'
Sent = tuple[bytes, bytes]
JSON: Sent = (b"content-type", b"application/json")

MATCHES: dict[str, tuple[bytes, int]] = {
    "another version": (b'"99"', 412),
    "version 0": (b'"0"', 412),
    "a version below 0": (b'"-1"', 412),
    "a fraction": (b'"1.0"', 412),
    "a weak tag of another version": (b'W/"99"', 412),
    "words": (b"latest", 412),
    "no tag between quotes": (b'""', 412),
    "commas alone": (b",,,", 412),
    "other digits": ("١".encode(), 412),
    "bytes above ascii": (b"\x80\xff" * 10, 412),
    "400 letters": (b"9" * 400, 422),
}

KEYS: dict[str, tuple[bytes, int]] = {
    "an idempotency key of 500 letters": (b"x" * 500, 422),
    "a control sign inside": (b"a\x01b", 422),
    "a delete inside": (b"a\x7fb", 422),
    "an escape of a terminal inside": (b"a\x1b[31m", 422),
}

KINDS: dict[str, tuple[Sent, ...]] = {
    "plain text": ((b"content-type", b"text/plain"),),
    "a form": ((b"content-type", b"application/x-www-form-urlencoded"),),
    "a form in parts": ((b"content-type", b"multipart/form-data; boundary=x"),),
    "XML": ((b"content-type", b"application/xml"),),
    "text that says JSON": ((b"content-type", b"text/json"),),
    "a longer word": ((b"content-type", b"application/jsonp"),),
    "two kinds": ((b"content-type", b"text/plain, application/json"),),
    "a parameter alone": ((b"content-type", b"; charset=utf-8"),),
    "an empty kind": ((b"content-type", b""),),
    "no kind": (),
    "a kind of bad bytes": ((b"content-type", b"\xff\xfe"),),
}

TOKENS: dict[str, bytes] = {
    "no word": b"", "the scheme alone": b"Bearer", "an empty token": b"Bearer ", "another scheme": b"Basic YTpi",
    "a token of 10 000 letters": b"Bearer " + b"x" * 10_000, "a token of bad bytes": b"Bearer \xff\xfe",
    "two tokens": b"Bearer a, Bearer b", "a digest": b"Digest username=\"x\"",
}  # fmt: skip

EVENT_IDS: dict[str, bytes] = {
    "words": b"newest", "below 0": b"-1", "a fraction": b"1.5", "40 digits": b"9" * 40,
    "other digits": "١٢".encode(), "bytes above ascii": b"\xff\xfe", "another life's": b"123456789",
}  # fmt: skip


@dataclass
class Desk:
    """An administrator with one order."""

    web: Web
    client: httpx.AsyncClient
    number: str

    async def move(self, *headers: Sent) -> httpx.Response:
        path = f"{ORDERS}/{self.number}/moves"
        return await self.client.post(path, content=MOVE, headers=[JSON, *headers])

    async def new(self, *headers: Sent) -> httpx.Response:
        return await self.client.post(ORDERS, content=NEW, headers=list(headers))

    def states(self) -> list[str]:
        return [str(kept.order.state) for kept in self.web.site.orders()]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    web = Web()
    async with web.as_role("admin") as client:
        made = await client.post(ORDERS, content=NEW, headers=[JSON])
        yield Desk(web, client, made.json()["number"])


def check(reply: httpx.Response, status: int) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", MATCHES)
async def test_a_tag_that_is_not_the_orders_moves_nothing(desk: Desk, name: str) -> None:
    tag, status = MATCHES[name]
    check(await desk.move((b"if-match", tag)), status)
    assert desk.states() == ["reported"]


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_that_cannot_be_one_makes_no_order(desk: Desk, name: str) -> None:
    key, status = KEYS[name]
    check(await desk.new(JSON, (b"idempotency-key", key)), status)
    assert len(desk.states()) == 1


@pytest.mark.parametrize("name", KINDS)
async def test_a_body_of_another_kind_is_not_read(desk: Desk, name: str) -> None:
    check(await desk.new(*KINDS[name]), 415)
    assert len(desk.states()) == 1


async def test_the_same_with_right_headers_is_done(desk: Desk) -> None:
    assert (await desk.new(JSON, (b"idempotency-key", b"k-1"))).status_code == 201
    assert (await desk.new((b"content-type", b"Application/JSON; charset=utf-8"))).status_code == 201  # fmt: skip
    tag = (await desk.client.get(f"{ORDERS}/{desk.number}")).headers["etag"]
    assert (await desk.move((b"if-match", tag.encode()))).status_code == 200
    assert sorted(desk.states()) == ["reported", "reported", "triaged"]


@pytest.mark.parametrize("name", TOKENS)
async def test_a_token_that_is_none_is_nobody(desk: Desk, name: str) -> None:
    async with desk.web.client() as client:
        reply = await client.post(
            ORDERS, content=NEW, headers=[JSON, (b"authorization", TOKENS[name])]
        )
    check(reply, 401)
    assert len(desk.states()) == 1


@pytest.mark.parametrize("name", EVENT_IDS)
async def test_a_mark_of_another_life_gives_everything(desk: Desk, name: str) -> None:
    frames = desk.web.services.feeds["riverside"].listen(EVENT_IDS[name].decode("latin-1"))
    assert b"event: snapshot" in await anext(frames)
    await frames.aclose()  # type: ignore[attr-defined]  # an async generator has it
