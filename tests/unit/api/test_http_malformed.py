"""Input that cannot be right, of every kind: refused with a problem document, never a 500."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.unit.api.plants import PRESSURE
from tests.unit.api.web import BASE, Web

JSON = {"content-type": "application/json"}
ORDER = '{"kind":"request","title":"x","asset":"b-lift"%s}'
DEEP = "[" * 100_000 + "]" * 100_000
MOVES, ORDERS = f"{BASE}/orders/202511-0001/moves", f"{BASE}/orders"

# Bodies sent to a route that takes JSON: name to bytes.
BODIES: dict[str, bytes] = {
    "empty": b"",
    "not json": b"hello",
    "half an object": b'{"kind": "request"',
    "half a string": b'{"kind": "requ',
    "trailing words": b"{} {}",
    "trailing comma": b'{"kind":"request",}',
    "bad utf-8": b'{"kind":"\xff\xfe"}',
    "overlong utf-8": b'{"kind":"\xc0\xaf"}',
    "utf-16": '{"kind":"request"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"kind":"request"}',
    "lone surrogate": ORDER.encode().replace(b'"x"', b'"\\ud800"') % b"",
    "nul in a text": ORDER.encode().replace(b'"x"', b'"a\\u0000b"') % b"",
    "escape in a text": ORDER.encode().replace(b'"x"', b'"a\\u001bb"') % b"",
    "null": b"null",
    "a number": b"5",
    "a list": b"[]",
    "a text": b'"request"',
    "true": b"true",
    "NaN": b"NaN",
    "Infinity inside": (ORDER % ',"note":Infinity').encode(),
    "NaN inside": (ORDER % ',"priority":NaN').encode(),
    "a number with 5000 digits": (ORDER % (',"note":' + "9" * 5000)).encode(),
    "1e999": (ORDER % ',"note":1e999').encode(),
    "a number for a text": b'{"kind":5,"title":"x","asset":"b-lift"}',
    "a list for a text": b'{"kind":["request"],"title":"x","asset":"b-lift"}',
    "an object for a text": b'{"kind":"request","title":{"en":{}},"asset":"b-lift"}',
    "a title without English": b'{"kind":"request","title":{"zh":"x"},"asset":"b-lift"}',
    "an empty title": b'{"kind":"request","title":"","asset":"b-lift"}',
    "an unknown language": b'{"kind":"request","title":{"en":"x","xx":"y"},"asset":"b-lift"}',
    "a missing member": b'{"kind":"request","title":"x"}',
    "an unknown member": (ORDER % ',"admin":true').encode(),
    "a member named __proto__": (ORDER % ',"__proto__":{}').encode(),
    "an unknown kind": ORDER.replace("request", "war").encode() % b"",
    "an unknown priority": (ORDER % ',"priority":"urgent"').encode(),
    "an unknown asset": ORDER.replace("b-lift", "c-none").encode() % b"",
    "an asset that climbs": ORDER.replace("b-lift", "../../etc/passwd").encode() % b"",
    "an asset that injects": ORDER.replace("b-lift", "x' OR 1=1 --").encode() % b"",
    "a title too long": ORDER.replace('"x"', '"' + "x" * 301 + '"').encode() % b"",
    "a note too long": (ORDER % (',"note":"' + "x" * 1001 + '"')).encode(),
    "a false for a text": (ORDER % ',"note":false').encode(),
    "a null for a text": (ORDER % ',"note":null').encode(),
    "nested deeply": DEEP[:30_000].encode() + DEEP[-30_000:].encode(),
    "too large": b'{"note":"' + b"x" * 70_000 + b'"}',
}

# Requests that cannot be right: method, path, query, headers.
REQUESTS: dict[str, tuple[str, str, dict[str, str], dict[str, str]]] = {
    "an unknown site": ("GET", "/api/v1/sites/none", {}, {}),
    "a site that climbs": ("GET", "/api/v1/sites/..%2f..%2fetc", {}, {}),
    "a site with a nul": ("GET", "/api/v1/sites/river%00side", {}, {}),
    "a site of bad utf-8": ("GET", "/api/v1/sites/%ff%fe", {}, {}),
    "a very long site": ("GET", "/api/v1/sites/" + "x" * 5000, {}, {}),
    "an unknown alarm": ("GET", f"{BASE}/alarms/none", {}, {}),
    "an alarm with a nul": ("GET", f"{BASE}/alarms/a%00b", {}, {}),
    "an alarm with a line feed": ("GET", f"{BASE}/alarms/a%0ab", {}, {}),
    "an alarm that is long": ("GET", f"{BASE}/alarms/" + "x" * 500, {}, {}),
    "an alarm that climbs": ("GET", f"{BASE}/alarms/..%2f..%2f..%2fetc%2fpasswd", {}, {}),
    "an unknown state of alarms": ("GET", f"{BASE}/alarms", {"state": "loud"}, {}),
    "a limit of 0": ("GET", f"{BASE}/alarms", {"limit": "0"}, {}),
    "a limit below 0": ("GET", f"{BASE}/alarms", {"limit": "-1"}, {}),
    "a limit too large": ("GET", f"{BASE}/alarms", {"limit": "501"}, {}),
    "a limit that is huge": ("GET", f"{BASE}/alarms", {"limit": "9" * 400}, {}),
    "a limit that is NaN": ("GET", f"{BASE}/alarms", {"limit": "NaN"}, {}),
    "a limit that is a fraction": ("GET", f"{BASE}/alarms", {"limit": "1.5"}, {}),
    "a cursor that is none": ("GET", f"{BASE}/alarms", {"cursor": "none"}, {}),
    "a cursor with a nul": ("GET", f"{BASE}/orders", {"cursor": "\x00"}, {}),
    "an order number that is none": ("GET", f"{BASE}/orders/1", {}, {}),
    "an order number in other digits": ("GET", f"{BASE}/orders/２０２５１１-０００１", {}, {}),
    "an order number beyond all": ("GET", f"{BASE}/orders/999999-999999999", {}, {}),
    "an order number with a path": ("GET", f"{BASE}/orders/202511-0001%2f..", {}, {}),
    "a history without a point": ("GET", f"{BASE}/history", {}, {}),
    "a history of nothing known": ("GET", f"{BASE}/history", {"point": "a/b"}, {}),
    "a point with a nul": ("GET", f"{BASE}/history", {"point": "a/\x00"}, {}),
    "a start after the end": (
        "GET", f"{BASE}/history", {"point": PRESSURE, "start": "2000", "end": "1000"}, {},
    ),
    "a start without an offset": (
        "GET", f"{BASE}/history", {"point": PRESSURE, "start": "2025-11-21T04:40:00"}, {},
    ),
    "a start that is no time": ("GET", f"{BASE}/history", {"point": PRESSURE, "start": "now"}, {}),
    "a start in 99999": (
        "GET", f"{BASE}/history", {"point": PRESSURE, "start": "99999-01-01T00:00:00Z"}, {},
    ),
    "an end of 400 digits": (
        "GET", f"{BASE}/history", {"point": PRESSURE, "end": "9" * 400}, {},
    ),
    "an end beyond 2100": (
        "GET", f"{BASE}/history", {"point": PRESSURE, "end": "9999999999999999"}, {},
    ),
    "a start in year 1 of a far zone": (
        "GET", f"{BASE}/history", {"point": PRESSURE, "start": "0001-01-01T00:00:00+14:00"}, {},
    ),
    "digits that are not ascii": (
        "GET", f"{BASE}/history", {"point": PRESSURE, "end": "١٢٣"}, {},
    ),
    "a resolution of 0": ("GET", f"{BASE}/history", {"point": PRESSURE, "resolution": "0"}, {}),
    "a resolution below 0": ("GET", f"{BASE}/history", {"point": PRESSURE, "resolution": "-5"}, {}),
    "a resolution in words": ("GET", f"{BASE}/history", {"point": PRESSURE, "resolution": "fine"}, {}),
    "a resolution too fine": (
        "GET", f"{BASE}/history",
        {"point": PRESSURE, "start": "0", "end": "4000000000000", "resolution": "1"}, {},
    ),
    "a due state that is none": ("GET", f"{BASE}/due", {"state": "soon"}, {}),
    "a due date that is none": ("GET", f"{BASE}/due", {"from": "21.11.2025"}, {}),
    "a due date with more": ("GET", f"{BASE}/due", {"to": "2025-11-21T00:00"}, {}),
    "an unknown occurrence": ("GET", f"{BASE}/due/none", {}, {}),
    "a path that is none": ("GET", "/api/v1/none", {}, {}),
    "a path above": ("GET", "/api/v1/../v1/none", {}, {}),
    "another version": ("GET", "/api/v2/sites", {}, {}),
    "a method that is none here": ("PUT", "/api/v1/sites", {}, {}),
    "a method that is no word": ("WAR", "/api/v1/sites", {}, {}),
    "a token id that is none": ("DELETE", "/api/v1/tokens/zz", {}, {}),
    "a length that is no number": ("POST", ORDERS, {}, {"content-length": "many"}),
    "a length beyond all": ("POST", ORDERS, {}, {"content-length": "9" * 30}),
    "a body that is a form": (
        "POST", ORDERS, {}, {"content-length": "3", "content-type": "application/x-www-form-urlencoded"},
    ),
    "a body without a type": ("POST", ORDERS, {}, {"content-length": "3", "content-type": ""}),
}  # fmt: skip


@pytest.fixture(scope="module")
def web() -> Web:
    return Web()


@pytest.fixture
async def admin(web: Web) -> AsyncIterator[httpx.AsyncClient]:
    async with web.as_role("admin") as client:
        yield client


def check(reply: httpx.Response) -> None:
    assert 400 <= reply.status_code < 500, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["type"].startswith("/problems/")
    assert problem["status"] == reply.status_code
    assert len(reply.content) < 5000


def test_there_are_enough_of_them() -> None:
    assert len(BODIES) + len(REQUESTS) + len(SESSIONS) > 90


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_cannot_be_right(admin: httpx.AsyncClient, web: Web, name: str) -> None:
    check(await admin.post(ORDERS, content=BODIES[name], headers=JSON))
    assert web.site.orders() == []


@pytest.mark.parametrize("path", [MOVES, f"{BASE}/orders/202511-0001/comments", "/api/v1/people",
                                  "/api/v1/tokens", "/api/v1/session", "/api/v1/setup"])  # fmt: skip
@pytest.mark.parametrize(
    "name", ["not json", "bad utf-8", "a list", "NaN", "nested deeply", "too large", "null"]
)
async def test_the_same_to_every_route_with_a_body(
    admin: httpx.AsyncClient, path: str, name: str
) -> None:
    check(await admin.post(path, content=BODIES[name], headers=JSON))


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_that_cannot_be_right(admin: httpx.AsyncClient, name: str) -> None:
    method, path, query, headers = REQUESTS[name]
    sent = [(k.encode(), v.encode()) for k, v in headers.items()]
    url = path + ("?" + str(httpx.QueryParams(query)) if query else "")
    check(await admin.request(method, url, headers=sent))


SESSIONS: dict[str, dict[str, Any]] = {
    "no such person": {"name": "nobody", "password": "x"},
    "an empty name": {"name": "", "password": ""},
    "a name that is a number": {"name": 5, "password": "x"},
    "a password that is null": {"name": "wang", "password": None},
    "a name that is long": {"name": "x" * 5000, "password": "x"},
    "a password that is long": {"name": "wang", "password": "x" * 50_000},
    "a name with a nul": {"name": "wa\x00ng", "password": "x"},
    "one member more": {"name": "wang", "password": "x", "role": "admin"},
}


@pytest.mark.parametrize("name", SESSIONS)
async def test_a_sign_in_that_cannot_be_right(web: Web, name: str) -> None:
    async with web.client() as client:
        check(await client.post("/api/v1/session", json=SESSIONS[name]))


COOKIES = ["", "x", "steward_session=", "steward_session=\x80\xff", "steward_session=" + "x" * 9000,
           "steward_session=a; steward_session=b", ";;;=;", "steward_session"]  # fmt: skip


@pytest.mark.parametrize("cookie", COOKIES)
async def test_a_cookie_that_is_none_is_nobody(web: Web, cookie: str) -> None:
    async with web.client() as client:
        headers = [(b"cookie", cookie.encode("latin-1"))]
        reply = await client.get("/api/v1/me", headers=headers)
    assert reply.status_code == 401


async def test_a_body_in_pieces_is_counted(admin: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    reply = await admin.post(ORDERS, content=pieces(), headers=JSON)
    assert reply.status_code == 413


async def test_a_last_event_id_that_is_none_gives_a_snapshot(web: Web) -> None:
    feed = web.services.feeds["riverside"]
    for wrong in ("", "x", "-1", "9" * 400, "١٢", "1.5", "\x00"):
        frames = feed.listen(wrong)
        assert b"event: snapshot" in await anext(frames)
        await frames.aclose()  # type: ignore[attr-defined]  # an async generator has it
