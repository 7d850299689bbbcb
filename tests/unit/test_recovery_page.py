"""docs/recovery.md: every row names tests that there are, and the scenario that plays it or shows the very same.

What a row promises, the quality of points and the words of the log, is what that scenario expects.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from commands.scenarios import scenario_plant
from config.plant import Device, Plant
from edge.readings import QUALITY_NAMES
from simulators.scenario import (
    FOLDER,
    Action,
    LogExpected,
    ReadingExpected,
    Scenario,
    read_scenario,
    scenarios,
)
from tests.unit.edge.test_foreign import RAISES, WRONG
from tests.unit.edge.test_recovery import ROWS
from tests.unit.edge.test_recovery_gateway import ROWS as GATEWAY_ROWS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")
SEEN = "## What an operator sees"
SHORT = {"4", "6", "11"}
"""What is left of the names of rows in a list such as `exception 2`, `4`."""
COMMANDS = {"prove outage", "prove processes"}
QUALITIES = set(QUALITY_NAMES.values())
REASONS = {name: {row.reason, *row.before} for name, row in ROWS.items()}
REASONS |= {name: {reason} for name, (_, reason, _) in GATEWAY_ROWS.items()}
LOGGED = 5
"""Columns of a table that says what is in the log."""
OVER = re.compile("(back|again) after")
PACKAGE = "reader NAME of package P V"
NO_OUTAGE = "none: no outage"
NOTHING_SEEN = {"`good`", "—"}
"""What the quality of a row says that is no outage."""
NEAR_S = 1.5
"""So near to its end an episode is as good as over."""


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table but its head."""
    before = ""
    for line in text.splitlines():
        if line.startswith("| ") and before.startswith("|"):
            yield [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        before = line


FAULTS = {cells[0]: cells for cells in rows(PAGE.partition(SEEN)[0])}
SHOWN = {cells[0]: cells for cells in rows(PAGE.partition(SEEN)[2])}


@cache
def sources() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py")}


@cache
def scenario_of(name: str) -> Scenario:
    return read_scenario(FOLDER / f"{name}.toml")


@cache
def plant_of(name: str) -> Plant:
    return scenario_plant(name)


@cache
def kinds_of(scenario: str) -> set[str]:
    """What happens in a scenario: verbs, kinds of fault, to whom, and what broker, server and disk do."""
    actions = scenario_of(scenario).actions
    return {word for action in actions for word in (action.verb, action.kind, action.subject)}


def is_there(name: str) -> bool:
    """Whether a file or function of a test, a row, a scenario or a command of this name exists."""
    if name.endswith(".py"):
        return name in sources()
    if name.startswith("test_"):
        return any(f"def {name.removesuffix('…')}" in source for source in sources().values())
    tables = {"WRONG": WRONG, "RAISES": RAISES}
    return bool(tables.get(name)) or name in {*ROWS, *GATEWAY_ROWS, *SHORT, *scenarios(), *COMMANDS}


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def played(cell: str) -> list[tuple[str, list[str]]]:
    """Scenarios that a cell begins with, each with the kinds in the brackets behind it."""
    if not cell.startswith("`"):
        return []
    found = re.findall(r"`([a-z-]+)` \(([^)]*)\)", cell)
    return [(name, quoted(kinds)) for name, kinds in found]


def same_sight(cells: Sequence[str]) -> bool:
    """Whether a row says `seen as` of one other that is played and promises the same qualities."""
    named = re.fullmatch("seen as (.+)", cells[-1])
    others = [
        other
        for fault, other in FAULTS.items()
        if named and fault.startswith(named[1]) and played(other[-1])
    ]
    return [qualities(other[1]) for other in others] == [qualities(cells[1])]


def is_shown(cells: Sequence[str]) -> bool:
    """Whether a row's outage is seen in a scenario, or is none."""
    no_outage = cells[-1] == NO_OUTAGE and cells[1] in NOTHING_SEEN
    return bool(played(cells[-1])) or no_outage or same_sight(cells)


def qualities(text: str) -> set[str]:
    return QUALITIES & set(quoted(text))


def log_cell(fault: str) -> str:
    """What a row says of the log, where it says it itself or `as` another."""
    cell = FAULTS[fault][2]
    if named := re.match("as ([a-z-]+)", cell):
        return next(cells[2] for other, cells in FAULTS.items() if other.startswith(named[1]))
    return cell


def pattern(text: str) -> str:
    """Of the words of a log as the page has them the longest without `…`; names and numbers are placeholders."""
    longest = max(text.replace("PACKAGE", PACKAGE).split("…"), key=len)
    parts = re.split(r"(HOST:PORT|PATH|NAME|TYPE|\b[NldpPV]\b|\d+\.\.\d+)", longest)
    return "".join(r"\S+" if place % 2 else re.escape(part) for place, part in enumerate(parts))


@dataclass(frozen=True, slots=True)
class Episode:
    """Something that befalls devices, or an agent's all, from when to when (seconds)."""

    devices: tuple[Device, ...]
    begins: float
    ends: float


def episodes(name: str, words: Sequence[str]) -> list[Episode]:
    """Those of a scenario of these kinds; of these assets, lines or agents where `words` names some."""
    scenario = scenario_of(name)
    plant, actions = plant_of(scenario.plant), scenario.actions
    named = {action.subject for action in actions if action.kind} & set(words)
    return [
        Episode(tuple(touched(plant, action)), action.t, ended(action, actions))
        for action in actions
        if {action.verb, action.kind, action.subject} - named & set(words)
        and (not named or action.subject in named)
    ]


def touched(plant: Plant, action: Action) -> Iterator[Device]:
    for device in plant.devices.values():
        agent = plant.lines[device.line].agent
        if action.verb != "fault" or action.subject in (device.asset, device.line, agent):
            yield device


def ended(action: Action, actions: Sequence[Action]) -> float:
    """When a fault is repaired or a stall is over; anything else lasts until something else is done."""
    if action.verb == "stall":
        return action.t + float(str(action.options["seconds"]))
    later = [one for one in actions if one.t > action.t]
    if action.verb == "fault":
        later = [one for one in later if (one.verb, one.subject) == ("repair", action.subject)]
    return min((one.t for one in later), default=math.inf)


def readings_of(name: str, words: Sequence[str]) -> Iterator[ReadingExpected]:
    """What a scenario expects of the points of what is touched, while it lasts."""
    for one in scenario_of(name).expected:
        for episode in episodes(name, words):
            if isinstance(one, ReadingExpected):
                begins, ends = one.during
                assets = {device.asset for device in episode.devices}
                of_these = any(one.point.startswith(f"{asset}/") for asset in assets)
                if of_these and begins < episode.ends - NEAR_S and episode.begins < ends:
                    yield one


def logs_of(name: str, words: Sequence[str]) -> Iterator[LogExpected]:
    """What a scenario expects to be said of what is touched, while it lasts and that it is over."""
    for one in scenario_of(name).expected:
        for episode in episodes(name, words):
            if isinstance(one, LogExpected) and is_of(one, episode):
                yield one


def is_of(one: LogExpected, episode: Episode) -> bool:
    """Whether a line is said in an episode, or later that it is over, and of no other's device or line."""
    until = math.inf if OVER.search(one.says) else episode.ends
    ids = {id for device in episode.devices for id in (device.id, device.line)}
    named = re.search("(?:line|device|camera) (?!of )([a-z0-9-]+) ", one.says)
    in_time = episode.begins - 1 <= one.during[0] < until
    return in_time and (named is None or named[1] in ids)


PLAYED = [fault for fault, cells in FAULTS.items() if played(cells[-1])]


def test_every_row_that_is_tested_is_on_the_page() -> None:
    named = {name for cells in FAULTS.values() for name in quoted(cells[-2])}
    assert {*ROWS, *GATEWAY_ROWS} - {f"exception {code}" for code in SHORT} <= named


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_names_tests_that_there_are(fault: str) -> None:
    cell = FAULTS[fault][-2]
    assert quoted(cell) or cell == "the same"
    assert [name for name in quoted(cell) if not is_there(name)] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_names_the_scenario_that_shows_it(fault: str) -> None:
    cell = FAULTS[fault][-1]
    assert is_shown(FAULTS[fault]), cell
    for scenario, kinds in played(cell):
        assert kinds
        assert set(kinds) <= kinds_of(scenario), scenario


@pytest.mark.parametrize(
    ("quality", "cell"),
    [
        ("`good`, each its own", "none: nothing to see, every reading is good"),
        ("`good`, each its own", "none: no outage"),
        ("`no_answer`", "none: no outage"),
        ("—", "none: no outage, the test counts what is left behind"),
        ("`link_down`", "none: seen as `refused`; a network in virtual time has no names"),
        ("`no_answer`", "none: seen as half-open; a network in virtual time has no TLS"),
        ("`no_answer`", "none: seen as silence over TCP, `modbus-links-fail` (`silent`)"),
        ("`link_down`", "seen as half-open"),
        ("`no_answer`", "seen as half-open; a network in virtual time has no TLS"),
        ("—", "seen as 1 000 reconnects"),
        ("`no_answer`", "seen as another fault"),
    ],
)
def test_no_other_reason_is_taken(quality: str, cell: str) -> None:
    assert not is_shown(["a fault", quality, "nothing", "`test_a`", cell])


@pytest.mark.parametrize("fault", [f for f in FAULTS if {*quoted(FAULTS[f][-2])} & REASONS.keys()])
def test_a_row_promises_the_quality_that_its_tests_expect(fault: str) -> None:
    rows = [REASONS[name] for name in quoted(FAULTS[fault][-2]) if name in REASONS]
    assert set().union(*rows) == qualities(FAULTS[fault][1])


@pytest.mark.parametrize("fault", PLAYED)
def test_a_row_promises_the_quality_that_its_scenario_expects(fault: str) -> None:
    cells = FAULTS[fault]
    alone = set(re.findall(r"`(\w+)` by its test alone", cells[-1]))
    found = {
        one.quality
        for name, words in played(cells[-1])
        for one in readings_of(name, words)
        if one.quality != "good"
    }
    assert found == qualities(cells[1]) - {"good"} - alone


@pytest.mark.parametrize("fault", [fault for fault in PLAYED if len(FAULTS[fault]) == LOGGED])
def test_a_row_promises_the_words_of_the_log_that_its_scenario_expects(fault: str) -> None:
    cells = FAULTS[fault]
    promised = [pattern(text) for text in quoted(log_cell(fault))]
    says = [one.says for name, words in played(cells[-1]) for one in logs_of(name, words)]
    lost = [text for text in says if not OVER.search(text)]
    assert [text for text in lost if not any(re.search(one, text) for one in promised)] == []
    assert bool(lost) is bool(promised)
    assert len(lost) < len(says) or " back" not in cells[2]


@pytest.mark.parametrize("row", [row for row in SHOWN if row != "1 000 reconnects"])
def test_what_an_operator_sees_is_of_a_scenario_that_there_is(row: str) -> None:
    words = [re.sub(r'.* = "(\w+)"', r"\1", word) for word in quoted(SHOWN[row][1])]
    names = [word for word in words if word in scenarios()]
    known = {kind for name in names for kind in kinds_of(name)} | {"first", "last"}
    assert names
    assert {*words} - {*names} <= known


@pytest.mark.parametrize("row", [row for row in SHOWN if row != "1 000 reconnects"])
def test_what_an_operator_sees_is_what_a_scenario_expects(row: str) -> None:
    where, seen = SHOWN[row][1:]
    words = [re.sub(r'.* = "(\w+)"', r"\1", word) for word in quoted(where)]
    names = [word for word in words if word in scenarios()]
    expected = {one.quality for name in names for one in readings_of(name, words)}
    says = [one.says for name in names for one in logs_of(name, words)]
    for text in quoted(seen):
        if text in QUALITIES:
            assert text in expected
        else:
            assert any(re.search(pattern(text), said) for said in says), text
