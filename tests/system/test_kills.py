from pathlib import Path

import pytest

from commands.proving.kills import prove_kills


@pytest.mark.system
def test_a_seeded_sample_of_kills_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """`steward prove kills` runs 120 s with more than 40 of them. After 40 s a pump trips."""
    found = prove_kills(tmp_path, seconds=45, kills=10, seed=5)
    assert found is not None, "the site did not come up"
    assert found["problems"] == []
    assert found["kills"] >= 10
    assert min(found["killed"].values()) >= 1
    assert found["alarms"] >= 1
    assert found["work_orders"] >= 1
    assert found["made"] > 300
    assert found["stored"] > 300
