"""What the answers of cameras and recorders say of time: pure, whatever they hold."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from config.profile import Path
from edge.payloads import LATEST_MS, Absent, Unreadable, find, instant, places

TIME_BYTES_MAX: Final = 64 * 1024
UTC_BYTES_MAX: Final = 2000
"""Of what stands in a UTCDateTime."""
_UTC_BEGIN: Final = re.compile(rb"<(?:\w+:)?UTCDateTime\b[^<>]*>")
_UTC_END: Final = re.compile(rb"</(?:\w+:)?UTCDateTime>")
"""Each linear: neither goes on past the next `<`."""
LIST_BYTES_MAX: Final = 2 * 1024 * 1024
HALF_SECOND_MS: Final = 500
"""Times without fractions are on average this much too early."""
ASK_TIME: Final = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
    b'<GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/></s:Body></s:Envelope>'
)
"""ONVIF's question for the time, which needs no login."""


class Unclear(Exception):
    """The answer does not say it; the message says what is wrong."""


def onvif_time_ms(body: bytes) -> int:
    """UTC ms in the answer to GetSystemDateAndTime.

    Raises:
        Unclear: there is none in it.
    """
    if len(body) > TIME_BYTES_MAX:
        raise Unclear(f"{len(body)} bytes for a time")
    begin = _UTC_BEGIN.search(body)
    end = _UTC_END.search(body, begin.end()) if begin else None
    if begin is None or end is None:
        raise Unclear("no UTCDateTime in the answer")
    inner = body[begin.end() : end.start()][:UTC_BYTES_MAX]
    names = ("Year", "Month", "Day", "Hour", "Minute", "Second")
    numbers = [re.search(rf"<(?:\w+:)?{n}\s*>\s*(\d{{1,4}})\s*<".encode(), inner) for n in names]
    if not all(numbers):
        raise Unclear("UTCDateTime is not whole")
    year, month, day, hour, minute, second = (int(number[1]) for number in numbers if number)
    try:
        said = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError as error:
        raise Unclear(str(error)) from error
    return round(said.timestamp() * 1000) + HALF_SECOND_MS


def date_ms(header: str) -> int:
    """UTC ms of an HTTP Date.

    Raises:
        Unclear: it is none.
    """
    try:
        said = parsedate_to_datetime(header[:100])
        ms = round(said.replace(tzinfo=said.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise Unclear(f"no date in the answer: {header[:40]!r}") from error
    return ms + HALF_SECOND_MS


def newest_ms(body: bytes, path: Path, unit: str) -> int | None:
    """UTC ms of the latest time at `path` in a recorder's JSON; None if the list there is empty.

    An entry with null or nothing there is a segment that is still written: those that have ended count.

    Raises:
        Unclear: no JSON, nothing at the path in any entry, or times without a zone.
    """
    if len(body) > LIST_BYTES_MAX:
        raise Unclear(f"{len(body)} bytes; ask the recorder for fewer segments")
    try:
        message = msgspec.json.decode(body)
        found = [_at(message, whole) for whole, _ in places(path, unit, message)]
        times = [instant(raw) for raw in found if raw is not None]
        if found and not times:
            raise Absent
    except (msgspec.DecodeError, RecursionError, Absent, Unreadable, ValueError, OverflowError) as error:  # fmt: skip
        raise Unclear(f"recordings: {str(error) or 'nothing at ' + '.'.join(map(str, path))}"[:200]) from error  # fmt: skip
    known = [ms for ms in times if ms is not None and ms < LATEST_MS]
    if len(known) < len(times):
        raise Unclear("recordings: times without a zone")
    return max(known, default=None)


def _at(message: Any, path: Path) -> Any:
    """What stands there; None where nothing does."""
    try:
        return find(message, path)
    except Absent:
        return None
