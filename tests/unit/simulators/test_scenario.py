"""Scenario files are read whole: every mistake at once, and every scenario that comes with Steward is right."""

from pathlib import Path

import pytest

from commands.scenarios import scenario_plant
from config.load import load_plant
from config.mistakes import ConfigErrors
from simulators.scenario import (
    FOLDER,
    Action,
    AlarmExpected,
    LogExpected,
    OccurrenceExpected,
    OrderExpected,
    ReadingExpected,
    read_scenario,
    scenarios,
)

RIVERSIDE = Path(__file__).parents[3] / "config" / "plants" / "riverside"

WHOLE = """
about = "Everything that a scenario can say"
plant = "riverside"
seed = 7
start = "2026-03-01T00:00:00"

[[at]]
t = "8min"
repair = "a-booster/pump-1"

[[at]]
t = "10s"
fault = { asset = "a-booster/pump-1", kind = "trip" }

[[at]]
t = "9min"
repair = { asset = "a-booster", kind = "no_takeover" }

[[at]]
t = "20s"
fault = { asset = "fire-panel", kind = "fire", zone = 3 }

[[at]]
t = "30s"
done = { duty = "generator-trial-run", asset = "generator" }

[[at]]
t = "40s"
cut = "edge-a"

[[at]]
t = "50s"
restart = "edge-a"

[[at]]
t = "60s"
mend = "edge-a"

[[expect]]
alarm = "a-booster/pump-1 tripped"
raised = ["10s", "14s"]
returned = ["8min", "9min"]
unknown = ["1s", "2s"]
priority = "high"
count = 2

[[expect]]
alarm = "fire-panel zone 3 fire"
returned = "never"

[[expect]]
work_order = { cause = "a-booster/pump-1 tripped", kind = "fault", count = 1, closed_by = "readings" }

[[expect]]
occurrence = { duty = "generator-trial-run", asset = "generator", verdict = "contradicted" }

[expect_nothing_else]
alarms = true
work_orders = true
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "case.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_scenario_is_read_in_order_of_time_with_all_it_says(tmp_path: Path) -> None:
    scenario = read_scenario(written(tmp_path, WHOLE), load_plant(RIVERSIDE))
    assert [(a.t, a.verb) for a in scenario.actions] == [
        (10, "fault"), (20, "fault"), (30, "done"), (40, "cut"), (50, "restart"), (60, "mend"),
        (480, "repair"), (540, "repair"),
    ]  # fmt: skip
    assert scenario.actions[1] == Action(20, "fault", "fire-panel", "fire", {"zone": 3})
    assert scenario.actions[2].options == {"by": "technician"}
    assert scenario.actions[7].kind == "no_takeover"
    assert scenario.expected == (
        AlarmExpected("a-booster/pump-1 tripped", (10, 14), (480, 540), False, (1, 2), "high", 2),
        AlarmExpected("fire-panel zone 3 fire", never_returns=True),
        OrderExpected("a-booster/pump-1 tripped", "fault", 1, "readings"),
        OccurrenceExpected("generator-trial-run", "generator", "contradicted"),
    )
    assert (scenario.no_other_alarms, scenario.no_other_orders) == (True, True)
    assert scenario.lasts_s == 540 + 420
    assert scenario.start_ms("Asia/Shanghai") == 1_772_294_400_000


BROKEN = [
    ("plant = 1", "plant: 1"),
    ("nonsense = 1", "nonsense: unknown key; allowed: about"),
    ('start = "soon"', "start: 'soon' is not a time"),
    ('[[at]]\nt = "soon"\nrepair = "a-booster"', "at[0].t: 'soon' is not a duration"),
    ('[[at]]\nt = "1s"', "at[0]: needs exactly one of fault, repair"),
    ('[[at]]\nt = "1s"\ncut = "edge-a"\nmend = "edge-a"', "at[0]: needs exactly one of"),
    ('[[at]]\nt = "1s"\nfault = { asset = "a", kind = "k", colour = 1 }', "at[0].fault.colour: unknown key"),
    ('[[expect]]\nraised = ["1s", "2s"]', "expect[0]: needs exactly one of alarm, work_order"),
    ('[[expect]]\nalarm = "pump"', "expect[0].alarm: 'pump' needs an asset and words"),
    ('[[expect]]\nwork_order = { cause = "pump" }', "expect[0].work_order.cause: 'pump'"),
    ('[[expect]]\nalarm = "a b"\nraised = ["9s", "2s"]', "expect[0].raised: needs two times in order"),
    ('[[expect]]\nalarm = "a b"\nunknown = ["9s"]', "expect[0].unknown: needs two times"),
    ('[[expect]]\nreading = { point = "a/b", quality = "good", during = ["9s"] }', "expect[0].reading.during: needs two times"),
    ('[[expect]]\nlog = { says = "lost", during = ["9s"] }', "expect[0].log.during: needs two times"),
    ('[[expect]]\nlog = { says = " ", during = ["1s", "9s"] }', "expect[0].log.says: ' '"),
    ('[[expect]]\nlog = { says = "lost", level = "info", during = ["1s", "9s"] }', "expect[0].log.level: 'info' is not one of"),
    ('[[at]]\nt = "1s"\ndisk = "burns"', "at[0].disk: 'burns' is not one of"),
    ('[[at]]\nt = "1s"\nbroker = "sulks"', "at[0].broker: 'sulks' is not one of"),
    ('[[expect]]\noccurrence = { duty = "d", asset = "a", verdict = "good" }', "expect[0].occurrence.verdict: 'good' is not one of"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BROKEN)
def test_a_mistake_names_its_place_and_what_is_allowed(
    tmp_path: Path, text: str, says: str
) -> None:
    head = "" if text.startswith("plant") else 'plant = "riverside"\n'
    tail = '' if "[[expect]]" in text else "\nexpect = []" if not text.startswith("[[") else "\n[[expect]]\nalarm = \"a b\"\n"  # fmt: skip
    with pytest.raises(ConfigErrors) as error:
        read_scenario(written(tmp_path, f'about = "x"\n{head}{text}{tail}'))
    assert f"case.toml: {says}" in str(error.value)


def test_all_mistakes_are_told_at_once_those_of_the_plant_too(tmp_path: Path) -> None:
    text = """
