"""A recording is played row by row: nothing mixed, nothing said twice, nothing invented."""

import csv
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.plant import Plant, Point
from config.profile import JsonPath, ModbusLimits, Register
from simulators.layout import ILLEGAL_FUNCTION, TARGET_SILENT
from simulators.replay import (
    BUFFER_ROWS,
    NotARecording,
    Player,
    Recording,
    ReplayModbus,
    ReplayMqtt,
    find_device,
    match,
    read_recording,
)
from tests.unit.simulators.plants import holding, plant_of, point

SKAB = Path(__file__).parents[3].parent / "shared" / "data" / "skab"
START = 1_763_700_000_000
COLUMNS = ("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage", "Volume Flow RateRMS")  # fmt: skip
NAMES = ("accelerometer_1", "accelerometer_2", "current", "pressure", "temperature", "thermocouple", "voltage", "flow")  # fmt: skip

SMALL = """datetime;Accelerometer1RMS;Current;Volume Flow RateRMS;anomaly
2020-03-01 15:44:06;0.0820647;1.27794;76.0197;0.0
2020-03-01 15:44:07;;1.12118;76.9806;0.0
2020-03-01 15:44:09;0.08;-0.5;77;1.0
"""


def registers() -> list[Point]:
    rows = [point("pump/row_number", Register("input", 0, "u32"), "pump", kind="counter")]
    for place, name in enumerate(NAMES):
        order = ("ABCD", "CDAB")[place % 2]
        rows.append(point(f"pump/{name}", Register("input", 2 + 2 * place, "f32", order), "pump"))
    return rows


def paths() -> list[Point]:
    topic, at = "pumps/{unit}/row", ("ts",)
    rows = [
        point("said/row_number", JsonPath(topic, ("row",), time_path=at), "said", kind="counter")
    ]
    rows += [point(f"said/{n}", JsonPath(topic, (n,), time_path=at), "said") for n in NAMES]
    return rows


def bench() -> Plant:
    devices = [("pump", "modbus", "bench", "pump", "5"), ("said", "mqtt", "pits", "said", "p1")]
    return plant_of(devices, [*registers(), *paths()], ModbusLimits())


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "recording.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- reading --------------------------------------------------------------------------------------


def test_a_recording_is_read_with_its_gaps_and_empty_cells(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, SMALL))
    assert recording.columns == ("Accelerometer1RMS", "Current", "Volume Flow RateRMS", "anomaly")
    assert recording.offsets_ms == (0, 1000, 3000)
    assert recording.rows[1] == (None, 1.12118, 76.9806, 0.0)
    assert recording.unreadable == 0


FORMS: list[tuple[str, str, list[int], list[float | None]]] = [
    ("commas", "time,a\n2020-01-01T00:00:00Z,1.5\n2020-01-01T00:00:01Z,2\n", [0, 1000], [1.5, 2]),
    ("tabs", "time\ta\n2020-01-01 00:00:00\t1\n2020-01-01 00:00:02\t2\n", [0, 2000], [1, 2]),
    ("decimal commas", "Date Time;a\n2020-01-01 00:00:00;1,5\n2020-01-01 00:00:01;-2,25e1\n", [0, 1000], [1.5, -22.5]),
    ("seconds", "ts;a\n1583077446;1\n1583077447.5;2\n", [0, 1500], [1, 2]),
    ("milliseconds", "ts;a\n1583077446000;1\n1583077446250;2\n", [0, 250], [1, 2]),
    ("a mark in front", "\ufefftime;a\n2020-01-01 00:00:00;1\n2020-01-01 00:00:01;2\n", [0, 1000], [1, 2]),
    ("quoted", '"time","a"\n"2020-01-01 00:00:00","1"\n"2020-01-01 00:00:01","2"\n', [0, 1000], [1, 2]),
    ("blank lines and Windows ends", "time;a\r\n\r\n2020-01-01 00:00:00;1\r\n2020-01-01 00:00:01;2\r\n\r\n", [0, 1000], [1, 2]),
    ("signs for missing", "time;a\n2020-01-01 00:00:00;NaN\n2020-01-01 00:00:01;null\n", [0, 1000], [None, None]),
    ("short rows", "time;b;a\n2020-01-01 00:00:00;1;2\n2020-01-01 00:00:01;3\n", [0, 1000], [2, None]),
    ("times that stand still or go back", "time;a\n2020-01-01 00:00:05;1\n2020-01-01 00:00:05;2\n2020-01-01 00:00:01;3\n", [0, 1, 2], [1, 2, 3]),
    ("rows that share whole seconds", "ts;a\n10;1\n10;2\n10;3\n10;4\n11;5\n11;6\n12;7\n12;8\n", [0, 250, 500, 750, 1000, 1500, 2000, 2001], [1, 2, 3, 4, 5, 6, 7, 8]),
    ("a time that goes back for a while", "ts;a\n10;1\n9;2\n12;3\n", [0, 1000, 2000], [1, 2, 3]),
    ("a time that cannot be read", "time;a\n2020-01-01 00:00:00;1\nnoon;2\n2020-01-01 00:00:05;3\n", [0, 1000, 5000], [1, 2, 3]),
    ("a first time that cannot be read", "time;a\nnoon;1\n2020-01-01 00:00:05;2\n", [0, 1000], [1, 2]),
    ("no time", "b;a\n1;1\n2;2\n", [0, 1000], [1, 2]),
    ("a time under another name", "when;a\n2020-01-01 00:00:00;1\n2020-01-01 00:00:03;2\n", [0, 3000], [1, 2]),
    ("infinite", "time;a\n2020-01-01 00:00:00;inf\n2020-01-01 00:00:01;1\n", [0, 1000], [None, 1]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "offsets", "values"), [f[1:] for f in FORMS], ids=[f[0] for f in FORMS])  # fmt: skip
