from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import skab
from benchmarks.running import Failed
from benchmarks.skab_reference import f_quantile, q_limit, t2, t2_limit, t2_q, t2_q_published
from benchmarks.skab_scoring import Judged, nab, outliers
from commands.bench import _wanted
from edge.readings import Floats


def judged(said: list[tuple[int, int]], changes: tuple[int, ...] = (100,), rows: int = 300) -> Judged:  # fmt: skip
    """A row a second; said from each first row to before each second one; anomalous from the first change on."""
    time = np.arange(rows)
    flags = np.zeros(rows, dtype=np.bool_)
    for begin, end in said:
        flags[begin:end] = True
    return Judged("a/1", time, time >= changes[0], np.isin(time, changes), flags)


def test_rows_are_counted_as_they_are_without_tolerance() -> None:
    flags = [np.array(row, dtype=np.bool_) for row in ([0, 0, 1, 1, 1, 0], [0, 1, 1, 1, 0, 0])]
    one = Judged("a", np.arange(6), flags[0], np.zeros(6, dtype=np.bool_), flags[1])
    found = outliers([one, one])
    assert (found.tp, found.fp, found.fn, found.tn) == (4, 2, 2, 4)
    assert found.f1 == pytest.approx(2 / 3)
    assert (found.far, found.mar) == pytest.approx((100 / 3, 100 / 3))


def test_an_alarm_is_false_when_no_row_of_it_is_anomalous() -> None:
    found = outliers([judged([(0, 5), (20, 30), (90, 110), (200, 210)])])
    assert found.alarms == 2
    assert found.alarms_per_hour == pytest.approx(2 * 3600 / 100)


@pytest.mark.parametrize(
    ("begin", "credit"), [(100, 1.0), (130, 0.445), (160, -0.11)], ids=["left", "middle", "right"]
)
def test_a_detection_earns_less_the_later_it_comes_in_its_window(begin: int, credit: float) -> None:
    assert nab([judged([(begin, 300)])], "standard") == pytest.approx(50 * (credit + 1), abs=0.06)


@pytest.mark.parametrize(
    ("profile", "score"), [("standard", -5.5), ("low FP", -11.0), ("low FN", -11 / 3)]
)
def test_a_detection_outside_all_windows_costs_and_a_missed_window_too(
    profile: str, score: float
) -> None:
    assert nab([judged([(200, 300)])], profile) == pytest.approx(score)
    assert nab([judged([])], profile) == 0


def test_only_the_first_detection_in_a_window_counts_and_the_end_of_an_alarm_is_one() -> None:
    assert nab([judged([(100, 101), (140, 150)])], "standard") == pytest.approx(100)
    assert nab([judged([(100, 200)])], "standard") == pytest.approx(100 - 5.5)
    assert nab([judged([(50, 100)])], "standard") == pytest.approx(100 - 5.5)


def test_an_alarm_on_the_first_row_is_a_detection() -> None:
    assert nab([judged([(0, 300)])], "standard") == pytest.approx(-5.5)


def test_of_two_windows_that_overlap_the_later_begins_where_the_earlier_ends() -> None:
    both = judged([(160, 300)], changes=(100, 110))
    assert nab([both], "standard") == pytest.approx(100 * (-0.11 + 1 + 2) / 4)
    assert nab([judged([(171, 300)], changes=(100, 110))], "standard") == pytest.approx(-2.75)


@pytest.mark.parametrize(
    ("m", "n", "value"), [(1, 10, 21.04), (2, 20, 9.95), (4, 20, 7.10), (10, 10, 8.75)]
)
def test_the_f_quantile_is_that_of_the_published_table(m: int, n: int, value: float) -> None:
    assert f_quantile(0.999, m, n) == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize(("count", "chi_square"), [(2, 13.82), (5, 20.52), (10, 29.59)])
def test_q_of_equal_variances_has_nearly_the_limit_of_chi_square(
    count: int, chi_square: float
) -> None:
    assert q_limit((count, count, count)) == pytest.approx(chi_square, rel=0.03)
    assert t2_limit(count, 100_000) == pytest.approx(chi_square, rel=0.01)


