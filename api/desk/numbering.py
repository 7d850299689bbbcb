"""Work-order numbers `YYYYMM-NNNN`: gap-free per site and month of the site's own calendar."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_NUMBER = re.compile(r"(\d{6})-(\d{4,9})")


def month_of(at: int, time_zone: str) -> str:
    """`YYYYMM` of an instant (UTC ms) on the site's calendar."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(time_zone)).strftime("%Y%m")


def number_of(month: str, n: int) -> str:
    """The n-th number of a month; more than 9 999 simply gets longer."""
    return f"{month}-{n:04d}"


def parse_number(text: str) -> tuple[str, int] | None:
    """Month and count of a number, None if it is not one."""
    match = _NUMBER.fullmatch(text)
    return (match[1], int(match[2])) if match else None
