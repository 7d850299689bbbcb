import pytest

from collector.domain.delivery import (
    ARRIVALS_TO_BELIEVE,
    BODIES_REMEMBERED,
    CLOCK_WINDOW_MS,
    LAG_MS,
    LEAP_MS,
    Accepted,
    Arrivals,
    ClockError,
    Step,
    accept,
    change_of_meaning,
    wrong_with_birth,
)
from edge.readings import Birth, PointRow

CASES = [
    ("the next one is kept", 4, 5, 1, Accepted(Step.KEEP, 0)),
    ("the first of a lane is kept", 0, 1, 0, Accepted(Step.KEEP, 0)),
    ("one that was had is a repeat", 5, 5, 1, Accepted(Step.REPEAT, 0)),
    ("an old one is a repeat, whatever it says is oldest", 5, 2, 2, Accepted(Step.REPEAT, 0)),
    ("one behind a hole is a gap", 4, 7, 3, Accepted(Step.GAP, 0)),
    ("a hole that the edge still holds is a gap", 4, 7, 5, Accepted(Step.GAP, 0)),
    ("what the edge no longer holds will never come", 4, 7, 7, Accepted(Step.KEEP, 6)),
    ("part of the hole will never come, the rest is a gap", 4, 9, 7, Accepted(Step.GAP, 6)),
]


@pytest.mark.parametrize(
    ("name", "mark", "seq", "oldest", "wanted"), CASES, ids=[c[0] for c in CASES]
)
def test_a_number_is_compared_with_the_mark(
    name: str, mark: int, seq: int, oldest: int, wanted: Accepted
) -> None:
    assert accept(mark, seq, oldest) == wanted


def test_the_same_unreadable_batch_is_believed_after_three_arrivals() -> None:
    arrivals = Arrivals()
    bodies = [b'{"e":"x","n":%d,"o":%d,"bad"' % (n, n) for n in range(ARRIVALS_TO_BELIEVE)]
    assert [arrivals.believed(body) for body in bodies] == [False, False, True]


def test_another_body_and_a_lane_that_went_on_begin_the_count_again() -> None:
    arrivals = Arrivals()
    arrivals.clear()
    arrivals.believed(b"one")
    arrivals.believed(b"one")
    assert not arrivals.believed(b"two")
    arrivals.clear()
    assert not arrivals.believed(b"one")


def test_a_stream_of_different_garbage_stays_bounded() -> None:
    arrivals = Arrivals()
    for n in range(2 * BODIES_REMEMBERED + 1):
        assert not arrivals.believed(b"%d" % n)
    assert len(arrivals._counts) <= BODIES_REMEMBERED


def test_the_clock_error_comes_from_the_sample_with_the_least_delay() -> None:
    clock = ClockError()
    assert clock.ms == 0
    clock.sample(6_000, 1_000 + 900)
    assert clock.ms == 5_000 - 900
    clock.sample(6_000, 1_000 + 20)
    for delay in (30, 10, 400):
        clock.sample(7_000, 2_000 + delay)
    assert clock.ms == 5_000 - 10


