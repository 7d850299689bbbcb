"""Instants between UTC milliseconds inside and RFC 3339 outside."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

EARLIEST, LATEST = 0, 4_102_444_800_000
"""1970 and 2100: what lies outside is refused."""


def shown(at: int | None) -> str | None:
    """`2025-11-21T04:40:00.000Z`; None and 0 (never) stay None."""
    return text_of(at) if at else None


def text_of(at: int) -> str:
    """An instant (UTC ms) as RFC 3339 with milliseconds."""
    stamp = datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{at % 1000:03d}Z"


def parse(text: str) -> int:
    """UTC ms of an RFC 3339 instant with offset, or of a number of milliseconds.

    A `+` that a query string turned into a blank is understood.

    Raises:
        ValueError: neither, without an offset, or not between 1970 and 2100.
    """
    at = int(text) if text.isascii() and text.isdigit() else _instant(text.replace(" ", "+"))
    if not EARLIEST <= at <= LATEST:
        raise ValueError(f"{text[:40]!r} is not between 1970 and 2100")
    return at


def _instant(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError("no offset")
        return round(found.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is not an RFC 3339 time with offset") from error


def local_date(at: int, time_zone: str) -> str:
    """`YYYY-MM-DD` of an instant on the site's calendar."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(time_zone)).date().isoformat()
