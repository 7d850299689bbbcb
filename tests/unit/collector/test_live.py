"""The live table: what replaces what, what changed since a mark, and how it comes back."""

import math
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from collector.domain.conditions import Condition
from collector.groups import Group
from collector.live import LIFE_SHIFT, LiveTable, load, save
from collector.ports import RuleNow
from tests.unit.collector.feeding import SITE, T0, plant

Row = tuple[int, int, float]


def table(life: int = 7) -> LiveTable:
    return LiveTable([plant()], life=life)


def group(*readings: Row, live: bool = True, received: int = T0, position: int = 1) -> Group:
    """Readings are (row, time after T0 in ms, value)."""
    rows, times, values = zip(*readings, strict=True) if readings else ((), (), ())
    count = len(readings)
    return Group(
        position, received, np.array(rows, np.int64), T0 + np.array(times, np.int64),
        np.array(values, float), np.zeros(count, np.uint8), np.full(count, live), np.zeros(count, np.int64),
    )  # fmt: skip


def shown(live: LiveTable) -> dict[str, float]:
    snapshot = live.snapshot(SITE)
    return {p: v for p, v in zip(snapshot.points, snapshot.value.tolist(), strict=True) if v == v}


def test_a_point_that_was_never_read_has_no_value_and_says_so() -> None:
    snapshot = table().snapshot(SITE)
    assert snapshot.points == ("pump/flow", "pump/pressure", "fan/speed")
    assert np.isnan(snapshot.value).all()
    assert snapshot.quality.tolist() == [64, 64, 64]
    assert snapshot.source_time.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        pytest.param([group((0, 0, 1.0), (1, 0, 2.0))], {"pump/flow": 1.0, "pump/pressure": 2.0}, id="each its own"),
        pytest.param([group((0, -9, 1.0)), group((0, -8, 2.0))], {"pump/flow": 2.0}, id="newer replaces"),
        pytest.param([group((0, -8, 1.0)), group((0, -9, 2.0))], {"pump/flow": 1.0}, id="late does not"),
        pytest.param([group((0, -8, 1.0)), group((0, -8, 2.0))], {"pump/flow": 2.0}, id="of equals the later arrival"),
        pytest.param([group((0, -9, 1.0), (0, -8, 2.0), (0, -10, 3.0))], {"pump/flow": 2.0}, id="within one group"),
        pytest.param([group((0, -8, 1.0), (0, -8, 2.0))], {"pump/flow": 2.0}, id="equals within one group"),
        pytest.param([group((0, 0, 1.0), live=False)], {}, id="back-fill is not news"),
        pytest.param([group((0, 10**7, 1.0)), group((0, 5, 2.0), received=T0 + 5)], {"pump/flow": 2.0}, id="a clock ahead does not freeze"),
        pytest.param([group()], {}, id="an empty group"),
    ],
)  # fmt: skip
def test_what_stays_after_groups(groups: list[Group], expected: dict[str, float]) -> None:
    live = table()
    for each in groups:
        live.apply(each)
    assert shown(live) == expected


@pytest.mark.parametrize("restarted", [False, True])
def test_a_server_s_clock_that_was_set_back_does_not_blind_a_point(*, restarted: bool) -> None:
    live, hour = table(), 3_600_000
    live.apply(group((0, hour, 1.0), (1, hour, 1.0), received=T0 + hour))
    if restarted:
        saved, live = live.dump(), table(8)
        live.restore(saved)
    live.apply(group((0, 5, 2.0), received=T0 + 5))
    live.apply(group((1, 6, 3.0), received=T0 + 6))
    assert shown(live) == {"pump/flow": 2.0, "pump/pressure": 3.0}


def test_a_point_that_was_heard_ahead_and_is_silent_since_grows_old() -> None:
    live, hour = table(), 3_600_000
    live.apply(group((0, hour, 1.0), (1, hour, 1.0), received=T0 + hour))
    mark = live.snapshot(SITE).mark
    live.apply(group((0, 5, 2.0), received=T0 + 5))
    now = live.changes_since(SITE, mark)
    assert now.points == ("pump/flow", "pump/pressure")
    assert now.source_time.tolist() == now.receive_time.tolist() == [T0 + 5, T0 + 5]
    assert live.apply(group((1, 6, 3.0), received=T0 + 6)).all()


def test_what_waited_while_others_were_heard_is_late_as_ever() -> None:
    live = table()
    live.apply(group((0, 60_000, 1.0), received=T0 + 60_000))
    assert not live.apply(group((0, -9, 2.0), received=T0)).any()
    assert shown(live) == {"pump/flow": 1.0}


