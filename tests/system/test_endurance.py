from pathlib import Path

import pytest

from commands.proving.endurance import STRANGERS, prove_endurance


@pytest.mark.system
def test_a_short_life_of_a_whole_site_is_watched(tmp_path: Path) -> None:
    """`steward prove endurance` runs 30 minutes; so short a one warms up only, so that growth is not judged here.

    Files, the ledger's pool and connections to cameras are opened as they are first wanted: on a busy machine after the
    first third too.
    """
    found = prove_endurance(tmp_path, seconds=12, speed=10, seed=2)
    assert found is not None, "the site did not come up"
    growth = (" grew by ", " descriptors at least, and had ")
    assert [said for said in found["problems"] if not any(words in said for words in growth)] == []
    watched = {"broker", "server", "riverside.edge-a", "riverside.edge-b"}
    assert set(found["memory_mb"]) == set(found["descriptors"]) == watched - set(STRANGERS)
    assert all(mb > 20 for pair in found["memory_mb"].values() for mb in pair)
    assert all(most > 5 for most, _ in found["descriptors"].values())
    assert found["made"] > 1_000