def test_recordings_come_in_many_forms(
    tmp_path: Path, text: str, offsets: list[int], values: list[float | None]
) -> None:
    recording = read_recording(written(tmp_path, text))
    assert list(recording.offsets_ms) == offsets
    column = recording.columns.index("a")
    assert [row[column] for row in recording.rows] == values


def test_cells_that_are_neither_number_nor_missing_are_counted(tmp_path: Path) -> None:
    text = "time;a\n2020-01-01 00:00:00;broken\n2020-01-01 00:00:01;-\n"
    recording = read_recording(written(tmp_path, text))
    assert (recording.rows, recording.unreadable) == (((None,), (None,)), 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "at least one row"),
        (b"a;b\n", "at least one row"),
        (b"1;2\n3;4\n", "no header"),
        (b"\xff\xfe\x00", "utf-8"),
    ],
)
def test_what_is_no_recording_is_said_so(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(NotARecording, match=says):
        read_recording(written(tmp_path, content))
    with pytest.raises(NotARecording):
        read_recording(tmp_path / "none.csv")


# --- matching -------------------------------------------------------------------------------------


def test_the_columns_of_the_set_find_their_points() -> None:
    found = match([*COLUMNS, "anomaly", "changepoint"], registers()[1:])
    assert found == {f"pump/{name}": place for place, name in enumerate(NAMES)}


def test_a_column_that_two_points_could_mean_is_left_out() -> None:
    points = [point("p/flow_in", holding(0), "p"), point("p/flow_out", holding(1), "p")]
    assert match(["flow"], points[:1]) == {"p/flow_in": 0}
    assert match(["flow_in", "flow_out_of_it"], points) == {"p/flow_in": 0, "p/flow_out": 1}
    assert match(["level", "level 2"], [point("p/lev", holding(0), "p")]) == {}


def test_the_device_is_the_one_whose_points_match_most() -> None:
    recording = Recording(COLUMNS, (0,), ((0.0,) * 8,))
    assert find_device(bench(), recording, "modbus") == "pump"
    assert find_device(bench(), recording, "mqtt") == "said"
    with pytest.raises(NotARecording, match="no modbus device of test has points named like zz"):
        find_device(bench(), Recording(("zz",), (0,), ((0.0,),)), "modbus")


# --- by Modbus ------------------------------------------------------------------------------------


class Bench:
    """A recording of n rows, one a second, read as a Modbus device by hand."""

    def __init__(self, rows: int = 100) -> None:
        made = tuple(tuple(float(n + place) for place in range(8)) for n in range(rows))
        recording = Recording(COLUMNS, tuple(range(0, rows * 1000, 1000)), made)
        self.now = START
        self.device = ReplayModbus(Player(bench(), "pump", recording), lambda: self.now)

    def poll(self, after_s: float = 0.0) -> tuple[int, tuple[float, ...]]:
        """Row number and values, put together by the test."""
        self.now += round(after_s * 1000)
        words = self.device.answer(5, 4, 0, 18)
        assert isinstance(words, list)
        values = []
        for place in range(8):
            high, low = words[2 + 2 * place : 4 + 2 * place][:: (1, -1)[place % 2]]
            values.append(struct.unpack(">f", struct.pack(">HH", high, low))[0])
        return words[0] * 65536 + words[1], tuple(values)


def test_number_and_values_of_one_request_are_of_one_row() -> None:
    bench = Bench()
    for _ in range(40):
        number, values = bench.poll(0.7)
        assert values == tuple(float(number - 1 + place) for place in range(8))


def test_a_steady_reader_sees_every_row_although_its_phase_wavers() -> None:
    bench = Bench()
    wavering = [1.0, 1.3, 0.7, 0.9, 1.1, 1.6, 0.4, 1.0]
    seen = [bench.poll()[0], *(bench.poll(wavering[n % 8])[0] for n in range(90))]
    assert sorted(set(seen)) == list(range(1, max(seen) + 1))
    assert seen == sorted(seen)


def test_it_begins_with_its_first_reader_and_keeps_its_last_row() -> None:
    bench = Bench(rows=3)
    bench.now += 3_600_000
    assert isinstance(bench.device.answer(5, 4, 2, 2), list)
    bench.now += 3_600_000
    assert bench.poll()[0] == 1
    assert not bench.device.finished
    assert [bench.poll(1)[0] for _ in range(4)] == [2, 3, 3, 3]
    assert bench.device.finished


def test_a_reader_that_stays_away_finds_at_most_the_buffer() -> None:
    bench = Bench()
    assert bench.poll()[0] == 1
    assert bench.poll(50)[0] == 51 - BUFFER_ROWS
    assert bench.poll(0)[0] == 52 - BUFFER_ROWS


def test_reads_without_the_row_number_do_not_move_the_row_of_the_reader() -> None:
    bench = Bench()
    bench.poll()
    bench.now += 2000
    for _ in range(5):
        assert isinstance(bench.device.answer(5, 4, 2, 2), list)
    assert bench.poll()[0] == 2


def test_without_a_row_number_every_read_moves_the_row() -> None:
    points = [point("p/flow", holding(0, "f32"), "p")]
    plant = plant_of([("p", "modbus", "p", "p", "1")], points, ModbusLimits())
    now = START
    recording = Recording(("flow",), (0, 1000), ((1.0,), (2.0,)))
    device = ReplayModbus(
        Player(plant, find_device(plant, recording, "modbus"), recording), lambda: now
    )
    assert device.answer(1, 3, 0, 2) == [0x3F80, 0]
    now += 1000
    assert device.answer(1, 3, 0, 2) == [0x4000, 0]


def test_missing_cells_are_no_data_in_the_register(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, SMALL))
    now = START
    device = ReplayModbus(Player(bench(), "pump", recording), lambda: now)
    device.answer(5, 4, 0, 18)
    now += 1000
    words = device.answer(5, 4, 0, 18)
    assert isinstance(words, list)
    assert words[:4] == [0, 2, 0x7FC0, 0]
    assert words[4:6] == [0, 0x7FC0], "a point without a column"
    assert words[6:8] == list(struct.unpack(">HH", struct.pack(">f", 1.12118)))


