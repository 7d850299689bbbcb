"""docs/recovery.md: every row names tests that there are, and the scenario that plays it or why none does."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from simulators.scenario import FOLDER, read_scenario, scenarios
from tests.unit.edge.test_foreign import RAISES, WRONG
from tests.unit.edge.test_recovery import ROWS
from tests.unit.edge.test_recovery_gateway import ROWS as GATEWAY_ROWS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")
SEEN = "## What an operator sees"
SHORT = {"4", "6", "11"}
"""What is left of the names of rows in a list such as `exception 2`, `4`."""
COMMANDS = {"prove outage", "prove processes"}


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
def kinds_of(scenario: str) -> set[str]:
    """What happens in a scenario: verbs, kinds of fault, and what broker, server and disk do."""
    actions = read_scenario(FOLDER / f"{scenario}.toml").actions
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
    """Scenarios that a cell names, each with the kinds in the brackets behind it."""
    found = re.findall(r"`([a-z-]+)` \(([^)]*)\)", cell)
    return [(name, quoted(kinds)) for name, kinds in found]


def test_every_row_that_is_tested_is_on_the_page() -> None:
    named = {name for cells in FAULTS.values() for name in quoted(cells[-2])}
    assert {*ROWS, *GATEWAY_ROWS} - {f"exception {code}" for code in SHORT} <= named


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_names_tests_that_there_are(fault: str) -> None:
    cell = FAULTS[fault][-2]
    assert quoted(cell) or cell == "the same"
    assert [name for name in quoted(cell) if not is_there(name)] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_row_names_the_scenario_that_plays_it_or_why_none_does(fault: str) -> None:
    cell = FAULTS[fault][-1]
    assert played(cell) or re.match("none: .{10,}", cell), cell
    for scenario, kinds in played(cell):
        assert kinds
        assert set(kinds) <= kinds_of(scenario), scenario


@pytest.mark.parametrize("row", [row for row in SHOWN if row != "1 000 reconnects"])
def test_what_an_operator_sees_is_of_a_scenario_that_there_is(row: str) -> None:
    words = [re.sub(r'.* = "(\w+)"', r"\1", word) for word in quoted(SHOWN[row][1])]
    names = [word for word in words if word in scenarios()]
    known = {kind for name in names for kind in kinds_of(name)} | {"first", "last"}
    assert names
    assert {*words} - {*names} <= known
