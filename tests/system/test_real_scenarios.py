"""A whole scenario with sockets and processes: broker, server, agents, simulated devices, ten times faster than the clock."""

from pathlib import Path

import pytest

from commands.demo import PLANT
from commands.real_site import run_real
from config.load import load_plant
from simulators.scenario import read_scenario

pytestmark = pytest.mark.system

LINK_LOST = """
about = "The link to the fire panel is lost: one alarm and one order for the link, none for fire"
plant = "riverside"
seed  = 4
lasts = "200s"

[[at]]
t = "30s"
fault = { asset = "fire-panel", kind = "link_lost" }

[[expect]]
alarm = "fire-panel panel lost"
raised = ["31s", "3min"]

[[expect]]
work_order = { cause = "fire-panel panel lost", kind = "fault", count = 1 }

[expect_nothing_else]
alarms = true
work_orders = true
"""


def test_what_follows_in_virtual_time_follows_with_sockets_and_processes(tmp_path: Path) -> None:
    path = tmp_path / "link-lost.toml"
    path.write_text(LINK_LOST, encoding="utf-8")
    plant = load_plant(PLANT)
    verdict = run_real(read_scenario(path, plant), plant)
    assert [row.what for row in verdict.rows if not row.ok] == []
    assert verdict.ok
