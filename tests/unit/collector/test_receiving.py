from collections.abc import Sequence

import numpy as np
import pytest

from collector.adapters.memory_journal import MemoryJournal
from collector.decoding import Decoded, Decoder
from collector.ports import Message
from collector.receiving import PAYLOAD_BYTES_MAX, Receiving, Taken
from config.clock import SteppedClock
from config.plant import Device, Line, Plant, Point, PointSpec
from config.profile import Register
from edge.readings import (
    Birth,
    Committed,
    Malformed,
    PointRow,
    Readings,
    Reply,
    Request,
    State,
    decode,
    encode,
    encode_batch,
    topic,
)

START = 1_763_700_000_000
LINES = {"l": Line("l", "e", "tcp"), "m": Line("m", "f", "tcp")}
POINTS = {
    f"a/{name}": Point(f"a/{name}", "a", device, PointSpec({"en": name}, "measurement", "", Register("holding", 0, "u16")))
    for name, device in (("p", "d"), ("q", "d"), ("other", "g"))
}  # fmt: skip
PLANT = Plant(
    site="s", name={"en": "S"}, time_zone="UTC", calendar="", seasons={}, systems={}, locations={},
    agents=("e", "f"), lines=LINES, devices={"d": Device("d", "p", "l", "a"), "g": Device("g", "p", "m", "a")},
    profiles={}, assets={}, points=POINTS, rules={}, plans={}, poll_classes={},
)  # fmt: skip


class World:
    """One collector's receiving, fed by hand, over a journal that keeps what it says."""

    def __init__(self) -> None:
        self.clock = SteppedClock(START)
        self.journal = MemoryJournal()
        self.receiving = Receiving([PLANT], self.clock)

    def take(self, *messages: tuple[str, bytes], agent: str = "e") -> Taken:
        now = self.clock.now()
        taken = self.receiving.take(
            [Message(topic("s", agent, what), payload, now) for what, payload in messages]
        )
        if taken.entries:
            self.journal.append(taken.entries)
        return taken

    def restart(self) -> None:
        self.receiving = Receiving([PLANT], self.clock)
        self.receiving.restore(self.journal)


@pytest.fixture
def world() -> World:
    made = World()
    made.take(("birth", birth()))
    return made


def birth(*points: str, epoch: str = "E1", connection: int = 1, contract: str = "1.0") -> bytes:
    rows = [
        PointRow(n, name, "", "measurement", 2, "data", 1.0, 60.0)
        for n, name in enumerate(points or ("a/p", "a/q"))
    ]
    return encode(Birth(contract, connection, epoch, "1", "", rows))


def batch(
    seq: int, *, oldest: int = 1, epoch: str = "E1", index: int = 0, now: int = START
) -> bytes:
    readings = Readings(
        np.array([index], np.int64),
        np.array([START], np.int64),
        np.array([1.0]),
        np.zeros(1, np.uint8),
    )
    return encode_batch(readings, epoch=epoch, seq=seq, oldest=oldest, now=now)


def marks(taken: Taken) -> list[Committed]:
    return [
        decode(payload, Committed)
        for name, payload, _ in taken.replies
        if name.endswith("committed")
    ]


def asked(taken: Taken) -> list[str]:
    return [
        decode(payload, Request).what
        for name, payload, _ in taken.replies
        if name.endswith("request")
    ]


def kinds(taken: Taken) -> list[str]:
    return [entry.kind for entry in taken.entries]


def test_a_birth_is_journalled_once_and_always_answered(world: World) -> None:
    again = world.take(("birth", birth()))
    assert kinds(again) == []
    assert [(m.epoch, m.data) for m in marks(again)] == [("E1", 0)]


def test_a_reply_is_told_with_whose_it_is_and_journalled_by_nobody(world: World) -> None:
    taken = world.take(("reply", encode(Reply("r-1", "done", {"a": "b"}))), agent="f")
    assert taken.told == [("s", "f", Reply("r-1", "done", {"a": "b"}))]
    assert kinds(taken) == []
    broken = world.take(("reply", b'{"id": 1}'))
    assert (broken.told, kinds(broken)) == ([], ["aside"])


