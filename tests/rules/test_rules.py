"""Every case folder here: rules, what happens, and what must follow by the text of rules-alarms.

`rules.toml` has the rules (and the points' longest silence); `readings.csv` what arrives, by second;
`expected.csv` every event in order, then what the outcomes were and how things stand at the end.
"""

import csv
import tomllib
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from config.rules import Level, Rule
from edge.readings import QUALITIES
from tests.alarm_world import START, Said, World, a_plant, a_rule, second

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/rules.toml"))


def rules_of(folder: Path, name: str = "rules.toml") -> tuple[list[Rule], float]:
    written = tomllib.loads((folder / name).read_text(encoding="utf-8"))
    return [_rule(dict(row)) for row in written["rule"]], written.get("longest_silence_s", 60.0)


def _rule(row: dict[str, Any]) -> Rule:
    levels = tuple(Level(*level) for level in row.pop("levels", []))
    if "tolerates" in row:
        row["tolerates"] = tuple(QUALITIES[name] for name in row["tolerates"])
    for key in ("abnormal_states",):
        row[key] = tuple(row.get(key, ()))
    return a_rule(row.pop("id"), levels=levels, **{"deadband": 0.0, **row})


def lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {key: (value or "").strip() for key, value in row.items()}


def play(world: World, folder: Path) -> None:
    """Consecutive readings that arrive at one instant are one group, unless an empty line parts them."""
    for (at, what, _), found in groupby(
        lines(folder / "readings.csv"), lambda r: (r["at"], r["what"], r["group"])
    ):
        rows = list(found)
        if what == "reading":
            world.read(*map(_said, rows), received=float(at))
        elif what == "wake":
            world.wake(float(at))
        elif what == "restart":
            world.restart()
        elif what == "edit":
            rules, silence_s = rules_of(folder, "edited.toml")
            world.restart(rules=rules, silence_s=silence_s)
            world.wake(float(at))
        else:
            assert what in ("acknowledge", "reset"), f"{what} is not something that happens"
            world.ask(what, float(at), id=rows[0]["value"])


def _said(row: dict[str, str]) -> Said:
    return Said(
        time=float(row["time"] or row["at"]),
        value=float(row["value"]) if row["value"] else None,
        quality=row["quality"] or "good",
        live=row["lane"] != "backfill",
        point=row["point"] or "tank/level",
    )


def told(world: World, wanted: list[dict[str, str]]) -> list[str]:
    """The events of the world, with as much detail as is expected of each."""
    events = world.events()
    details = [_keys(row) for row in wanted] + [()] * len(events)
    return [
        f"{second(e.at):g} {e.kind} {e.data['rule']} " + _show(e.data, keys)
        for e, keys in zip(events, details, strict=False)
    ]


def _keys(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(pair.split("=")[0] for pair in row["detail"].split(";") if pair)


def _show(data: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return ";".join(f"{key}={_text(data.get(key))}" for key in keys)


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int) and value >= START:
        return f"{second(value):g}"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _expected(row: dict[str, str]) -> str:
    return f"{float(row['at']):g} {row['what']} {row['rule']} {row['detail']}"


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_what_must_follow_follows(folder: Path) -> None:
    rules, silence_s = rules_of(folder)
    world = World(a_plant(rules, silence_s=silence_s))
    play(world, folder)
    wanted = list(lines(folder / "expected.csv"))
    events = [row for row in wanted if row["at"]]
    assert told(world, events) == [_expected(row) for row in events]
    for row in wanted:
        if row["what"] == "outcome":
            outcome = world.asks.outcome(row["rule"])
            assert outcome is not None
            assert row["detail"] == ("accepted" if outcome.accepted else outcome.reason)
        elif row["what"] == "stands":
            now = world.now(row["rule"])
            assert f"{now.letter} {now.condition}" == row["detail"]
        elif row["what"] == "row":
            assert _show(world.alarm(), _keys(row)) == row["detail"]


def test_the_cases_are_there() -> None:
    assert len(CASES) >= 36
