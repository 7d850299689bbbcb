"""Recordings played as devices through the real edge, broker, journal and store, cell by cell."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector.ports import Raw
from commands.edge import check_budget
from commands.main import main
from commands.proving.recorded_plant import (
    AGENTS,
    By,
    Part,
    fitting_profile,
    part_of,
    player_of,
    write_plant,
)
from commands.proving.rows import Comparison, compare, resolution
from commands.replaying import Outcome
from config.load import load_plant
from config.profile import Register
from simulators.replay import Player, Recording, read_recording
from tests.parts import leave_out

SKAB = Path(__file__).parents[2].parent / "shared" / "data" / "skab"
COLUMNS = ("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage", "Volume Flow RateRMS")  # fmt: skip
START = 1_763_700_000_000


@pytest.fixture
def _signals() -> Iterator[None]:
    """Commands take the signals of their process: give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def recording_text(rows: int, columns: tuple[str, ...] = COLUMNS, *, empty: int = 7) -> str:
    """A recording of the test's own: every `empty`-th row has one empty cell, one row has none at all."""
    rng = np.random.default_rng(5)
    lines = ["datetime;" + ";".join(columns)]
    for row in range(rows):
        cells = [repr(float(value)) for value in rng.normal(10, 5, len(columns))]
        if row % empty == 3:
            cells[row % len(columns)] = ("", "NaN", "-")[row % 3]
        if row == rows // 2:
            cells = [""] * len(columns)
        lines.append(f"2020-03-09 10:{row // 60:02d}:{row % 60:02d};" + ";".join(cells))
    return "\n".join(lines) + "\n"


def test_a_line_can_be_read_at_the_highest_speed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(recording_text(9), encoding="utf-8")
    recording = read_recording(tmp_path / "a.csv")
    write_plant(tmp_path / "plant", [part_of("one", "modbus", Path("a.csv"), recording, 1e9)])
    check_budget(load_plant(tmp_path / "plant"), AGENTS["modbus"])


# --- the real pipe --------------------------------------------------------------------------------


def replayed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["simulate", "replay", *words, "--json"])
    said = capsys.readouterr()
    assert said.out, said.err
    return code, json.loads(said.out)


def test_what_the_server_made_itself_is_told_apart() -> None:
    readings = {"made": 7, "journalled": 9, "stored": 9, "lost": 0, "doubled": 0, "held_batches": 0, "derived": 2}  # fmt: skip
    (line,) = Outcome((), (), {"readings": readings}).told()
    assert line == (
        "readings: made 7, journalled 9, stored 9, lost 0, doubled 0; 2 of those journalled are the server's own"
    )


@pytest.mark.system
@pytest.mark.usefixtures("_signals")
def test_own_recordings_with_empty_cells_come_through_both_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known, other = tmp_path / "known.csv", tmp_path / "other.csv"
    known.write_text(recording_text(60), encoding="utf-8")
    other.write_text(recording_text(40, ("T1 °C", 'Druck "x"', "状态", "")), encoding="utf-8")
    # At this speed one row in twenty of the longer one, which may be missing by Modbus, is 0.4 s of a busy machine.
    code, outcome = replayed(capsys, str(known), str(other), "--speed", "8")
    assert (code, outcome["verdict"]) == (0, "yes"), json.dumps(outcome, indent=1)
    played = {(Path(row["file"]).name, row["by"]): row for row in outcome["played"]}
    assert len(played) == 4
    for (name, by), row in played.items():
        assert row["verdict"] == "yes"
        assert row["missing"] >= 8, "empty cells of one row at least"
        assert row["share"] >= (1.0 if by == "mqtt" else 0.95)
        assert row["profile"] == ("made from its columns" if name == "other.csv" else {"modbus": "skab-pump", "mqtt": "skab-pump-mqtt"}[by])  # fmt: skip
    assert played["known.csv", "mqtt"]["repeats"] == 0
    assert outcome["readings"]["doubled"] == 0


@pytest.mark.system
@pytest.mark.usefixtures("_signals")
def test_a_skab_recording_and_a_copy_with_emptied_cells_come_through_both_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = SKAB / "other" / "1.csv"  # the shortest: at this speed 19 s
    if not path.exists():
        leave_out("the SKAB recordings", "they are not beside this checkout", fails_in_ci=False)
    emptied = tmp_path / "emptied.csv"
    count = with_emptied_cells(path, emptied)
    code, outcome = replayed(capsys, str(path), str(emptied), "--speed", "40")
    assert code == 0, outcome
    played = {(Path(row["file"]).name, row["by"]): row for row in outcome["played"]}
    assert len(played) == 4
    assert all(row["stored_rows"] >= 0.95 * 745 for row in played.values())
    assert [played["1.csv", by]["missing"] for by in ("modbus", "mqtt")] == [0, 0]
    assert played["emptied.csv", "mqtt"]["missing"] == count > 100
    assert played["emptied.csv", "modbus"]["missing"] >= 0.9 * count


