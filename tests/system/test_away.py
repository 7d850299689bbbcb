"""InfluxDB goes away and comes back beside a real site: what people see goes on, and the store catches up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from commands.proving.away import Seen, compare, prove_away
from commands.proving.real_parts import INFLUXD

AS_EVER = Seen(10.0, [300.0] * 99, [400.0] * 10)


@pytest.mark.system
async def test_a_short_sample_of_an_outage_of_influxdb(
    tmp_path: Path, part_programs: Callable[[str], Path]
) -> None:
    """`steward prove away` takes ten minutes, and judges how old values were and how many changes were seen.

    In 15 s both say how busy this machine is as well: two dozen changes, of which three fewer are a tenth.
    """
    found = await prove_away(tmp_path, 15.0, part_programs(INFLUXD))
    assert found is not None, "the site did not come up"
    assert [problem for problem in found["problems"] if not problem.endswith(" meanwhile")] == []
    assert found["away"]["looks_failed"] == 0
    assert found["away"]["alarm_changes_per_s"] > 0.5
    assert found["writes_refused"] > 0
    assert found["times_live"] >= 5


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (AS_EVER, ""),
        (
            Seen(10.0, [300.0] * 50 + [900.0] * 49, [400.0] * 10),
            "live_p99_ms was 300 ms, and 900 ms",
        ),
        (Seen(10.0, [300.0] * 99, [400.0] * 8 + [1000.0, 1000.0]), "alarm_p99_ms was 400 ms"),
        (
            Seen(20.0, [300.0] * 99, [400.0] * 10),
            "1.0 changes of alarms a second were seen before, 0.5",
        ),
        (Seen(10.0, [300.0] * 99, [400.0] * 10, looks_failed=1), "1 looks"),
    ],
    ids=["as before", "live view late", "alarms late", "alarms not seen", "no answer"],
)
def test_what_is_not_as_before_is_a_problem(away: Seen, said: str) -> None:
    found = compare(AS_EVER, away)
    assert len(found) == (1 if said else 0)
    assert said in "".join(found)


def test_a_site_that_showed_nothing_before_proves_nothing() -> None:
    assert compare(Seen(10.0), AS_EVER) == ["no alarm changed before", "nothing was shown before"]
