"""Readings as files for other programs: from the files of the store and from a server that runs."""

import csv
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest
from msgspec import structs

from api import history
from api.problems import Problem
from collector.adapters.export_file import ExportFile
from collector.adapters.memory_store import MemoryStore
from collector.adapters.store_duckdb import DuckDbStore
from collector.ports import Raw, ReadingStore, SeriesKey, StoreBatch, Unavailable
from commands import export, export_sources, main, whole_file
from commands.asking import Refused, ServerAway
from commands.export import missing, offsets_min, write
from commands.export_sources import FromServer, FromStore, Source
from config.load import load_plant
from config.settings import Settings
from edge.readings import QUALITIES

RIVERSIDE = Path(__file__).parents[3] / "config" / "plants" / "riverside"
HOUR = 3_600_000
T0 = 1_773_532_800_000  # 2026-03-15T00:00:00Z
BERLIN = ZoneInfo("Europe/Berlin")
PLANT = load_plant(RIVERSIDE)
ONE, OTHER = list(PLANT.points.values())[:2]


def batch(point: str, times: list[int], values: list[float], quality: int = 0) -> StoreBatch:
    none = np.zeros(len(times), np.int64)
    key = SeriesKey(PLANT.site, point, "", "measurement")
    codes = np.full(len(times), quality, np.uint8)
    return StoreBatch([key], none, np.array(times), np.array(values), codes)


