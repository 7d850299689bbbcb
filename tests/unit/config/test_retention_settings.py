"""How long readings and roll-ups are kept: what may be set."""

import pytest

from config.settings import SettingsError, read_settings

ALLOWED = [(7, 730, 0), (0, 0, 0), (8, 8, 8), (90, 730, 0), (90, 0, 0), (90, 90, 90)]
REFUSED = [
    ((90, 89, 0), "STEWARD_KEEP_MINUTE_DAYS: 89 is fewer days than STEWARD_KEEP_RAW_DAYS"),
    ((0, 730, 0), "STEWARD_KEEP_MINUTE_DAYS: 730 is fewer"),
    ((90, 730, 729), "STEWARD_KEEP_HOUR_DAYS: 729 is fewer"),
    ((90, 0, 729), "STEWARD_KEEP_HOUR_DAYS: 729 is fewer"),
]


def told(days: tuple[int, int, int]) -> dict[str, str]:
    return {
        f"STEWARD_KEEP_{n}_DAYS": str(d)
        for n, d in zip(("RAW", "MINUTE", "HOUR"), days, strict=True)
    }


@pytest.mark.parametrize("days", ALLOWED)
def test_a_retention_that_fits_is_taken(days: tuple[int, int, int]) -> None:
    settings = read_settings(told(days))
    assert (settings.keep_raw_days, settings.keep_minute_days, settings.keep_hour_days) == days


@pytest.mark.parametrize(("days", "why"), REFUSED)
def test_a_retention_that_does_not_fit_is_refused(days: tuple[int, int, int], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        read_settings(told(days))


def test_a_retention_that_nobody_set_is_not_said_to_have_been() -> None:
    with pytest.raises(SettingsError, match=r"KEEP_MINUTE_DAYS is where it is not set \(730; 0 is"):
        read_settings({"STEWARD_KEEP_HOUR_DAYS": "365"})


ALONE = [
    ({}, (90, 730, 0)),
    ({"RAW": "0"}, (0, 0, 0)),
    ({"RAW": "1000"}, (1000, 1000, 0)),
    ({"RAW": "3"}, (3, 730, 0)),
    ({"MINUTE": "0"}, (90, 0, 0)),
    ({"HOUR": "730"}, (90, 730, 730)),
    ({"RAW": "1000", "HOUR": "1000"}, (1000, 1000, 1000)),
]


@pytest.mark.parametrize(("said", "days"), ALONE)
def test_roll_ups_of_which_nothing_is_told_follow_what_they_are_made_of(
    said: dict[str, str], days: tuple[int, int, int]
) -> None:
    settings = read_settings({f"STEWARD_KEEP_{n}_DAYS": d for n, d in said.items()})
    assert (settings.keep_raw_days, settings.keep_minute_days, settings.keep_hour_days) == days