def test_batches_in_order_are_kept_and_committed(world: World) -> None:
    taken = world.take(("data", batch(1)), ("event", batch(1)), ("data", batch(2)))
    assert [(e.kind, e.lane, e.seq, e.readings) for e in taken.entries] == [
        ("batch", "data", 1, 1), ("batch", "event", 1, 1), ("batch", "data", 2, 1),
    ]  # fmt: skip
    (mark,) = marks(taken)
    assert (mark.event, mark.data, mark.backfill) == (1, 2, 0)
    assert [(b.s, b.size) for b in taken.batches] == [(1, 1), (1, 1), (2, 1)]


def test_what_is_looked_at_ahead_is_not_decoded_again_and_decides_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = list[bytes]()
    decode_all = Decoder.decode

    def counted(decoder: Decoder, payloads: Sequence[bytes]) -> list[Decoded | Malformed]:
        decoded.extend(payloads)
        return decode_all(decoder, payloads)

    monkeypatch.setattr(Decoder, "decode", counted)
    where, now = topic("s", "e", "data"), world.clock.now()
    first, second, other = (Message(where, p, now) for p in (batch(1), b"{", batch(2)))
    state = Message(topic("s", "e", "state"), b"{}", now)
    world.receiving.look_ahead([first, state, second])
    assert decoded == [first.payload, second.payload]
    urgent = world.take(("event", batch(1)))  # comes between
    assert kinds(urgent) == ["batch"]
    taken = world.receiving.take([first, second, other, state])
    assert decoded == [first.payload, second.payload, batch(1), other.payload]
    assert [(e.kind, e.seq) for e in taken.entries] == [
        ("batch", 1),
        ("aside", 0),
        ("batch", 2),
        ("aside", 0),
    ]
    world.receiving.look_ahead([])
    assert world.receiving.take([first]).entries == []  # a repeat, and decoded anew
    assert len(decoded) == 5


def test_a_repeat_is_answered_and_not_kept(world: World) -> None:
    world.take(("data", batch(1)))
    again = world.take(("data", batch(1)))
    assert kinds(again) == []
    assert [m.data for m in marks(again)] == [1]


def test_a_gap_is_not_committed_beyond_and_answered_once_a_second(world: World) -> None:
    world.take(("data", batch(1)))
    world.clock._now_ms += 1_001
    assert [m.data for m in marks(world.take(("data", batch(3))))] == [1]
    assert marks(world.take(("data", batch(4)))) == []
    world.clock._now_ms += 1_001
    assert [m.data for m in marks(world.take(("data", batch(4))))] == [1]


def test_what_the_edge_no_longer_holds_is_journalled_as_missing(world: World) -> None:
    taken = world.take(("data", batch(4, oldest=4)))
    assert [(e.kind, e.seq, e.until) for e in taken.entries] == [("missing", 1, 3), ("batch", 4, 0)]
    assert [m.data for m in marks(taken)] == [4]
    assert world.receiving.counts["missing"] == 3


def test_an_unknown_epoch_asks_for_a_birth_at_most_every_five_seconds(world: World) -> None:
    first = world.take(("data", batch(1, epoch="E9")))
    assert (kinds(first), asked(first), marks(first)) == ([], ["rebirth"], [])
    assert asked(world.take(("data", batch(1, epoch="E9")))) == []
    world.clock._now_ms += 5_001
    assert asked(world.take(("data", batch(1, epoch="E9")))) == ["rebirth"]


def test_an_unknown_index_waits_for_a_birth_that_explains_it(world: World) -> None:
    assert asked(world.take(("data", batch(1, index=2)))) == ["rebirth"]
    world.take(("birth", birth("a/p", "a/q", "a/r")))
    assert kinds(world.take(("data", batch(1, index=2)))) == ["batch"]


def test_an_index_that_no_birth_explains_does_not_block_its_lane(world: World) -> None:
    for connection in range(2, 9):
        world.take(("data", batch(1, index=77)))
        world.take(("birth", birth(connection=connection)))
    assert kinds(world.take(("data", batch(1, index=77)))) in ([], ["aside"])
    assert world.journal.marks()["s", "e", "E1", "data"] == 1
    assert kinds(world.take(("data", batch(2)))) == ["batch"]


