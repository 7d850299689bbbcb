"""Local days of a site: dates to instants and back, and steps of calendar periods."""

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from config.standards import Period

Working = Callable[[date], bool]
"""Whether a date is a working day at the site."""
MONTHS = {"month": 1, "year": 12}


def weekday_working(day: date) -> bool:
    """Monday to Friday, where no calendar says otherwise."""
    return day.weekday() < 5


def midnight(day: date, zone: ZoneInfo) -> int:
    """The instant at which a local date begins, UTC ms; one that does not exist is read with the offset before."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def clock_time(day: date, minute: int, zone: ZoneInfo) -> int:
    """The instant of a local time of day, UTC ms; minute 1440 is the midnight that ends the day."""
    if minute == 1440:
        return midnight(day + timedelta(days=1), zone)
    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    return round(local.timestamp() * 1000)


def local_date(at: int, zone: ZoneInfo) -> date:
    """The site's date at an instant (UTC ms)."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).date()


def add_months(day: date, months: int) -> date:
    """So many months on; a day that the month lacks becomes its last day."""
    index = day.year * 12 + day.month - 1 + months
    year, month = index // 12, index % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def add_periods(anchor: date, period: Period, n: int) -> date:
    """Anchor + n × period, always counted from the anchor (rules-due-dates 10)."""
    if period.unit in MONTHS:
        return add_months(anchor, n * period.n * MONTHS[period.unit])
    return anchor + timedelta(days=n * period.n * (7 if period.unit == "week" else 1))


def days_of(period: Period) -> int:
    """Length for tolerances: month 30, year 365 days (rules-due-dates 5)."""
    return period.n * {"day": 1, "week": 7, "month": 30, "year": 365}[period.unit]


def tolerance_days(length: int) -> int:
    """10 % of the period, rounded down to whole days; under 10 days none (rules-due-dates 5)."""
    return length // 10


def roll_back(day: date, stop: date, working: Working) -> date:
    """The last working day up to `day`, not before `stop`; `day` itself if there is none (rule 8)."""
    rolled = day
    while rolled >= stop:
        if working(rolled):
            return rolled
        rolled -= timedelta(days=1)
    return day


def roll_near(day: date, stop: date, limit: date, working: Working) -> date:
    """The nearest working day, the earlier of two; beyond the hard limit back instead (rule 8)."""
    for step in range(31):
        back, on = day - timedelta(days=step), day + timedelta(days=step)
        if back >= stop and working(back):
            return back
        if working(on):
            return on if on <= limit else roll_back(day, stop, working)
    return day
