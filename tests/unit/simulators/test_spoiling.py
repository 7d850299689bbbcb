"""What comes of an answer under each fault of the wire, byte by byte."""

import pytest

from simulators.faults import FRAME_FAULTS, Fault
from simulators.modbus_frames import Adu, RtuFraming, TcpFraming
from simulators.spoiling import KEPT_MAX, HangUp, Spoiling

ANSWER = Adu(7, 3, bytes.fromhex("03020102"))
FRAME = bytes.fromhex("000700000005 03 03020102")
NEXT = Adu(8, 3, bytes.fromhex("03020304"))


def sent(
    kind: str, answer: Adu = ANSWER, spoiling: Spoiling | None = None
) -> list[tuple[float, bytes]]:
    return (spoiling or Spoiling(TcpFraming())).pieces(answer, [Fault(kind, 0)])


def whole(kind: str) -> bytes:
    return b"".join(piece for _, piece in sent(kind))


def test_without_a_fault_an_answer_goes_out_as_it_is() -> None:
    assert Spoiling(TcpFraming()).pieces(ANSWER, []) == [(0.0, FRAME)]
    assert sent("sensor_dead") == [(0.0, FRAME)]


@pytest.mark.parametrize(
    ("kind", "frame"),
    [
        ("wrong_unit", "000700000005 04 03020102"),
        ("stale", "000600000005 03 03020102"),
        ("wrong_function", "000700000005 03 04020102"),
        ("too_short", "000700000003 03 0300"),
        ("cut_short", "0007000000"),
        ("garbled", "000700000005 03 030201fd"),
        ("drip", FRAME.hex()),
        ("fragments", FRAME.hex()),
    ],
)
def test_what_is_sent_instead(kind: str, frame: str) -> None:
    assert whole(kind) == bytes.fromhex(frame)


def test_a_dripping_answer_takes_longer_than_a_second_and_a_fragmented_one_does_not() -> None:
    assert sum(wait for wait, _ in sent("drip")) > 1 > sum(wait for wait, _ in sent("fragments"))
    assert len(sent("fragments")) == 4


def test_noise_is_no_frame_and_never_the_same() -> None:
    spoiling = Spoiling(TcpFraming())
    first, second = sent("noise", spoiling=spoiling), sent("noise", spoiling=spoiling)
    assert first != second
    assert FRAME[2:4] not in (first[0][1][2:4], second[0][1][2:4])


def test_one_behind_is_the_answer_to_what_was_asked_before() -> None:
    spoiling = Spoiling(TcpFraming())
    assert sent("one_behind", spoiling=spoiling) == []
    assert sent("one_behind", NEXT, spoiling) == [(0.0, FRAME)]


def test_what_was_kept_while_it_stood_still_comes_before_the_next_answer_and_once() -> None:
    spoiling = Spoiling(TcpFraming())
    assert sent("stands_still", spoiling=spoiling) == []
    assert sent("stands_still", spoiling=spoiling) == []
    last = (0.0, bytes.fromhex("000800000005 03 03020304"))
    assert spoiling.pieces(NEXT, []) == [(0.0, FRAME), (0.0, FRAME), last]
    assert spoiling.pieces(NEXT, []) == [last]


def test_no_more_is_kept_than_an_endpoint_holds() -> None:
    spoiling = Spoiling(TcpFraming())
    for _ in range(KEPT_MAX + 5):
        sent("stands_still", spoiling=spoiling)
    assert len(spoiling.pieces(NEXT, [])) == KEPT_MAX + 1


def test_a_reset_hangs_up() -> None:
    with pytest.raises(HangUp):
        sent("reset")


def test_on_a_bus_a_garbled_answer_has_a_wrong_checksum() -> None:
    good = RtuFraming().frame(ANSWER)
    ((_, bad),) = Spoiling(RtuFraming()).pieces(ANSWER, [Fault("garbled", 0)])
    assert (bad[:-1], bad[-1]) == (good[:-1], good[-1] ^ 0xFF)


@pytest.mark.parametrize("kind", sorted(set(FRAME_FAULTS) - {"reset", "one_behind"}))
def test_every_fault_of_a_frame_changes_what_or_when_something_comes(kind: str) -> None:
    assert sent(kind) != [(0.0, FRAME)]
