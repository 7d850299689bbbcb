"""How people write ids, durations, dates and places in files, and what to say of what is not of such a form."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints

DURATION_S = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "min": 60,
    "minute": 60,
    "minutes": 60,
    "h": 3600,
    "hour": 3600,
    "hours": 3600,
    "d": 86400,
    "day": 86400,
    "days": 86400,
    "week": 604800,
    "weeks": 604800,
}
"""Unit as people write it to seconds."""
DURATION_S_MAX = 36_525 * 86_400
YEARS = range(1900, 2200)
"""Dates outside are a slip of the pen, and would take the calendar's arithmetic past its end."""


def duration_s(value: object) -> float:
    """Seconds of a duration such as "250ms", "10s", "20 min", "30 days".

    Raises:
        ValueError: not a text of that form.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]+)", value) if isinstance(value, str) else None
    if found is None or found[2] not in DURATION_S:
        raise ValueError('is not a duration such as "250ms", "10s", "20min", "12h" or "30 days"')
    seconds = float(found[1]) * DURATION_S[found[2]]
    if seconds > DURATION_S_MAX:
        raise ValueError("is longer than 100 years")
    return seconds


def local_date(value: object) -> str:
    """A calendar date as YYYY-MM-DD.

    Raises:
        ValueError: not a date.
    """
    day: object = value
    if isinstance(value, str):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
    if not isinstance(day, date) or isinstance(day, datetime):
        raise ValueError("is not a date such as 2026-01-31")
    if day.year not in YEARS:
        raise ValueError(f"is not in the years {YEARS.start} to {YEARS.stop - 1}")
    return day.isoformat()


_DAY_OF_YEAR = r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_LABEL = "[A-Za-z0-9_-]{1,63}"
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "id": (r"^[a-z0-9-]+$", "pump-1: small letters, digits and -"),
    "asset": (r"^[a-z0-9-]+(/[a-z0-9-]+)*$", "a-booster/pump-1: small letters, digits, - and / for a part"),
    "point": (r"^[a-z0-9_]+$", "run_hours: small letters, digits and _"),
    "key": (r"^([a-z0-9-]+\.)?[a-z0-9_]+$", "run_hours or pump.run_hours: small letters, digits and _, before a point the name of a part"),
    "time": (r"^([01]\d|2[0-3]):[0-5]\d$", "07:30"),
    "words": (r"\S", "a text that says something"),
    "ranges": (r"^(holding|input|coil|discrete):\d{1,5}(-\d{1,5})?$", "holding:200-219 or holding:200; tables: holding, input, coil, discrete"),
    "endpoint": (rf"^({_LABEL}(\.{_LABEL})*\.?|\[[0-9A-Fa-f:]+\]):\d{{1,5}}$", "10.0.3.7:502, a host (between the dots of its name 1 to 63 letters, digits, - and _) and a port"),
    "brick": (r"^[A-Z][A-Za-z0-9.]*(_[A-Za-z0-9.]+)*$", "Water_Pressure_Sensor, a class of Brick"),
    "marker": (r"^[a-z][A-Za-z0-9_]*$", "water or fuelOil, a marker of Haystack"),
    "http": (r"^(/[!-~]*)?$", "/snapshot.jpg"),
    "season": (rf"^{_DAY_OF_YEAR}\.\.{_DAY_OF_YEAR}$", "06-01..09-30, two days of the year"),
    "months": (r"^[1-9][0-9]{0,2} (day|week|month|quarter|year)s?$", "3 months; units: day, week, month, quarter, year"),
    "order": (r"^[A-H]{2,8}$", "ABCD or CDAB, A the most significant byte"),
    "serial": (r"^/[^\s]+$", "/dev/ttyUSB0"),
    "printable": (r"^[!-~]+$", "signs of ASCII without blanks"),
    "target": (r"^(class|system|asset):[a-z0-9/-]+$", "class:pump, system:drainage or asset:a-booster/pump-1"),
    "source": (r"^M\d{3}$", "M040"),
}  # fmt: skip
"""Name to a regular expression, and what is said of a text that does not match it: an example, and what it is made of."""
SAID: Final[Mapping[str, str]] = dict(_FORMS.values())


def _form(name: str, longest: int | None = None) -> StringConstraints:
    return StringConstraints(pattern=_FORMS[name][0], max_length=longest)


Duration = Annotated[float, BeforeValidator(duration_s)]
Day = Annotated[str, BeforeValidator(local_date)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(min_length=1)]
Id = Annotated[str, _form("id")]
AssetId = Annotated[str, _form("asset")]
PointId = Annotated[str, _form("point")]
PointKey = Annotated[str, _form("key")]
TimeOfDay = Annotated[str, _form("time")]
Words = Annotated[str, _form("words")]
Ranges = Annotated[str, _form("ranges")]
Endpoint = Annotated[str, _form("endpoint")]
BrickClass = Annotated[str, _form("brick")]
Marker = Annotated[str, _form("marker")]
HttpPath = Annotated[str, _form("http", 400)]
Season = Annotated[str, _form("season")]
Months = Annotated[str, _form("months")]
Order = Annotated[str, _form("order")]
SerialPort = Annotated[str, _form("serial")]
Printable = Annotated[str, _form("printable", 400)]
Target = Annotated[str, _form("target")]
Source = Annotated[str, _form("source")]