def test_an_old_sample_goes_after_its_window_and_a_jump_back_begins_anew() -> None:
    clock = ClockError()
    clock.sample(5_000, 0)
    clock.sample(CLOCK_WINDOW_MS // 2 + 1_000, CLOCK_WINDOW_MS // 2)
    assert clock.ms == 5_000
    clock.sample(CLOCK_WINDOW_MS + 500, CLOCK_WINDOW_MS)
    assert clock.ms == 1_000
    clock.sample(70_000, 0)
    assert clock.ms == 70_000


def test_one_message_alone_does_not_make_a_clock_leap_and_two_that_agree_do() -> None:
    clock = ClockError()
    clock.sample(1_000, 1_000)
    clock.sample(3 * LEAP_MS, 2_000)
    assert clock.ms == 0
    clock.sample(3_000, 3_000)
    clock.sample(9 * LEAP_MS, 4_000)
    clock.sample(5 * LEAP_MS, 4_500)
    assert clock.ms == 0
    clock.sample(5 * LEAP_MS + 500, 5_000)
    assert clock.ms == 5 * LEAP_MS - 4_500


def test_a_clock_that_is_set_right_is_believed_with_its_second_message() -> None:
    clock = ClockError()
    clock.sample(9 * LEAP_MS, 1_000)
    clock.sample(2_000, 2_000)
    assert clock.ms > LEAP_MS
    clock.sample(3_000, 3_000)
    assert clock.ms == 0


def test_a_clock_set_back_an_hour_is_believed_after_five_seconds() -> None:
    clock = ClockError()
    clock.sample(10_000_000, 10_000_000)
    for at in range(10_001_000, 10_006_000, 1_000):
        clock.sample(at - 3_600_000, at)
        assert clock.ms == 0
    clock.sample(10_006_000 - 3_600_000, 10_006_000)
    assert clock.ms == -3_600_000


def test_what_a_stalled_broker_held_back_is_no_clock_set_back() -> None:
    clock = ClockError()
    clock.sample(10_000_000, 10_000_000)
    for sent in range(10_010_000, 10_200_000, 1_000):
        clock.sample(sent, 10_200_000 + (sent - 10_010_000) // 100)
    assert -LAG_MS < clock.ms <= 0


def row(index: int = 0, **other: object) -> PointRow:
    values: dict[str, object] = {
        "index": index, "point": "pump/flow", "unit": "bar", "kind": "measurement", "decimals": 2,
        "lane": "data", "period_s": 1.0, "longest_silence_s": 60.0,
    }  # fmt: skip
    return PointRow(**(values | other))  # type: ignore[arg-type]  # a table of members


def birth(*rows: PointRow, **other: object) -> Birth:
    values: dict[str, object] = {
        "contract": "1.0", "connection": 1, "epoch": "e-1", "version": "x", "plant_hash": "",
        "points": list(rows),
    }  # fmt: skip
    return Birth(**(values | other))  # type: ignore[arg-type]  # a table of members


WRONG = [
    (birth(row(), contract="2.0"), "contract 2.0"),
    (birth(row(), epoch=""), "epoch"),
    (birth(row(), epoch="a b"), "epoch"),
    (birth(row(), epoch="e" * 65), "epoch"),
    (birth(row(), connection=-1), "connection"),
    (birth(row(1)), "not its place"),
    (birth(row(), row(1, point="flow")), "points[1]: the point's id"),
    (birth(row(point="a/" + "b" * 200)), "the point's id"),
    (birth(row(kind="flags")), "kind 'flags'"),
    (birth(row(unit="x" * 33)), "unit"),
    (birth(row(unit="bar\n")), "unit"),
    (birth(row(), row(1)), "points[1]: pump/flow stands twice"),
]


@pytest.mark.parametrize(
    ("said", "reason"), WRONG, ids=[w[1] + str(i) for i, w in enumerate(WRONG)]
)
def test_a_birth_that_cannot_be_right_is_refused_with_the_reason(said: Birth, reason: str) -> None:
    assert reason in wrong_with_birth(said)


def test_a_birth_of_a_later_minor_contract_is_read() -> None:
    assert wrong_with_birth(birth(row(), contract="1.7")) == ""


def test_a_point_may_stand_again_where_its_first_row_is_retired() -> None:
    assert wrong_with_birth(birth(row(retired=True), row(1, unit="Pa"))) == ""


def test_within_an_epoch_the_table_only_grows() -> None:
    known = birth(row(), row(1, point="pump/speed"))
    assert (
        change_of_meaning(known, birth(row(), row(1, point="pump/speed"), row(2, point="a/b")))
        == ""
    )
    assert "shrank" in change_of_meaning(known, birth(row()))
    assert "index 1 meant pump/speed" in change_of_meaning(known, birth(row(), row(1, point="a/b")))
    assert "index 0" in change_of_meaning(known, birth(row(unit="Pa"), row(1, point="pump/speed")))