def test_the_references_see_what_stands_in_three_of_five_rows() -> None:
    rng = np.random.default_rng(1)
    train: Floats = rng.normal(size=(400, 3)) @ np.diag([1.0, 5.0, 0.1])
    train[:, 2] += train[:, 0]
    test: Floats = np.zeros((40, 3))
    test[10:12, 2] = 3.0
    test[20:23, 2] = 3.0
    still = np.full((400, 1), 2.0)
    for method in (t2, t2_q, t2_q_published):
        with_still = method(np.hstack([train, still]), np.hstack([test, still[:40]]))
        assert np.array_equal(with_still, method(train, test))
        assert np.flatnonzero(method(train, test)).tolist() == [22, 23, 24]


HEADER = "datetime;a;b;anomaly;changepoint\n"


def write(path: Path, rows: int, fault: range) -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(rows, 2))
    values[fault.start : fault.stop, 1] += 20
    marks = ["1.0" if at in fault else "0.0" for at in range(rows)]
    turns = ["1.0" if at in {fault.start, fault.stop} else "0.0" for at in range(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        HEADER
        + "".join(
            f"2020-03-09 {10 + at // 3600}:{at // 60 % 60:02}:{at % 60:02};{a};{b};{mark};{turn}\n"
            for at, ((a, b), mark, turn) in enumerate(zip(values, marks, turns, strict=True))
        )
    )


def test_a_folder_is_scored_on_what_follows_its_first_400_rows(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.csv", 900, range(600, 750))
    write(tmp_path / "b" / "2.csv", 800, range(500, 700))
    (tmp_path / "free.csv").write_text("datetime;a;b\n2020-03-09 10:00:00;1;2\n")
    (tmp_path / "nothing.csv").write_text("")
    files = skab.read(tmp_path)
    assert [(file.name, len(file.values), file.anomaly.sum()) for file in files] == [("a/1", 900, 150), ("b/2", 800, 200)]  # fmt: skip
    rows = {row.name: row for row in skab.run(small=True, folder=tmp_path)}
    for name in ("skab FAR", "skab MAR"):
        assert rows[name].met is True
    for name in ("skab F1", "skab NAB standard"):
        assert rows[name].met is None  # the leaderboard's goal is for the whole set
    assert rows["skab F1"].note == "2 files of 34: not to be set beside the leaderboard"
    assert rows["skab NAB standard"].note.startswith("a (1): F1 ")
    assert rows["skab FAR beside T²+Q"].reference is not None


def test_without_the_files_it_says_so_and_claims_nothing(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="no labelled file of SKAB"):
        skab.run(small=False, folder=tmp_path)
    write(tmp_path / "1.csv", 500, range(0))
    with pytest.raises(Failed, match="no anomaly, no changepoint"):
        skab.run(small=False, folder=tmp_path)
    (row,) = skab.run(small=False)
    assert (row.met, row.note.startswith("not run")) == (None, True)


def test_a_folder_stands_behind_the_name_that_needs_one() -> None:
    assert _wanted(["skab", "here"]) == {"skab": Path("here")}
    assert _wanted(["skab", "ingest"]) == {"skab": None, "ingest": None}
    assert _wanted(["ingest", "skab", "x", "y"]) == {"ingest": None, "skab": Path("x"), "y": None}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda line: line.rsplit(";", 1)[0], "line 5: 4 values instead of 5"),
        (lambda line: line.replace("2020-03-09", "9 March"), "line 5: "),
        (lambda line: line.replace(";0.0;", ";x;"), "line 5: could not convert string to float: 'x'"),
        (lambda line: line.replace(";0.0;", ";nan;"), "line 5: a value that is no finite number"),
    ],
    ids=["cut off", "no time", "no number", "not finite"],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named(
    tmp_path: Path, spoil: Callable[[str], str], said: str
) -> None:
    write(tmp_path / "1.csv", 500, range(450, 480))
    lines = (tmp_path / "1.csv").read_text().splitlines()
    lines[4] = spoil(lines[4])
    (tmp_path / "1.csv").write_text("\n".join(lines))
    with pytest.raises(Failed, match=said) as failed:
        skab.read(tmp_path)
    assert "take it out of the folder" in str(failed.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Failed, match=r"1\.csv is no CSV file"):
        skab.read(tmp_path)
