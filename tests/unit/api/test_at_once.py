"""Past the server, or through it: what decides, and that nothing is lost, said twice or out of order."""

import asyncio
from typing import Any

import pytest

from api.at_once import TRANSPORT, Said, chunk
from api.feed import FRAMES_MAX
from tests.unit.api.plants import PRESSURE
from tests.unit.api.test_feed import Watched, first, opened, parse


class Wire(asyncio.Transport):
    """Keeps what is written; `waiting` bytes of it were not taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.waiting = 0
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, data: Any) -> None:
        self.written.append(data)


def scope(wire: Wire | None, version: str = "1.1") -> dict[str, Any]:
    return {"http_version": version, "state": {} if wire is None else {TRANSPORT: wire}}


def test_a_chunk_is_its_length_in_hex_and_its_bytes() -> None:
    assert chunk(b"x" * 300) == b"12c\r\n" + b"x" * 300 + b"\r\n"


def test_all_but_the_frames_to_check_at_are_written_at_once() -> None:
    wire = Wire()
    said = Said(scope(wire), 3)
    for n in range(1, 7):
        if not said.at_once(b"%d" % n):
            assert said.through()
    assert wire.written == [b"1", b"2", b"4", b"5"]


def test_nothing_is_written_to_a_connection_that_ends() -> None:
    wire = Wire()
    said = Said(scope(wire), 3)
    wire.closing = True
    assert not said.at_once(b"1")
    assert wire.written == []


def test_frames_through_the_server_count_towards_the_next_check() -> None:
    said = Said(scope(Wire()), 3)
    assert [said.through() for _ in range(6)] == [False, False, True, False, False, True]
    assert said.at_once(b"7")
    assert said.at_once(b"8")
    assert not said.at_once(b"9")


@pytest.mark.parametrize(
    "request_scope",
    [scope(None), scope(Wire(), "1.0"), {"http_version": "1.1"}],
    ids=["no transport", "no chunks", "no state"],
)
def test_without_a_way_past_the_server_everything_goes_through_it(
    request_scope: dict[str, Any],
) -> None:
    assert not Said(request_scope, 60).at_once(b"x")


def test_nothing_is_written_behind_what_a_slow_reader_has_not_taken() -> None:
    wire = Wire()
    said = Said(scope(wire), 60)
    wire.waiting = 1
    assert not said.at_once(b"x")
    wire.waiting = 0
    assert said.at_once(b"x")
    assert wire.written == [b"x"]


async def test_who_waits_is_written_to_at_once_and_wakes_for_what_is_refused() -> None:
    watched, wire = Watched(), Wire()
    frames = watched.listen(at_once=Said(scope(wire), 60).at_once)
    async with opened(frames):
        await first(frames)
        waiting = asyncio.ensure_future(anext(frames))
        for n in range(3):
            wire.waiting = n == 2
            watched.site.read({PRESSURE: float(n)})
            await watched.tick()
        said = [parse(piece.split(b"\r\n")[1].split(b"\n\n")[0]) for piece in wire.written]
        assert [data["value"] for _, _, data in said] == [[0.0], [1.0]]
        assert parse(await waiting)[2]["value"] == [2.0]


async def test_nothing_overtakes_what_still_waits_for_the_reader() -> None:
    """The reader is at something else when two ticks come, and takes them in their order."""
    watched, wire = Watched(), Wire()
    frames = watched.listen(at_once=Said(scope(wire), 60).at_once)
    async with opened(frames):
        await first(frames)
        for n in range(2):
            watched.site.read({PRESSURE: float(n)})
            await watched.tick()
        assert wire.written == []
        waiting = asyncio.ensure_future(anext(frames))
        watched.site.read({PRESSURE: 2.0})
        await watched.tick()
        values = [parse(await waiting)[2]["value"]]
        values += [parse(await anext(frames))[2]["value"] for _ in range(2)]
        assert values == [[0.0], [1.0], [2.0]]
        assert wire.written == []


async def test_a_reader_whose_connection_is_full_gets_a_snapshot_later() -> None:
    watched, wire = Watched(), Wire()
    frames = watched.listen(at_once=Said(scope(wire), 10_000).at_once)
    async with opened(frames):
        await first(frames)
        wire.waiting = 1
        waiting = asyncio.ensure_future(anext(frames))
        for n in range(FRAMES_MAX * 2):
            watched.site.read({PRESSURE: float(n)})
            await watched.tick()
        assert parse(await waiting)[2]["value"] == [0.0]
        (client,) = watched.feed._clients
        assert len(client.frames) <= FRAMES_MAX
        found = parse((await anext(frames)).split(b"\n\n")[0])
        assert (found[1], found[2]["value"][0]) == ("snapshot", FRAMES_MAX * 2 - 1)
        wire.waiting = 0
        waiting = asyncio.ensure_future(anext(frames))
        watched.site.read({PRESSURE: 99.0})
        await watched.tick()
        assert b'"value":[99.0]' in wire.written[-1]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_reader_that_was_woken_and_has_not_run_yet_is_not_overtaken_either() -> None:
    watched, wire = Watched(), Wire()
    frames = watched.listen(at_once=Said(scope(wire), 60).at_once)
    async with opened(frames):
        await first(frames)
        waiting = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(0)
        for new, wire.waiting in ((b"1", 1), (b"2", 0)):
            watched.feed._push(new)
        assert wire.written == []
        assert [await waiting, await anext(frames)] == [b"1", b"2"]
