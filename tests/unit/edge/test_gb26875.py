import random
import struct
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import gb26875
from edge.gb26875 import (
    CONFIRM,
    DENY,
    FRAME_BYTES_MAX,
    FRAME_BYTES_MIN,
    BadFrame,
    Frame,
    Header,
    Splitter,
    Verdict,
    confirm,
    decode,
    deny,
)
from edge.gb26875_data import (
    LAYOUTS,
    BadData,
    Layout,
    WallTime,
    decode_application,
    read_text,
    read_time,
)
from simulators.fire_frames import frame, read_answer

NOW = bytes((30, 15, 8, 1, 3, 26))
AT = WallTime(2026, 3, 1, 8, 15, 30)
ZONE = ZoneInfo("Asia/Shanghai")
addresses = st.integers(0, 2**48 - 1)
times = st.datetimes().map(
    lambda at: WallTime(2000 + at.year % 256, at.month, min(at.day, 28), at.hour, at.minute, at.second)
)  # fmt: skip
texts = st.text("火警泵房Ａ1#@é☃€", max_size=7)
headers = st.builds(
    Header,
    st.integers(0, 65535), st.tuples(st.integers(0, 255), st.integers(0, 255)), times, addresses, addresses,
    st.integers(0, 255),
)  # fmt: skip


def members(layout: Layout) -> st.SearchStrategy[list[Any]]:
    """Values of each member, by what its bytes can hold."""
    of = {
        "B": st.integers(0, 255), "H": st.integers(0, 65535), "h": st.integers(-32768, 32767),
        "6s": st.none() | times, "31s": texts,
    }  # fmt: skip
    codes = [
        code + ("s" if code.isdecimal() else "") for code in layout.packed.format[1:].split("s")
    ]
    found: list[st.SearchStrategy[Any]] = []
    for code in codes:
        digits = code.lstrip("BHh").rstrip("s")
        found += [of[letter] for letter in code if letter in "BHh"]
        found += [of[f"{digits}s"]] if digits else []
    if layout.text_behind:
        found[-1] = texts
    return st.tuples(*found).map(list)


def encoded(layout: Layout, values: list[Any]) -> bytes:
    raw = [
        value.encode() if isinstance(value, WallTime)
        else bytes(6) if value is None
        else value.encode("gb18030") if isinstance(value, str)
        else value
        for value in values
    ]  # fmt: skip
    if not layout.text_behind:
        return layout.packed.pack(*raw)
    return layout.packed.pack(*raw[:-1], len(raw[-1])) + bytes(raw[-1])


@pytest.mark.usefixtures("unmeasured")
@given(st.data())
@settings(max_examples=400, deadline=None)
def test_what_is_encoded_is_decoded_again(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(sorted(LAYOUTS)))
    layout = LAYOUTS[type_]
    rows = data.draw(st.lists(members(layout), max_size=12))
    body = bytes((type_, len(rows))) + b"".join(encoded(layout, row) for row in rows)
    source, target = data.draw(addresses), data.draw(addresses)
    got = decode(frame(77, (source, target), NOW, body))
    assert got.header == Header(77, (1, 1), AT, source, target, 2)
    assert got.app is not None
    assert got.app.objects == tuple(layout.make(*row) for row in rows)


@given(headers)
@settings(deadline=None)
def test_an_answer_repeats_the_serial_and_exchanges_the_addresses(header: Header) -> None:
    for answer, command in ((confirm, CONFIRM), (deny, DENY)):
        made = answer(header, AT)
        said = read_answer(made)
        assert said is not None
        assert (said.serial, said.command) == (header.serial, command)
        assert (said.source, said.target) == (header.target, header.source)
        back = decode(made).header
        assert (back.version, back.time) == (header.version, AT)


