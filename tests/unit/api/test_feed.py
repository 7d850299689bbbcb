"""The live feed: one encoding for everybody, resume by mark, and no queue without a bound."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import msgspec
import pytest

from api import feed as feeds
from api import site_views
from api.feed import CLIENTS_MAX, FRAMES_MAX, AtOnce, Feed, never
from api.people import Caller, Carried, digest
from api.problems import Problem
from api.site_views import live_columns
from api.together import Together
from tests.unit.api.desks import DeskSite
from tests.unit.api.plants import PRESSURE, PUMP, SITE
from tests.unit.api.web import BASE, Web

Frames = AsyncGenerator[bytes, None]


class Watched:
    """A feed on a site whose two clocks are one, moved by the test."""

    def __init__(self) -> None:
        self.site = DeskSite()
        self.serials = {"alarms": 1, "orders": 1, "plans": 1}
        self.feed = Feed(SITE, self.site.live, self.site.clock, self.site.clock, self._serials)

    async def _serials(self) -> dict[str, int]:
        return dict(self.serials)

    def listen(self, last: str = "", at_once: AtOnce = never) -> Frames:
        return cast("Frames", self.feed.listen(last, at_once))

    async def tick(self, count: int = 1) -> None:
        await asyncio.sleep(0)  # a feed that has just begun reaches its first wait
        await self.site.clock.advance(0.25 * count)


@asynccontextmanager
async def opened(frames: Frames) -> AsyncIterator[Frames]:
    try:
        yield frames
    finally:
        await frames.aclose()


def parse(frame: bytes) -> tuple[int, str, Any]:
    head, event, data = frame.decode().rstrip("\n").split("\n")
    return int(head[4:]), event[7:], msgspec.json.decode(data[6:])


async def first(frames: Frames) -> tuple[int, str, Any]:
    """The first frame, with the serials behind it passed over."""
    found = parse(await anext(frames))
    assert [parse(await anext(frames))[1] for _ in range(3)] == ["alarms", "orders", "plans"]
    return found


async def test_it_begins_with_a_snapshot_and_goes_on_with_changes() -> None:
    watched = Watched()
    async with opened(watched.listen()) as frames:
        mark, event, data = await first(frames)
        assert (event, data["points"], data["mark"]) == ("snapshot", [PRESSURE, PUMP], str(mark))
        assert data["value"] == [None, None]
        watched.site.read({PRESSURE: 4.5})
        await watched.tick()
        later, event, data = parse(await anext(frames))
        assert (event, data["points"], data["value"]) == ("changes", [PRESSURE], [4.5])
        assert later > mark


async def test_a_tick_without_changes_says_nothing_but_the_beat() -> None:
    watched = Watched()
    async with opened(watched.listen()) as frames:
        await first(frames)
        await watched.tick(4)
        _, event, data = parse(await anext(frames))
        assert (event, data["now"]) == ("beat", "2025-11-21T04:40:01.000Z")


async def test_a_tick_says_everything_in_one_write() -> None:
    watched = Watched()
    async with opened(watched.listen()) as frames:
        await first(frames)
        await watched.tick(3)
        watched.site.read({PRESSURE: 4.5})
        watched.serials["orders"] = 2
        await watched.tick()
        said = (await anext(frames)).split(b"\n\n")[:-1]
        assert [parse(part)[1] for part in said] == ["changes", "orders", "beat"]


async def test_a_reader_that_returns_gets_what_it_missed() -> None:
    watched = Watched()
    async with opened(watched.listen()) as frames:
        mark, _, _ = await first(frames)
    watched.site.read({PUMP: 1.0})
    async with opened(watched.listen(str(mark))) as frames:
        _, event, data = await first(frames)
        assert (event, data["points"]) == ("changes", [PUMP])


@pytest.mark.parametrize("last", ["0", "5", str(2**60)])
async def test_a_mark_of_another_life_gets_a_snapshot(last: str) -> None:
    watched = Watched()
    async with opened(watched.listen(last)) as frames:
        assert (await first(frames))[1] == "snapshot"


async def test_a_list_that_changed_is_named_with_its_serial() -> None:
    watched = Watched()
    async with opened(watched.listen()) as frames:
        await first(frames)
        watched.serials["orders"] = 2
        await watched.tick(2)
        _, event, data = parse(await anext(frames))
        assert (event, data) == ("orders", {"serial": 2})


async def test_everybody_gets_the_same_bytes_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, encoded = Watched(), []
    columns = site_views.columns_of

    def counting(*arguments: Any) -> Any:
        encoded.append(1)
        return columns(*arguments)

    for module in (feeds, site_views):
        monkeypatch.setattr(module, "columns_of", counting)
    readers = [watched.listen() for _ in range(5)]
    for frames in readers:
        await first(frames)
    watched.site.read()
    await watched.tick()
    changes = [await anext(frames) for frames in readers]
    assert all(c is changes[0] for c in changes)
    assert len(encoded) == 2
    for frames in readers:
        await frames.aclose()


async def test_the_whole_is_encoded_anew_when_a_point_changed_and_its_time_always() -> None:
    watched = Watched()
    site = watched.site
    before = msgspec.json.decode(watched.feed.whole())
    columns = watched.feed._columns[1]
    await site.clock.advance(1.0)
    later = msgspec.json.decode(watched.feed.whole())
    assert later == {**before, "now": "2025-11-21T04:40:01.000Z"}
    assert watched.feed._columns[1] is columns
    site.read({PUMP: 1.0})
    assert watched.feed.whole() == msgspec.json.encode(
        live_columns(site.live.snapshot(SITE), site.clock.now())
    )


async def test_a_snapshot_of_a_quiet_site_tells_the_time_of_now() -> None:
    """The console sets its clock by it: one of an hour ago made values of an hour ago look fresh."""
    watched = Watched()
    for expected in ("2025-11-21T04:40:00.000Z", "2025-11-21T05:40:00.000Z"):
        async with opened(watched.listen()) as frames:
            assert (await first(frames))[2]["now"] == expected
        await watched.site.clock.advance(3600)


async def test_a_slow_reader_gets_a_snapshot_later_and_never_a_long_queue() -> None:
    watched = Watched()
    async with opened(watched.listen()) as frames:
        await first(frames)
        for n in range(FRAMES_MAX * 10):
            watched.site.read({PRESSURE: float(n)})
            await watched.tick()
        (client,) = watched.feed._clients
        assert len(client.frames) <= FRAMES_MAX
        frame = (await anext(frames)).split(b"\n\n")[0]
        _, event, data = parse(frame)
        assert (event, data["value"][0]) == ("snapshot", FRAMES_MAX * 10 - 1)
        watched.site.read({PRESSURE: 5.0})
        await watched.tick()
        assert parse(await anext(frames))[1] in ("changes", "beat")


async def test_it_watches_only_while_somebody_listens() -> None:
    watched = Watched()
    one, two = watched.listen(), watched.listen()
    await first(one)
    await first(two)
    await one.aclose()
    task = watched.feed._task
    assert task is not None
    assert not task.done()
    await two.aclose()
    assert task.done()
    assert watched.feed._task is None
    async with opened(watched.listen()) as again:
        assert (await first(again))[1] == "snapshot"


async def test_too_many_readers_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "CLIENTS_MAX", 1)
    watched = Watched()
    async with opened(watched.listen()) as frames:
        await first(frames)
        with pytest.raises(Problem):
            await anext(watched.listen())
    assert CLIENTS_MAX > 1


async def stream(web: Web, headers: list[tuple[bytes, bytes]]) -> tuple[int, list[bytes]]:
    """Ask for the stream as a server would, and go away after its first frame."""
    sent: list[Any] = []
    asked: list[int] = []
    arrived = asyncio.Event()

    async def receive() -> dict[str, Any]:
        asked.append(1)
        if len(asked) == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await arrived.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message.get("body"):
            arrived.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "path": f"{BASE}/live/stream", "raw_path": b"", "root_path": "", "scheme": "http",
        "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1), "server": ("t", 80),
    }  # fmt: skip
    await web.app(scope, receive, send)
    return sent[0]["status"], [m["body"] for m in sent[1:] if m.get("body")]


async def test_the_stream_is_served_and_let_go_of() -> None:
    web = Web()
    token = web.services.people.make_token("wall", ["viewer"], ["*"], "test")
    status, bodies = await stream(web, [(b"authorization", b"Bearer " + token.encode())])
    assert status == 200
    assert b"event: snapshot" in bodies[0]
    assert web.services.feeds[SITE]._task is None


def before_look(web: Web, number: int, do: Callable[[], None]) -> list[int]:
    """Do it before the look at callers of that number begins; the looks that there were."""
    looks: list[int] = []
    by_each = web.services.people.by_each

    def look(carried: Collection[Carried]) -> Callable[[Carried], Caller | None]:
        looks.append(len(carried))
        if len(looks) == number:
            do()
        return by_each(carried)

    web.services.callers = Together(look, web.services.offload)
    return looks


async def test_the_stream_ends_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web()
    monkeypatch.setattr("api.routes.sites.FRAMES_PER_CHECK", 1)
    async with web.signed_in() as client:
        cookie = client.cookies["steward_session"]
        people = web.services.people
        before_look(web, 2, lambda: people.sign_out(digest(cookie)))
        status, bodies = await stream(web, [(b"cookie", f"steward_session={cookie}".encode())])
    assert (status, len(bodies)) == (200, 1)


async def test_the_stream_ends_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web()
    monkeypatch.setattr("api.routes.sites.FRAMES_PER_CHECK", 1)
    people = web.services.people
    wall = people.make_token("wall", ["viewer"], ["*"], "test")
    looks = before_look(web, 2, lambda: people.revoke(wall.split("_")[1], "wang"))
    status, bodies = await stream(web, [(b"authorization", b"Bearer " + wall.encode())])
    assert (status, len(bodies), len(looks)) == (200, 1, 2)


async def test_of_many_who_ask_at_once_each_is_answered_for_its_own_token() -> None:
    """In one look: who may see the site sees it, whose token was revoked or is of another site does not."""
    web = Web()
    people = web.services.people
    scopes = (["*"], [SITE], ["hillside"], ["*"])
    tokens = [
        people.make_token(f"t{n}", ["viewer"], sites, "wang") for n, sites in enumerate(scopes)
    ]
    people.revoke(tokens[3].split("_")[1], "wang")
    looks = before_look(web, 0, lambda: None)
    async with AsyncExitStack() as stack:
        asked = [await stack.enter_async_context(web.client(t)) for t in (*tokens, tokens[0] + "x")]
        for path, statuses in (
            (f"{BASE}/live", [200, 200, 404, 401, 401]),
            ("/api/v1/sites/hillside/live", [200, 404, 200, 401, 401]),
        ):
            looks.clear()
            answers = await asyncio.gather(*(client.get(path) for client in asked))
            assert [answer.status_code for answer in answers] == statuses
            assert len(looks) == 1


async def test_the_feeds_end_with_the_application() -> None:
    web = Web()
    feed = web.services.feeds[SITE]
    async with opened(cast("Frames", feed.listen())) as frames:
        await anext(frames)
        async with web.app.router.lifespan_context(web.app):
            assert feed._task is not None
        assert feed._task is None


async def test_the_serials_grow_with_the_ledger_and_the_orders() -> None:
    web = Web()
    before = dict(await web.services.serials())
    web.site.alarm("1")
    web.site.tick()
    web.services.ordering.serial += 1
    after = dict(await web.services.serials())
    assert after["alarms"] > before["alarms"]
    assert after["orders"] > before["orders"]
    assert after["plans"] == before["plans"]