def test_apply_says_which_readings_were_the_newest() -> None:
    live = table()
    live.apply(group((0, -5, 1.0)))
    assert live.apply(group((0, -9, 2.0), (0, -4, 3.0), (1, -9, 4.0))).tolist() == [
        False, True, True,
    ]  # fmt: skip


def test_a_bad_reading_takes_the_value_away() -> None:
    live = table()
    live.apply(group((0, -5, 1.0)))
    live.apply(group((0, -4, math.nan)))
    assert shown(live) == {}
    assert live.source_time[0] == T0 - 4


def test_a_mark_gives_what_changed_after_it() -> None:
    live = table()
    mark = live.snapshot(SITE).mark
    assert live.changes_since(SITE, mark).points == ()
    live.apply(group((1, 0, 1.0)))
    changes = live.changes_since(SITE, mark)
    assert changes.points == ("pump/pressure",)
    assert changes.change.tolist() == [changes.mark]
    assert live.changes_since(SITE, changes.mark).points == ()


def test_a_group_is_newest_while_it_is_the_last_one_and_nothing_of_it_was_late() -> None:
    live = table()
    first, late, past = (
        group((0, -9, 1.0), (0, -10, 2.0)),
        group((1, 0, 1.0), (0, -11, 1.0)),
        group((0, 0, 1.0), live=False),
    )
    assert not live.is_newest(first)
    live.apply(first)
    assert live.is_newest(first)
    for other in (late, past):
        live.apply(other)
        assert not live.is_newest(other)
    assert not live.is_newest(first)


@pytest.mark.parametrize("other", [0, 5, 8 << LIFE_SHIFT, (7 << LIFE_SHIFT) + 999, -1])
def test_a_mark_of_another_life_gives_everything(other: int) -> None:
    assert len(table().changes_since(SITE, other).points) == 3


def test_lives_differ_unless_told_and_marks_are_exact_in_json() -> None:
    lives = {LiveTable([plant()]).snapshot(SITE).mark for _ in range(5)}
    assert len(lives) > 1
    assert max(lives) < 2**53


def test_a_point_only_known_to_a_birth_gets_a_row_and_counts_as_a_change() -> None:
    live = table()
    mark = live.snapshot(SITE).mark
    rows = [live.row(SITE, f"new/p{n}") for n in range(200)]
    assert live.row(SITE, "new/p0") == rows[0]
    assert len(live.changes_since(SITE, mark).points) == 200
    live.apply(group((rows[199], 0, 5.0)))
    assert shown(live) == {"new/p199": 5.0}


def test_a_site_that_nobody_knows_has_no_points() -> None:
    live = table()
    assert live.snapshot("elsewhere").points == ()
    assert live.changes_since("elsewhere", live.snapshot(SITE).mark).points == ()


def test_the_table_comes_back_from_its_file_in_a_new_life(tmp_path: Any) -> None:
    live = table()
    extra = live.row(SITE, "new/point")
    live.apply(group((0, -5, 1.5), (extra, -4, 2.5), position=42))
    save(tmp_path / "live", live.dump())
    again = table(life=8)
    assert again.restore(load(tmp_path / "live")) == 42
    assert shown(again) == {"pump/flow": 1.5, "new/point": 2.5}
    assert again.source_time[again.row(SITE, "pump/flow")] == T0 - 5
    assert len(again.changes_since(SITE, live.snapshot(SITE).mark).points) == 4
    again.apply(group((0, -6, 9.0)))
    assert shown(again)["pump/flow"] == 1.5


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93\x01\x02\x03"])
def test_a_file_that_cannot_be_read_is_as_none(content: bytes) -> None:
    live = table()
    assert live.restore(content) is None
    assert shown(live) == {}


def test_a_file_with_columns_cut_off_is_as_none() -> None:
    live = table()
    live.apply(group((0, -5, 1.5)))
    content = live.dump()
    file = msgspec.msgpack.decode(content)
    file["columns"]["value"] = file["columns"]["value"][:-8]
    assert table().restore(msgspec.msgpack.encode(file)) is None


def test_conditions_are_what_alarming_last_said() -> None:
    live = table()
    assert live.conditions(SITE) == {}
    now = {"r": RuleNow("r", "pump", Condition.NORMAL, T0, "A")}
    live.set_conditions(SITE, now)
    assert live.conditions(SITE) == now


def test_a_saved_table_is_on_the_disk_before_it_takes_the_old_one_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "live"
    file.write_bytes(b"old")
    waited_for: list[tuple[int, bytes]] = []
    fsync = os.fsync

    def recorded(handle: int) -> None:
        fsync(handle)
        waited_for.append((os.fstat(handle).st_ino, file.read_bytes()))

    monkeypatch.setattr(os, "fsync", recorded)
    save(file, b"new")
    assert waited_for == [(file.stat().st_ino, b"old"), (tmp_path.stat().st_ino, b"new")]