def test_no_other_command_than_the_two_answers_can_be_built() -> None:
    """Everything of the codec that returns bytes is an answer; whatever came, 3 or 6 leaves."""
    makers = {
        name for name, one in vars(gb26875).items()
        if callable(one) and getattr(one, "__annotations__", {}).get("return") is bytes
    }  # fmt: skip
    assert makers == {"confirm", "deny", "_reply"}
    for command in range(256):
        header = Header(1, (1, 1), None, 2, 3, command)
        assert {confirm(header, AT)[26], deny(header, AT)[26]} == {3, 6}


# --- bytes of a bad day --------------------------------------------------------------------------------


def test_a_changed_byte_is_never_accepted() -> None:
    """Every single changed byte of a frame: refused, or seen as another start, end or length."""
    sound = frame(9, (889, 88888), NOW, bytes.fromhex("150108040009020715"))
    for at in range(len(sound)):
        for change in range(1, 256):
            spoiled = bytearray(sound)
            spoiled[at] ^= change
            with pytest.raises(BadFrame):
                decode(bytes(spoiled))


def test_random_bytes_never_raise_anything_else_and_never_hold_more_than_a_frame() -> None:
    dice = random.Random(26875)  # noqa: S311  # no secret
    sound = frame(9, (889, 88888), NOW, bytes.fromhex("150108040009020715"))
    for _ in range(4000):
        splitter, stream, at = Splitter(), bytearray(), 0
        for _ in range(dice.randrange(1, 5)):
            piece = bytearray(sound) if dice.random() < 0.7 else bytearray(dice.randbytes(40))
            if dice.random() < 0.5:
                piece[dice.randrange(len(piece))] = dice.randrange(256)
            stream += piece[: dice.randrange(len(piece) + 1)] if dice.random() < 0.3 else piece
        sent = bytes(stream)
        while at < len(sent):
            size = dice.randrange(1, 60)
            for one in splitter.feed(sent[at : at + size]):
                assert isinstance(one, BadFrame) or _stood_in(sent[: at + size], one)
            at += size
            assert len(splitter._buffer) <= FRAME_BYTES_MAX


def _stood_in(sent: bytes, found: Frame) -> bool:
    """Whether a frame that was taken stands in what was sent, with its end and with a checksum that is right.

    Worked out from the bytes alone: the sum of all between start and checksum, modulo 256.
    """
    size, head = FRAME_BYTES_MIN + len(found.data), found.header
    for at in range(len(sent) - size + 1):
        raw = sent[at : at + size]
        if raw[:2] + raw[-2:] == b"@@##" and sum(raw[2:-3]) % 256 == raw[-3]:
            said = (int.from_bytes(raw[2:4], "little"), int.from_bytes(raw[12:18], "little"), raw[26], raw[27:-3])  # fmt: skip
            if said == (head.serial, head.source, head.command, found.data):
                return True
    return False


@given(st.binary(max_size=400))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_frames_or_noise(raw: bytes) -> None:
    splitter = Splitter()
    splitter.feed(raw)
    while splitter.begun:
        splitter.late()
    with pytest.raises(BadFrame):
        decode(raw + b"?")


