"""Hourly roll-ups in InfluxQL: how they are asked for, and answers as a real InfluxDB gave them."""

import math

import msgspec
import pytest

from collector.adapters.influx_ql import question, rolled_of
from collector.adapters.lineprotocol import Field


def packed(answer: bytes) -> bytes:
    return msgspec.msgpack.encode(msgspec.json.decode(answer))


HOURS = packed(
    b'{"results":[{"statement_id":0,"series":[{"name":"hours","columns":["time","p/min","p/max","p/sum","p/first","p/last","p/count","p/valued","p/worst"],"values":[[1773532800000,4.52,5.64,1818.73,5,5.24,360,356,65],[1773536400000,null,null,null,null,null,2,0,70]]}]}]}\n'
)


def test_names_and_texts_are_escaped() -> None:
    asked = question("hours", Field("o'site", "", 'a "b"'), (-(2**62), 5))
    assert '"a \\"b\\"/min"' in asked
    assert "site = 'o\\'site' AND asset = ''" in asked
    assert asked.endswith("time >= -9223372036000ms AND time < 5ms")


def test_an_hour_without_a_value_has_its_count_and_quality() -> None:
    rolled = rolled_of(HOURS)
    assert rolled is not None
    assert rolled.time.tolist() == [1_773_532_800_000, 1_773_536_400_000]
    assert (rolled.first[0], rolled.last[0], rolled.sum[0]) == (5.0, 5.24, 1818.73)
    assert math.isnan(rolled.min[1])
    assert (rolled.count.tolist(), rolled.valued.tolist()) == ([360, 2], [356, 0])
    assert rolled.worst.tolist() == [65, 70]


def test_no_roll_up_is_an_answer() -> None:
    rolled = rolled_of(packed(b'{"results":[{"statement_id":0}]}\n'))
    assert rolled is not None
    assert len(rolled.time) == 0


@pytest.mark.parametrize(
    "answer",
    [
        packed(b'{"results":[{"statement_id":0,"error":"database not found: nobody"}]}\n'),
        packed(b'{"results":[{"statement_id":0,"series":[{"values":[],"partial":true}]}]}'),
        packed(b'{"error":"unable to parse authentication credentials"}'),
        HOURS[:-1],
        b'{"results":[{"statement_id":0}]}',
    ],
    ids=["refused", "in part", "as a whole", "broken off", "as JSON"],
)
def test_an_answer_that_is_none_is_told_apart(answer: bytes) -> None:
    assert rolled_of(answer) is None
