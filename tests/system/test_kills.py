from pathlib import Path

import pytest

from commands.proving.kills import prove_kills


@pytest.mark.system
def test_a_seeded_sample_of_kills_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """`steward prove kills` runs 120 s with more than 40 of them."""
    found = prove_kills(tmp_path, seconds=20, kills=8, seed=5)
    assert found is not None, "the site did not come up"
    assert found["problems"] == []
    assert found["kills"] >= 8
    assert found["made"] > 300
    assert found["stored"] > 300
