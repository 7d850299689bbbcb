import json
import math

import numpy as np
import pytest

from edge.readings import (
    QUALITIES,
    QUALITY_NAMES,
    Birth,
    Committed,
    Malformed,
    Readings,
    State,
    Topic,
    decode,
    decode_batch,
    encode,
    encode_batch,
    parse_topic,
    topic,
)


def columns(*rows: tuple[int, int, float, int]) -> Readings:
    index, time, value, quality = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Readings(
        np.array(index, np.int64), np.array(time, np.int64),
        np.array(value, np.float64), np.array(quality, np.uint8),
    )  # fmt: skip


def test_a_batch_reads_back_to_the_last_bit() -> None:
    values = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 16777217.0]
    made = columns(*[(n, 1_000 + 7 * n, value, 0) for n, value in enumerate(values)])
    batch = decode_batch(encode_batch(made, epoch="e", seq=3, oldest=2, now=9_999))
    assert (batch.e, batch.s, batch.o, batch.t, batch.n) == ("e", 3, 2, 1_000, 9_999)
    assert [batch.t + d for d in batch.d] == [1_000 + 7 * n for n in range(5)]
    assert [math.copysign(1, math.nan if v is None else v) for v in batch.v] == [1, -1, 1, 1, 1]
    assert batch.v == values


def test_a_bad_reading_has_null_on_the_wire() -> None:
    payload = encode_batch(columns((0, 5, math.nan, 65)), epoch="e", seq=1, oldest=1, now=6)
    assert json.loads(payload)["v"] == [None]


def test_a_batch_without_readings_stands_at_its_sending() -> None:
    assert decode_batch(encode_batch(columns(), epoch="e", seq=1, oldest=0, now=77)).t == 77
    assert len(columns()) == 0


GOOD = '{"e":"x","s":1,"o":1,"t":0,"n":0,"i":[0],"d":[0],"v":[1],"q":[0]}'
BROKEN = [
    b"", b"null", b"[]", b"\xff", b'"text"', b"{}", GOOD.encode()[:-1],
    GOOD.replace('"i":[0]', '"i":[0,1]').encode(), GOOD.replace('"q":[0]', '"q":[]').encode(),
    GOOD.replace('"s":1', '"s":0').encode(), GOOD.replace('"s":1', '"s":-4').encode(),
    GOOD.replace('"s":1', '"s":9007199254740992').encode(), GOOD.replace('"s":1', '"s":"1"').encode(),
    GOOD.replace('"o":1', '"o":2').encode(), GOOD.replace('"o":1', '"o":-1').encode(),
    GOOD.replace('"v":[1]', '"v":[NaN]').encode(), GOOD.replace('"v":[1]', '"v":["1"]').encode(),
    GOOD.replace('"v":[1]', '"v":[1e999]').encode(), GOOD.replace('"i":[0]', '"i":[0.5]').encode(),
    b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("payload", BROKEN, ids=range(len(BROKEN)))
def test_a_batch_whose_structure_is_broken_is_malformed(payload: bytes) -> None:
    if b"1e999" in payload:
        assert decode_batch(GOOD.encode()).v == [1.0]
    with pytest.raises(Malformed):
        decode_batch(payload)


def test_members_that_are_not_known_are_ignored() -> None:
    assert decode_batch(GOOD.replace("{", '{"later":[1],', 1).encode()).s == 1


def test_other_messages_read_back_and_garbage_is_malformed() -> None:
    state = State("ready", 3, "e", 12, backlog=4)
    assert decode(encode(state), State) == state
    assert decode(b'{"epoch":"e"}', Committed) == Committed("e")
    for payload in (
        b"",
        b"\xff\xfe",
        b"[1]",
        b'{"state":"dead","connection":1,"epoch":"","now":1}',
    ):
        with pytest.raises(Malformed):
            decode(payload, State)
    with pytest.raises(Malformed):
        decode(b'{"points":{}}', Birth)


def test_topics_read_back_and_others_are_nobody() -> None:
    assert parse_topic(topic("s", "a", "data")) == Topic("s", "a", "data")
    for other in (
        "",
        "steward/v1/s/a",
        "steward/v2/s/a/data",
        "x/v1/s/a/data",
        "steward/v1/s/a/data/x",
    ):
        assert parse_topic(other) is None


def test_quality_numbers_never_change() -> None:
    assert QUALITIES["good"] == 0
    assert [QUALITY_NAMES[n] for n in (1, 3, 7)] == ["substituted", "clock_suspect", "in_test"]
    assert [QUALITY_NAMES[n] for n in (64, 65, 66, 67, 68)] == ["not_read_yet", "no_answer", "link_down", "device_refused", "undecodable"]  # fmt: skip
    assert all(code in range(64) or code in range(64, 128) for code in QUALITIES.values())