def test_a_birth_that_changes_a_meaning_is_set_aside(world: World) -> None:
    taken = world.take(("birth", birth("a/q", "a/p")))
    assert [(e.kind, "index 0 meant a/p" in e.reason) for e in taken.entries] == [("aside", True)]


def test_a_broken_batch_with_a_number_is_set_aside_and_committed(world: World) -> None:
    broken = batch(1).replace(b'"q":[0]', b'"q":[]')
    taken = world.take(("data", broken), ("data", batch(2)))
    assert [(e.kind, e.seq) for e in taken.entries] == [("aside", 1), ("batch", 2)]
    assert [m.data for m in marks(taken)] == [2]


def test_a_batch_that_cannot_be_read_at_all_counts_after_three_arrivals(world: World) -> None:
    junk = b"\x00\x01\x02"
    assert [m.data for t in [world.take(("data", junk)) for _ in range(2)] for m in marks(t)] == []
    assert [m.data for m in marks(world.take(("data", junk)))] == [1]
    assert kinds(world.take(("data", batch(2)))) == ["batch"]


def test_a_batch_larger_than_allowed_is_set_aside(world: World) -> None:
    taken = world.take(("data", b"x" * (PAYLOAD_BYTES_MAX + 1)))
    assert kinds(taken) == ["aside"]
    assert len(taken.entries[0].payload) < PAYLOAD_BYTES_MAX


def test_states_are_remembered_and_an_old_will_is_not_believed(world: World) -> None:
    world.take(("state", encode(State("ready", 7, "E1", START, backlog=3))))
    world.take(("state", encode(State("lost", 6, "E1", START))))
    seen = world.receiving.agents()["s", "e"]
    assert (seen.state, seen.connection, seen.backlog, seen.heard) == ("ready", 7, 3, START)
    world.take(("state", encode(State("lost", 7, "E1", START))))
    assert world.receiving.agents()["s", "e"].state == "lost"


def test_a_state_of_a_birth_that_never_came_asks_for_it(world: World) -> None:
    assert asked(world.take(("state", encode(State("ready", 2, "E1", START))))) == ["rebirth"]


def test_the_clock_error_goes_into_the_journal_beside_the_batch(world: World) -> None:
    world.take(("state", encode(State("ready", 1, "E1", START + 90_000))))
    (entry,) = world.take(("data", batch(1, now=START + 90_000))).entries
    assert entry.clock_error == 90_000
    assert world.receiving.agents()["s", "e"].clock_error == 90_000


ODD = [
    ("nobody", "data", b"{}"), ("e", "shout", b"{}"), ("e", "state", b"{}"), ("e", "birth", b"[]"),
    ("e", "birth", birth(contract="7.0")), ("e", "state", b"\xff"), ("e", "birth", b"x" * (PAYLOAD_BYTES_MAX + 1)),
]  # fmt: skip


@pytest.mark.parametrize(("agent", "what", "payload"), ODD, ids=range(len(ODD)))
def test_what_is_not_of_the_contract_is_set_aside(
    world: World, agent: str, what: str, payload: bytes
) -> None:
    assert kinds(world.take((what, payload), agent=agent)) == ["aside"]


def test_a_reply_is_heard_and_a_topic_of_strangers_is_set_aside(world: World) -> None:
    assert kinds(world.take(("reply", b'{"id":"1","outcome":"done"}'))) == []
    taken = world.receiving.take([Message("weather/today", b"sun", START)])
    assert kinds(taken) == ["aside"]


def test_a_new_connection_of_the_collector_tells_every_known_agent_its_marks(world: World) -> None:
    world.take(("data", batch(1)))
    taken = world.receiving.take([Message("", b"", START)])
    assert [m.data for m in marks(taken)] == [1]


def test_a_restart_goes_on_at_the_marks_of_the_journal(world: World) -> None:
    world.take(("data", batch(1)), ("data", batch(2)))
    world.restart()
    assert kinds(world.take(("data", batch(2)))) == []
    assert kinds(world.take(("data", batch(3)))) == ["batch"]