def answering(store: ReadingStore, cuts: Sequence[int] = ()) -> Callable[[Settings, str], Any]:
    """A server's answers out of a store; each time it said what is kept, retention cuts at the next of `cuts`."""
    left = list(cuts)

    def ask(_: Settings, path: str) -> Any:
        if path == f"sites/{PLANT.site}/history/kept":
            kept = store.kept_from()
            if left:
                cut = left.pop(0)
                store.delete_before(cut)
                store.delete_before(
                    cut, "minute"
                )  # an hour before holds more than is given at once
            return {"kept_from": kept}
        where = urlsplit(path)
        assert where.path == f"sites/{PLANT.site}/history"
        told = {name: words[0] for name, words in parse_qs(where.query).items()}
        span = (int(told["start"]), int(told["end"]))
        try:
            found, width = history.read(store, PLANT.site, told["point"], span, told["resolution"])
        except Problem as problem:
            raise Refused(str(problem), problem.kind) from problem
        answer = history.shown(found, told["point"], "", complete_until=0, resolution=width)
        return json.loads(json.dumps(answer).replace("NaN", "null"))

    return ask


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with five readings and no server."""
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path))
    store = DuckDbStore(tmp_path / "store")
    store.write([batch(ONE.id, [T0 + 5, T0, T0 + HOUR], [0.1, -0.0, 1e-7])], 1)
    store.write([batch(ONE.id, [T0 + 7], [math.nan], QUALITIES["no_answer"])], 1)
    store.write([batch(OTHER.id, [T0 + 1], [16777217.0])], 1)
    store.close()
    return tmp_path


def asked(data: Path, *words: str) -> list[str]:
    told = [str(RIVERSIDE), ONE.id, OTHER.id, "--from", "2026-03-15T00:00:00Z"]
    return ["export", *told, "--to", "2026-03-15T01:00:00Z", *words]


def test_a_csv_file_has_names_both_times_values_and_qualities(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = data / "readings.csv"
    assert main.main(asked(data, "--out", str(out), "--json")) == main.DONE
    said = json.loads(capsys.readouterr().out)
    assert (said["readings"], said["points"]) == (4, 2)
    assert out.read_bytes().startswith(b"\xef\xbb\xbfpoint,")  # Excel knows UTF-8 by it
    with out.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["time_utc"] for row in rows] == [
        f"2026-03-15T00:00:00.{ms:03d}Z" for ms in (0, 5, 7, 1)
    ]
    assert rows[0]["time_local"] == "2026-03-15T08:00:00.000+08:00"
    assert [row["value"] for row in rows] == ["-0.0", "0.1", "", "16777217.0"]
    assert [row["quality"] for row in rows] == ["good", "good", "no_answer", "good"]
    assert [row["point"] for row in rows] == [ONE.id] * 3 + [OTHER.id]
    assert (rows[0]["name"], rows[0]["unit"]) == (ONE.name["en"], ONE.unit)


def test_a_parquet_file_holds_every_bit(data: Path) -> None:
    out = data / "readings.parquet"
    assert main.main(asked(data, "--out", str(out))) == main.DONE
    columns = duckdb.read_parquet(str(out)).fetchnumpy()
    values = np.ma.filled(columns["value"], np.nan)
    assert values[[0, 1, 3]].tobytes() == np.array([-0.0, 0.1, 16777217.0]).tobytes()
    assert math.isnan(values[2])
    utc, local = columns["time_utc"], columns["time_local"]
    assert utc.astype("datetime64[ms]").astype(int).tolist() == [T0, T0 + 5, T0 + 7, T0 + 1]
    assert set((local - utc).astype("timedelta64[m]").astype(int).tolist()) == {480}
    assert columns["utc_offset_min"].tolist() == [480] * 4


def test_a_file_that_is_there_is_replaced_when_told_only(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = data / "readings.csv"
    out.write_text("mine")
    assert main.main(asked(data, "--out", str(out))) == main.WRONG_USE
    assert out.read_text() == "mine"
    assert "--force replaces it" in capsys.readouterr().err
    assert main.main(asked(data, "--out", str(out), "--force")) == main.DONE
    assert out.read_text(encoding="utf-8-sig").startswith("point,name,unit,")
    assert {path.name for path in data.iterdir()} == {"store", "readings.csv"}


WRONG = {
    "no kind of file": (["x.xlsx", ONE.id, "2026-03-15"], "ends in neither of .parquet, .csv"),
    "no folder": (["nowhere/x.csv", ONE.id, "2026-03-15"], "is no folder"),
    "no point": (["x.csv", "nobody/*", "2026-03-15"], "has no point 'nobody/*'"),
    "no time": (["x.csv", ONE.id, "yesterday"], "'yesterday' is neither a day"),
    "a day without dashes": (["x.csv", ONE.id, "20260301"], "'20260301' is neither a day"),
    "a week": (["x.csv", ONE.id, "2026-W10-1"], "'2026-W10-1' is neither a day"),
    "no offset": (["x.csv", ONE.id, "2026-03-15T00:00"], "is neither a day"),
    "the future": (["x.csv", ONE.id, "2098-03-15"], "--from must lie before --to"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_exported_is_wrong_use(
    data: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (out, point, start), why = WRONG[name]
    words = ["export", str(RIVERSIDE), point, "--from", start, "--out", str(data / out)]
    assert main.main(words) == main.WRONG_USE
    assert why in capsys.readouterr().err


def test_a_store_that_another_process_owns_is_unavailable(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def owned(_: Settings) -> None:
        raise Unavailable("open in another process")

    monkeypatch.setattr(export, "open_store", owned)
    assert main.main(asked(data, "--out", str(data / "x.csv"))) == main.UNAVAILABLE


def test_what_fails_amid_leaves_no_file_and_the_old_one_alone(tmp_path: Path) -> None:
    out = tmp_path / "readings.csv"
    out.write_text("old")
    store = MemoryStore(unavailable="away")
    with pytest.raises(Unavailable, match="away"):
        write(FromStore(store, PLANT.site, "files"), out, [ONE], (T0, T0 + HOUR), BERLIN, "en")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(out.name, "old")]


def test_of_a_running_server_the_same_readings_come_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rng = MemoryStore(), np.random.default_rng(3)
    gaps = rng.integers(1, 5000, 9000)
    gaps[[10, 5000]] = 20 * 24 * HOUR
    times = T0 + np.cumsum(gaps)
    values = np.where(rng.random(9000) < 0.1, np.nan, rng.normal(size=9000))
    store.write([batch(ONE.id, times.tolist(), values.tolist(), 5)], 1)
    cut = int(times[3000]) + 1
    store.delete_before(cut)

    monkeypatch.setattr(export_sources, "ask", answering(store))
    outs = [tmp_path / name for name in ("server.parquet", "store.parquet")]
    server = FromServer(Settings(), PLANT.site)
    sources: list[Source] = [server, FromStore(store, PLANT.site, "files")]
    span = (T0, int(times[-1]) + 1)
    for source, out in zip(sources, outs, strict=True):
        assert write(source, out, [ONE], span, BERLIN, "en") == 9000 - 3001
    one, other = (duckdb.read_parquet(str(out)).fetchall() for out in outs)
    assert [str(row) for row in one] == [str(row) for row in other]


@pytest.mark.parametrize("step", [1000, 60_000, 900_000])
def test_what_retention_leaves_meanwhile_comes_whole(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    times = range(T0, T0 + 5000 * step, step)
    store.write([batch(ONE.id, list(times), [1.0] * len(times))], 1)
    store.delete_before(T0 + HOUR // 2)
    monkeypatch.setattr(export_sources, "ask", answering(store, [T0 + HOUR]))
    server = FromServer(Settings(), PLANT.site)
    found = [piece.time for piece in server.pieces(ONE.id, T0, times[-1] + 1)]
    assert np.concatenate(found).tolist() == [time for time in times if time >= T0 + HOUR]
    assert server.kept_from() == T0 + HOUR


@pytest.mark.parametrize(
    ("start", "kept", "now", "said"),
    [
        (5, 0, 0, []),
        (5, 5, 5, []),
        (4, 5, 5, ["kept from 1970-01-01T00:00:00.005Z on"]),
        (5, 5, 7, ["meanwhile and took readings from 1970-01-01T00:00:00.005Z to 1970-01-01T00:00:00.007Z"]),
        (6, 5, 7, ["from 1970-01-01T00:00:00.006Z to 1970-01-01T00:00:00.007Z"]),
        (4, 5, 99, ["kept from", "from 1970-01-01T00:00:00.005Z to 1970-01-01T00:00:00.009Z"]),
        (7, 5, 7, []),
        (5, 99, 99, ["kept from 1970-01-01T00:00:00.099Z on"]),
    ],
)  # fmt: skip
def test_what_retention_took_of_the_asked_span_is_said(
    start: int, kept: int, now: int, said: list[str]
) -> None:
    found = missing((start, 9), kept, now)
    assert len(found) == len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))


@pytest.mark.parametrize("running", [True, False], ids=["server", "files"])
def test_a_span_that_begins_before_what_is_kept_is_said(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    running: bool,
) -> None:
    store = DuckDbStore(data / "store")
    store.delete_before(T0 + 6)
    if running:
        answers = answering(store)
        monkeypatch.setattr(export, "ask", lambda *_: {})
        monkeypatch.setattr(export_sources, "ask", answers)
    else:
        store.close()
    assert main.main(asked(data, "--out", str(data / "x.csv"), "--json")) == main.DONE
    told = capsys.readouterr()
    assert "readings are kept from 2026-03-15T00:00:00.006Z on" in told.err
    said = json.loads(told.out)
    assert (said["readings"], said["kept_from"]) == (1, "2026-03-15T00:00:00.006Z")
    assert said["source"].startswith("the running server" if running else "the files")
    store.close()


def test_a_server_that_never_gives_readings_ends_the_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask(_: Settings, path: str) -> Any:
        if path.endswith("/history/kept"):
            return {"kept_from": 0}
        raise Refused("too many", "too-many-readings")

    monkeypatch.setattr(export_sources, "ask", ask)
    with pytest.raises(Unavailable, match="too many readings at 2026-03-15T00:00:00"):
        list(FromServer(Settings(), PLANT.site).pieces(ONE.id, T0, T0 + HOUR))


def test_a_server_that_is_only_busy_is_not_to_be_stopped(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def busy(_: Settings, path: str) -> Any:
        raise ServerAway("answers 503: the store is busy")

    def owned(_: Settings) -> None:
        raise Unavailable("open in another process: stop that one")

    monkeypatch.setattr(export, "ask", busy)
    monkeypatch.setattr(export, "open_store", owned)
    assert main.main(asked(data, "--out", str(data / "x.csv"))) == main.UNAVAILABLE
    said = capsys.readouterr().err
    assert "answers 503: the store is busy" in said
    assert "stop that one" not in said


def test_local_time_is_that_of_the_zone_at_the_instant() -> None:
    begin, end = 1_774_746_000_000, 1_792_890_000_000  # 2026-03-29 and 2026-10-25, 01:00 UTC
    times = np.array([begin - 1, begin, end - 1, end])
    assert offsets_min(times, BERLIN).tolist() == [60, 120, 120, 60]
    assert offsets_min(times[:0], BERLIN).tolist() == []
    assert offsets_min(times, ZoneInfo("Asia/Kathmandu")).tolist() == [345] * 4


def test_of_a_csv_no_text_is_taken_for_a_formula_and_a_parquet_file_keeps_it(
    tmp_path: Path,
) -> None:
    spec = dataclasses.replace(ONE.spec, name={"en": "=1+1"}, unit="-bar")
    store, point = MemoryStore(), structs.replace(ONE, spec=spec)
    store.write([batch(ONE.id, [T0], [-1.5], quality=99)], 1)
    source, zone = FromStore(store, PLANT.site, "files"), ZoneInfo("America/St_Johns")
    for out in (tmp_path / "x.csv", tmp_path / "x.parquet"):
        assert write(source, out, [point], (T0, T0 + 1), zone, "en") == 1
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as stream:
        (found,) = csv.DictReader(stream)
    assert (found["name"], found["unit"], found["value"]) == ("'=1+1", "'-bar", "-1.5")
    assert (found["quality"], found["time_local"][-6:]) == ("99", "-02:30")
    kept = duckdb.read_parquet(str(tmp_path / "x.parquet")).select("name, unit").fetchall()
    assert kept == [("=1+1", "-bar")]


FORMULAS = ["＝1+1", "＋1", "－1", "＠a", "\n=1+1", " =1+1", "\tx", "-", "\u3000=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_blanks_and_wide_signs_hide_no_formula(text: str) -> None:
    assert whole_file.harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["水泵 压力", "m³/h", " a=1", "", "°C"])
def test_a_text_that_is_no_formula_stays(text: str) -> None:
    assert whole_file.harmless(text) == text


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    out = tmp_path / "x.csv"

    def both() -> None:
        with whole_file.whole(out, force=False) as part:
            part.write_text("mine")
            out.write_text("theirs")

    with pytest.raises(FileExistsError, match="has come meanwhile"):
        both()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.csv", "theirs")]


def test_two_exports_to_one_file_do_not_share_what_is_not_whole(tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    with whole_file.whole(out, force=True) as one, whole_file.whole(out, force=True) as other:
        one.write_text("one")
        other.write_text("other")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(out.name, "one")]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), duckdb.IOException("No space")])
def test_a_disk_that_takes_no_more_is_said_with_the_file(
    data: Path,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(ExportFile, "add", full)
    assert main.main(asked(data, "--out", str(data / "x.csv"))) == main.UNAVAILABLE
    said = capsys.readouterr().err
    assert "x.csv cannot be written: check room and rights" in said
    assert "No space" in said
    assert {path.name for path in data.iterdir()} == {"store"}


class Counted(MemoryStore):
    """Counts how often it is asked for readings."""

    asked = 0

    def raw(self, site: str, point: str, start: int, end: int) -> Raw:
        self.asked += 1
        return super().raw(site, point, start, end)


def test_years_before_the_first_reading_are_not_asked_for() -> None:
    store = Counted()
    times = [T0, T0 + 30 * 24 * HOUR]
    store.write([batch(ONE.id, times, [1.0, 2.0])], 1)
    source = FromStore(store, PLANT.site, "files")
    found = np.concatenate([raw.time for raw in source.pieces(ONE.id, 0, T0 + 4000 * 24 * HOUR)])
    assert found.tolist() == times
    assert store.asked < 20  # 2 453 spans of ten days since 1970
    assert list(source.pieces(OTHER.id, 0, T0)) == []
