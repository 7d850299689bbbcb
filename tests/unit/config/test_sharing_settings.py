"""What servers that share their plants must be told."""

import pytest

from config.settings import SettingsError, read_settings

SHARED = {
    "STEWARD_JOURNAL": "nats",
    "STEWARD_COLLECTOR": "left",
    "STEWARD_STORE": "influxdb",
    "STEWARD_LEDGER": "postgresql+psycopg://steward@db/steward",
    "STEWARD_NATS_URL": "nats://one:4222,tls://two:4222",
}


def test_a_journal_in_nats_has_all_that_two_servers_need() -> None:
    settings = read_settings(SHARED)
    assert (settings.journal, settings.collector) == ("nats", "left")
    assert settings.nats_url == SHARED["STEWARD_NATS_URL"]


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("COLLECTOR", None, "COLLECTOR: is missing"),
        ("COLLECTOR", "left/right", "'left/right' is not of 1 to 40"),
        ("STORE", "duckdb", "it must be influxdb"),
        ("LEDGER", None, "it must be PostgreSQL's URL"),
        ("LEDGER", "sqlite:///shared.db", "it must be PostgreSQL's URL"),
        ("NATS_URL", "http://one:4222", "'http://one:4222' is not an address of nats://"),
        ("JOURNAL", "kafka", "'kafka' is not one of files, nats"),
    ],
)
def test_what_two_servers_cannot_share_is_named(variable: str, value: str | None, why: str) -> None:
    told = {**SHARED, f"STEWARD_{variable}": value or ""}
    if value is None:
        del told[f"STEWARD_{variable}"]
    with pytest.raises(SettingsError, match=why):
        read_settings(told)


@pytest.mark.parametrize("url", ["nats://ann:our-word@one:4222", "one:4222,http://our-word@two", "nats://[our-word@"])  # fmt: skip
def test_a_password_in_the_address_of_nats_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="STEWARD_NATS_PASSWORD_FILE") as refused:
        read_settings({**SHARED, "STEWARD_NATS_URL": url})
    assert "our-word" not in str(refused.value)


def test_one_server_alone_needs_nothing_of_it() -> None:
    assert read_settings({}).journal == "files"