@given(st.binary(max_size=60), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_a_frame_behind_noise_is_found_however_it_is_cut(noise: bytes, size: int) -> None:
    sound = frame(9, (889, 88888), NOW, bytes.fromhex("150108040009020715"))
    splitter, found = Splitter(), []
    stream = noise + sound
    for at in range(0, len(stream), size):
        found += splitter.feed(stream[at : at + size])
    while splitter.begun:  # noise may look like the beginning of a longer frame: time tells
        found += splitter.late()
    assert decode(sound) in found


def test_noise_full_of_starts_is_answered_once() -> None:
    splitter = Splitter()
    bad = [one for one in splitter.feed(b"@" * 5000) if isinstance(one, BadFrame)]
    assert [one.verdict for one in bad] == [Verdict.TOO_LONG]
    assert len(splitter._buffer) < 30
    sound = frame(9, (1, 2), NOW)
    found = splitter.feed(b"#" + sound)
    while splitter.begun:
        found += splitter.late()
    assert found == [decode(sound)]


def test_a_whole_frame_behind_many_false_starts_is_late_once() -> None:
    """Each false start claims more than will come; only one of them is waited for."""
    false = b"@@" + bytes(22) + b"\xff\x03\x02"
    wrong_count = frame(8, (1, 2), NOW, bytes((21, 2)) + bytes(7))
    sound = frame(9, (1, 2), NOW, bytes((21, 1)) + bytes(7))
    splitter = Splitter()
    assert splitter.feed(false * 10 + wrong_count + sound) == []
    bad, good = splitter.late()
    assert isinstance(bad, BadFrame)
    assert (bad.verdict, good) == (Verdict.BAD_DATA, decode(sound))
    assert not splitter.begun


def test_a_frame_still_on_its_way_is_not_given_up_with_a_false_start_before_it() -> None:
    sound = frame(9, (1, 2), NOW, bytes((21, 1)) + bytes(7))
    splitter = Splitter()
    assert splitter.feed(b"@@" + bytes(22) + b"\xff\x03" + sound[:30]) == []
    assert splitter.late() == []
    assert splitter.feed(sound[30:]) == [decode(sound)]


WRONG = [
    (Verdict.BAD_START, b"@#" + bytes(40)),
    (Verdict.INCOMPLETE, b""),
    (Verdict.INCOMPLETE, b"@@" + bytes(20)),
    (Verdict.TOO_LONG, frame(1, (2, 3), NOW, bytes(1025))),
    (Verdict.BAD_END, frame(1, (2, 3), NOW, bytes(4))[:-1] + b"!"),
    (Verdict.BAD_END, frame(1, (2, 3), NOW) + b"!"),
    (Verdict.BAD_CHECKSUM, frame(1, (2, 3), NOW)[:-3] + b"\0##"),
    (Verdict.BAD_DATA, frame(1, (2, 3), NOW, bytes((21,)))),
    (Verdict.BAD_DATA, frame(1, (2, 3), NOW, bytes((21, 1)) + bytes(8))),
    (Verdict.BAD_DATA, frame(1, (2, 3), NOW, bytes((26, 1, 9)) + b"short")),
]


@pytest.mark.parametrize(("verdict", "raw"), WRONG, ids=[f"{v}-{n}" for n, (v, _) in enumerate(WRONG)])  # fmt: skip
def test_what_is_wrong_with_a_frame_is_named(verdict: Verdict, raw: bytes) -> None:
    with pytest.raises(BadFrame) as raised:
        decode(raw)
    assert raised.value.verdict == verdict


def test_the_longest_frame_is_taken() -> None:
    body = bytes((130, 1)) + bytes(1022)
    got = decode(frame(1, (2, 3), NOW, body))
    assert got.app is not None
    assert (got.app.name, len(got.app.opaque)) == ("user", 1022)
    assert len(frame(1, (2, 3), NOW, body)) == FRAME_BYTES_MAX


def test_texts_end_at_the_first_zero_and_times_that_are_no_date_are_none() -> None:
    assert read_text("泵房".encode("gb18030") + b" \0old text") == "泵房"
    assert read_text(b"\xff\xfe") == "��"
    assert read_time(bytes(6)) is None
    assert read_time(struct.pack("6B", 59, 59, 23, 31, 13, 26)) is None
    assert WallTime(1999, 1, 1, 0, 0, 0).encode()[5] == 0
    assert read_time(NOW) == AT == WallTime.of(AT.utc_ms(ZONE), ZONE)


def test_a_reserved_type_is_kept_as_bytes() -> None:
    app = decode_application(bytes((22, 3, 1, 2)))
    assert app is not None
    assert (app.name, app.count, app.objects, app.opaque) == ("reserved", 3, (), b"\1\2")
    assert decode_application(b"") is None
    with pytest.raises(BadData):
        decode_application(bytes((1,)))
