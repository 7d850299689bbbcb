"""The measurements of rules, planner and live view run, and measure what they say."""

import pytest

from benchmarks import live, planner, rules


@pytest.mark.usefixtures("unmeasured")
def test_a_pass_of_rules_is_measured_beside_both_compares() -> None:
    rows = rules.passed(1_000, 3)
    assert [row.unit for row in rows] == ["ms a pass"] * 2
    assert all(row.ours and row.reference for row in rows)


@pytest.mark.usefixtures("unmeasured")
def test_the_planner_of_the_measurement_has_as_many_plans_and_owes_something() -> None:
    plant = planner.plant_with(50, watched=True)
    assert len(plant.plans) == 50
    assert len({(plan.duty.id, plan.asset) for plan in plant.plans.values()}) == 50
    assert min(planner.ticked(50, watched=False)) > 0


@pytest.mark.usefixtures("unmeasured")
def test_the_snapshot_is_asked_for_beside_a_file_of_its_size() -> None:
    row = live.snapshots(1, 0.2)  # raises for another size
    assert row.ours
    assert row.reference
