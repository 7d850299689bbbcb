"""What answers say of time, and that everything else is unclear instead of a number."""

from datetime import UTC, datetime

import pytest

from edge.camera_facts import (
    LIST_BYTES_MAX,
    Unclear,
    date_ms,
    newest_ms,
    onvif_time_ms,
)

NOON = round(datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC).timestamp() * 1000)
PATH = ("[*]", "end")


def onvif(year: int = 2026, month: int = 3, second: str = "7", prefix: str = "tt:") -> bytes:
    rows = {"Hour": 12, "Minute": 0, "Second": second, "Year": year, "Month": month, "Day": 1}
    inner = "".join(f"<{prefix}{n}>{v}</{prefix}{n}>" for n, v in rows.items())
    local = f"<{prefix}LocalDateTime><{prefix}Year>1999</{prefix}Year></{prefix}LocalDateTime>"
    return f"{local}<{prefix}UTCDateTime>{inner}</{prefix}UTCDateTime>".encode()


@pytest.mark.parametrize("prefix", ["tt:", "", "ns1:"])
def test_the_time_of_onvif_is_the_utc_one_in_the_middle_of_its_second(prefix: str) -> None:
    assert onvif_time_ms(onvif(prefix=prefix)) == NOON + 500


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html/>", onvif(month=13), onvif(year=0), onvif(second=""), onvif(second="x"), onvif()[:-60],
        onvif(second="-7"),
        b"<UTCDateTime>" * 5000, onvif(second=" " * 2000 + "7"),
    ],
    ids=["nothing", "html", "month 13", "year 0", "no second", "a word", "cut off", "negative", "open ends", "too long"],
)  # fmt: skip
def test_an_answer_without_a_time_is_unclear(body: bytes) -> None:
    with pytest.raises(Unclear):
        onvif_time_ms(body)


def test_the_date_of_an_answer_is_in_the_middle_of_its_second() -> None:
    assert date_ms("Sun, 01 Mar 2026 12:00:07 GMT") == NOON + 500
    assert date_ms("Sun, 01 Mar 2026 20:00:07 +0800") == NOON + 500


@pytest.mark.parametrize("text", ["", "now", "Sun, 99 Mar 2026 12:00:07 GMT", "1" * 5000])
def test_what_is_no_date_is_unclear(text: str) -> None:
    with pytest.raises(Unclear):
        date_ms(text)


def test_the_newest_segment_is_the_latest_wherever_it_stands() -> None:
    body = b'[{"end": "2026-03-01T12:00:07Z"}, {"end": "2026-03-01T12:00:06+00:00"}]'
    assert newest_ms(body, PATH, "1") == NOON
    by_unit = b'{"cam-7": [{"end": %d}]}' % (NOON // 1000)
    assert newest_ms(by_unit, ("{unit}", *PATH), "cam-7") == NOON
    assert newest_ms(b"[]", PATH, "1") is None


@pytest.mark.parametrize("still_written", [b'{"end": null}', b'{"start": 5}'])
def test_a_segment_that_is_still_written_hides_none_that_has_ended(still_written: bytes) -> None:
    body = b'[{"end": "2026-03-01T12:00:07Z"}, ' + still_written + b"]"
    assert newest_ms(body, PATH, "1") == NOON


LISTS = {
    "nothing": b"", "no JSON": b"<html>", "no list": b'{"end": 5}', "no end": b'[{"start": 5}]',
    "a word": b'[{"end": "soon"}]', "no zone": b'[{"end": "2026-03-01T12:00:07"}]',
    "one without a zone": b'[{"end": 1700000000}, {"end": "2026-03-01T12:00:07"}]',
    "before all time": b'[{"end": -1}]', "after all time": b'[{"end": 1e300}]', "null": b'[{"end": null}]',
    "deep": b"[" * 100_000, "too long": b"[" + b" " * LIST_BYTES_MAX + b"]",
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_does_not_say_it_is_unclear_and_never_a_fresh_recording(name: str) -> None:
    with pytest.raises(Unclear) as raised:
        newest_ms(LISTS[name], PATH, "1")
    assert len(str(raised.value)) <= 200


def test_a_day_of_short_segments_is_read() -> None:
    times = [
        f'{{"end":"2026-03-01T{n // 360:02}:{n // 6 % 60:02}:{n % 6}7Z"}}' for n in range(8640)
    ]
    last = datetime(2026, 3, 1, 23, 59, 57, tzinfo=UTC)
    assert newest_ms(f"[{','.join(times)}]".encode(), PATH, "1") == last.timestamp() * 1000
