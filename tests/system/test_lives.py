import pytest

from commands.proving.processes import make_report, prove_processes


@pytest.mark.system
async def test_a_sample_of_short_lives_loses_and_doubles_nothing() -> None:
    """`steward prove processes` runs 200 seeds."""
    verdicts = await prove_processes(range(2, 4), at_once=2)
    assert verdicts is not None, "the site did not come up"
    report = make_report(verdicts)
    assert report["problems"] == []
    assert report["held"] == 2
    assert report["made"] > 2_000
    assert report["stored"] == report["journalled"]
    assert sum(kind["seen"] for kind in report["accidents"].values()) >= 6