about = "x"
plant = "riverside"
[[at]]
t = "1s"
fault = { asset = "c-booster", kind = "trip" }
[[at]]
t = "2s"
fault = { asset = "a-booster", kind = "explode" }
[[at]]
t = "3s"
cut = "edge-z"
[[at]]
t = "4s"
done = { duty = "sing", asset = "generator" }
[[at]]
t = "5s"
fault = { asset = "a-booster", kind = "drip" }
[[at]]
t = "6s"
reload = { agent = "edge-b", device = "booster-a" }
[[at]]
t = "7s"
stall = { agent = "edge-z", seconds = 20 }
[[at]]
t = "8s"
take = "edge-z"
[[expect]]
alarm = "nobody tripped"
[[expect]]
reading = { point = "a-booster/nothing", quality = "good", during = ["1s", "2s"] }
[[expect]]
occurrence = { duty = "d", asset = "nothing", verdict = "absent" }
"""
    with pytest.raises(ConfigErrors) as error:
        read_scenario(written(tmp_path, text), load_plant(RIVERSIDE))
    paths = [mistake.path for mistake in error.value.mistakes]
    assert paths == [
        "at[0].fault", "at[1].fault", "at[2].cut", "at[3].done.duty", "at[4].fault.kind",
        "at[5].reload.device", "at[6].stall", "at[7].take", "expect[0]", "expect[1]", "expect[2]",
    ]  # fmt: skip


def test_a_file_that_is_missing_or_no_toml_is_said_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", written(tmp_path, "about = ")):
        with pytest.raises(ConfigErrors):
            read_scenario(path)


def test_a_scenario_says_what_broker_and_server_do_and_what_is_stored(tmp_path: Path) -> None:
    text = """
about = "x"
plant = "riverside"
wires = true
[[at]]
t = "1s"
broker = "stops"
[[at]]
t = "2s"
server = "starts"
[[at]]
t = "3s"
fault = { asset = "a-booster", kind = "drip" }
[[at]]
t = "4s"
disk = "fills"
[[at]]
t = "5s"
damage = "edge-a"
[[at]]
t = "6s"
clock = { agent = "edge-a", seconds = -60 }
[[at]]
t = "7s"
reload = { agent = "edge-a", device = "booster-a" }
[[at]]
t = "8s"
stall = { agent = "edge-a", seconds = 20 }
[[at]]
t = "9s"
take = "edge-a"
[[expect]]
reading = { point = "a-booster/flow", quality = "no_answer", during = ["4s", "20s"], gap_max = "5s" }
[[expect]]
log = { says = "line a lost", during = ["3s", "9s"] }
[[expect]]
log = { says = "outbox is", level = "error", during = ["3s", "9s"] }
"""
    scenario = read_scenario(written(tmp_path, text), load_plant(RIVERSIDE))
    assert scenario.actions[:2] == (Action(1, "broker", "stops"), Action(2, "server", "starts"))
    assert scenario.actions[3:] == (
        Action(4, "disk", "fills"),
        Action(5, "damage", "edge-a"),
        Action(6, "clock", "edge-a", options={"seconds": -60}),
        Action(7, "reload", "edge-a", "booster-a"),
        Action(8, "stall", "edge-a", options={"seconds": 20}),
        Action(9, "take", "edge-a"),
    )
    assert scenario.expected == (
        ReadingExpected("a-booster/flow", "no_answer", (4, 20), 5),
        LogExpected("line a lost", (3, 9), "warning"),
        LogExpected("outbox is", (3, 9), "error"),
    )
    assert (scenario.wires, scenario.lasts_s) == (True, 20 + 420)


@pytest.mark.usefixtures("unmeasured")
def test_every_scenario_that_comes_with_steward_is_right() -> None:
    names = scenarios()
    assert len(names) >= 10
    for name in names:
        path = FOLDER / f"{name}.toml"
        scenario = read_scenario(path, scenario_plant(read_scenario(path).plant))
        assert scenario.expected
        assert scenario.no_other_alarms, name
        assert scenario.no_other_orders, name
