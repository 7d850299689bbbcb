"""Which addresses the dead man's ping may have."""

import pytest

from config.settings import SettingsError, read_settings


@pytest.mark.parametrize(
    "text", ["", "https://hc.example.org/ping/1", "http://10.0.0.7:8000/alive"]
)
def test_an_address_of_http_is_taken(text: str) -> None:
    assert read_settings({"STEWARD_DEADMAN_URL": text}).deadman_url == text


@pytest.mark.parametrize(
    "text", ["file:///etc/passwd", "hc.example.org", "https://", "http://[::1"]
)
def test_any_other_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="STEWARD_DEADMAN_URL"):
        read_settings({"STEWARD_DEADMAN_URL": text})