def test_the_recording_refuses_what_it_does_not_have() -> None:
    device = Bench().device
    assert device.answer(5, 6, 0, 1) == ILLEGAL_FUNCTION
    assert device.answer(6, 4, 0, 1) == TARGET_SILENT
    assert device.answer(5, 4, 17, 2) == 2
    assert (device.up, device.delay_s(5)) == (True, 0.0)


# --- by MQTT --------------------------------------------------------------------------------------


def said(recording: Recording, *, step_ms: int = 700) -> Iterator[tuple[str, dict[str, object]]]:
    replay = ReplayMqtt(Player(bench(), "said", recording))
    now = START
    while not replay.finished:
        for topic, payload in replay.publications(now):
            yield topic, json.loads(payload)
        now += step_ms
    assert replay.publications(now) == []


def test_every_row_is_said_once_with_its_shifted_time_and_exact_doubles(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, SMALL))
    rows = list(said(recording))
    assert [topic for topic, _ in rows] == ["pumps/p1/row"] * 3
    assert [row["row"] for _, row in rows] == [1, 2, 3]
    assert [row["ts"] for _, row in rows] == [START, START + 1000, START + 3000]
    assert [row["accelerometer_1"] for _, row in rows] == [0.0820647, None, 0.08]
    assert [row["flow"] for _, row in rows] == [76.0197, 76.9806, 77]
    assert {row["pressure"] for _, row in rows} == {None}, "a point without a column"


def test_speed_shortens_the_time_between_rows(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, SMALL))
    replay = ReplayMqtt(Player(bench(), "said", recording, speed=20))
    replay.publications(START)
    assert len(replay.publications(START + 150)) == 2


def test_no_two_rows_share_an_instant_at_any_speed(tmp_path: Path) -> None:
    recording = read_recording(written(tmp_path, SMALL))
    player = Player(bench(), "said", recording, speed=1e6)
    player.begin(START)
    assert [player.at_ms(place) for place in range(3)] == [START, START + 1, START + 2]
    assert player.lasts_s == 0.002


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.skipif(not SKAB.exists(), reason="the SKAB recordings are not beside this checkout")
def test_each_skab_file_is_said_to_the_last_bit() -> None:
    files = sorted(SKAB.glob("*/*.csv"))
    assert files
    for path in files:
        recording = read_recording(path)
        assert recording.unreadable == 0
        with path.open(encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines, delimiter=";"))
        told = [row for _, row in said(recording, step_ms=60_000)]
        assert len(told) == len(rows)
        for number, (row, source) in enumerate(zip(told, rows, strict=True), start=1):
            assert row["row"] == number
            for name, column in zip(NAMES, COLUMNS, strict=True):
                assert row[name] == float(source[column]), (path, number, name)
        stamps = [int(str(row["ts"])) for row in told]
        assert stamps == sorted(set(stamps))