def with_emptied_cells(path: Path, copy: Path) -> int:
    """Every 50th cell of a recording emptied, its labels left; how many that were."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    count = 0
    for number, line in enumerate(lines):
        cells = line.split(";")
        for place in range(1, 1 + len(COLUMNS)):
            if (number * len(COLUMNS) + place) % 50 == 0:
                cells[place], count = "", count + 1
        lines[number] = ";".join(cells)
    copy.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return count


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["none.csv"], 2, "none.csv"),
        (["{own}", "--speed", "0"], 2, "--speed 0 is not above 0"),
        (["{own}", "--speed", "nan"], 2, "--speed nan is not above 0"),
    ],
)
def test_wrong_use_is_said(
    words: list[str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.csv"
    own.write_text(recording_text(3), encoding="utf-8")
    assert main(["simulate", "replay", *(w.format(own=own) for w in words)]) == code
    assert says in capsys.readouterr().err


# --- the plant made for it ------------------------------------------------------------------------


def recording(columns: tuple[str, ...] = COLUMNS, rows: int = 5, step_ms: int = 1000) -> Recording:
    made = tuple(tuple(float(10 * n + place) for place in range(len(columns))) for n in range(rows))
    return Recording(columns, tuple(range(0, rows * step_ms, step_ms)), made)


def part(by: By, made: Recording | None = None, speed: float = 20.0) -> Part:
    return part_of(f"{by}-1", by, Path("own.csv"), made or recording(), speed)


def player(folder: Path, by: By, made: Recording | None = None) -> Player:
    played = part(by, made)
    write_plant(folder / "plant", [played])
    return player_of(played, load_plant(folder / "plant"))


def test_columns_choose_their_profile() -> None:
    assert fitting_profile("modbus", [*COLUMNS, "anomaly"]) == "skab-pump"
    assert fitting_profile("mqtt", COLUMNS) == "skab-pump-mqtt"
    assert fitting_profile("modbus", COLUMNS[:3]) == "", "a profile is taken only as a whole"
    assert part("modbus", recording((*COLUMNS, "anomaly"))).left_out == ("anomaly",)


def test_of_too_many_columns_those_of_one_request_are_played(tmp_path: Path) -> None:
    wide = recording(tuple(f"c{n}" for n in range(70)))
    assert part("modbus", wide).left_out == tuple(f"c{n}" for n in range(61, 70))
    assert part("mqtt", wide).left_out == ()
    assert len(player(tmp_path, "modbus", wide).columns) == 61


def test_a_recording_too_fast_to_be_read_is_played_slower() -> None:
    quick = recording(step_ms=20)
    assert part("modbus", quick, speed=20).speed == 2
    assert part("mqtt", quick, speed=20).speed == 20


@pytest.mark.parametrize("by", ["modbus", "mqtt"])
@pytest.mark.parametrize("columns", [COLUMNS, ("a\tb", 'é "', "", "\x7f😀")])
def test_the_plant_says_every_row_and_each_in_one_request(
    by: By, columns: tuple[str, ...], tmp_path: Path
) -> None:
    played = player(tmp_path, by, recording(columns))
    assert len(played.columns) == len(columns)
    assert all(p.longest_silence_s < 2 + 2.5 * p.period_s for p in played.points), "all are sent"
    assert not any(point.spec.deadband for point in played.points)
    assert all(point.period_s == pytest.approx(0.025) for point in played.points)
    if by == "modbus":
        assert len(played.limits.together) == 1


# --- the comparison -------------------------------------------------------------------------------

Rows = dict[str, dict[int, tuple[float, int]]]


def kept(played: Player, by: By) -> Rows:
    """What a store holds that has every row as it is, by point; rows a second apart."""
    played.begin(START)
    register = {point.id: point.source for point in played.points}
    found: Rows = {point.id: {} for point in played.points}
    for place in range(len(played)):
        for id, value in played.values(place).items():
            if value is None:
                found[id][played.at_ms(place)] = (np.nan, 69)
            else:
                number = float(value)
                if isinstance(register[id], Register) and "row" not in id:
                    number = float(np.float32(number))
                found[id][played.at_ms(place)] = (number, 0)
    return found


def compared(played: Player, by: By, rows: Rows) -> Comparison:
    def raw_of(point: str) -> Raw:
        stored = sorted(rows[point].items())
        times = np.array([time for time, _ in stored], np.int64)
        values = np.array([value for _, (value, _) in stored], np.float64)
        return Raw(times, values, np.array([quality for _, (_, quality) in stored], np.uint8))

    return compare(played, by, raw_of)


def made(columns: int = 8) -> Recording:
    rows = [tuple(0.1 * (n + 1) * (place + 1) for place in range(columns)) for n in range(40)]
    cells: list[tuple[float | None, ...]] = list(rows)
    cells[4] = (None, *rows[4][1:])
    return replace(recording(rows=40), rows=tuple(cells))


@pytest.mark.parametrize("by", ["modbus", "mqtt"])
def test_a_store_that_has_every_row_passes(by: By, tmp_path: Path) -> None:
    played = player(tmp_path, by, made())
    found = compared(played, by, kept(played, by))
    assert (found.ok, found.stored_rows, found.missing, found.wrong) == (True, 40, 1, [])


def at(rows: Rows, point: str, place: int) -> int:
    return sorted(rows[point])[place]


def _another_value(rows: Rows, point: str, _: str) -> None:
    rows[point][at(rows, point, 7)] = (float(np.nextafter(rows[point][at(rows, point, 7)][0], 99)) + 1e-6, 0)  # fmt: skip


def _a_value_gone(rows: Rows, point: str, _: str) -> None:
    del rows[point][at(rows, point, 7)]


def _a_value_made_missing(rows: Rows, point: str, _: str) -> None:
    rows[point][at(rows, point, 7)] = (np.nan, 65)


def _an_empty_cell_filled(rows: Rows, point: str, _: str) -> None:
    rows[point][at(rows, point, 4)] = (0.0, 0)


def _an_empty_cell_without_a_reason(rows: Rows, point: str, _: str) -> None:
    rows[point][at(rows, point, 4)] = (np.nan, 0)


def _a_value_of_no_row(rows: Rows, point: str, _: str) -> None:
    rows[point][START - 500] = (1.0, 0)


def _a_number_that_is_none(rows: Rows, _: str, number: str) -> None:
    rows[number][at(rows, number, 7)] = (4711.0, 0)


def _half_a_number(rows: Rows, _: str, number: str) -> None:
    rows[number][at(rows, number, 7)] = (7.5, 0)


def _the_number_of_another_row(rows: Rows, _: str, number: str) -> None:
    rows[number][at(rows, number, 7)] = (9.0, 0)


def _three_rows_gone(rows: Rows, *_: str) -> None:
    for stored in rows.values():
        for time in sorted(stored)[10:13]:
            del stored[time]


SPOILT: list[Callable[[Rows, str, str], None]] = [
    _another_value, _a_value_gone, _a_value_made_missing, _an_empty_cell_filled,
    _an_empty_cell_without_a_reason, _a_value_of_no_row, _a_number_that_is_none, _half_a_number,
    _the_number_of_another_row, _three_rows_gone,
]  # fmt: skip


@pytest.mark.parametrize("by", ["modbus", "mqtt"])
@pytest.mark.parametrize("spoil", SPOILT)
def test_every_kind_of_loss_and_change_is_found(
    by: By, spoil: Callable[[Rows, str, str], None], tmp_path: Path
) -> None:
    played = player(tmp_path, by, made())
    rows = kept(played, by)
    first = next(point for point, column in played.columns.items() if column == 0)
    spoil(rows, first, f"{by}-1/row_number")
    assert not compared(played, by, rows).ok


def _again(rows: Rows) -> None:
    for stored in rows.values():
        stored[at({"": stored}, "", 39) + 1000] = stored[at({"": stored}, "", 39)]


def test_a_row_stored_twice_is_a_double_by_mqtt_only(tmp_path: Path) -> None:
    ways: list[tuple[By, bool]] = [("modbus", True), ("mqtt", False)]
    for by, ok in ways:
        played = player(tmp_path / by, by, made())
        rows = kept(played, by)
        _again(rows)
        assert compared(played, by, rows).ok is ok


def test_one_row_in_twenty_may_be_missing_by_modbus(tmp_path: Path) -> None:
    played = player(tmp_path, "modbus", made())
    rows = kept(played, "modbus")
    for stored in rows.values():
        for time in sorted(stored)[10:12]:
            del stored[time]
    assert compared(played, "modbus", rows).ok


def test_the_resolution_is_half_of_the_last_place() -> None:
    assert resolution(Register("input", 0, "u16", scale=0.1), 5.0) == 0.05
    assert resolution(Register("input", 0, "f64"), 5.0) == 0.0
    assert resolution(Register("input", 0, "f32"), 1.0) == np.spacing(np.float32(1.0)) / 2


def test_the_small_recording_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(recording_text(20), encoding="utf-8")
    read = read_recording(path)
    assert len(read.rows) == 20
    assert sum(cell is None for row in read.rows for cell in row) == 10
