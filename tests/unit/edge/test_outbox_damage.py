"""An outbox whose file is damaged while it is at work, on a disk that may take nothing just then."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from commands.virtual_machine import full_disk
from config.clock import SteppedClock
from config.plant import Point
from edge.agent import Agent
from edge.outbox import Outbox
from edge.outbox_file import OutboxRefused
from edge.ports import LinkLost, PointReading, PublisherContext
from edge.readings import LANES, decode_batch
from tests.unit.edge.rows import START_MS, device, line, plant, register_point
from tests.unit.edge.small_files import files_may_have

POINTS = [register_point(f"p{n}", n) for n in range(50)]
MANY = [register_point(f"p{n}", n) for n in range(2000)]
"""Their table has 150 KB; a new file without it 60."""
PAGE = 4096


def outbox_at(path: Path, batches: int, points: Sequence[Point] = POINTS) -> Outbox:
    """At work over a file which holds so many batches, none of them in memory."""
    box = Outbox(path, now=START_MS, rng=np.random.default_rng(1))
    box.define([register_point("gone", 5000)], START_MS)  # so no index is its point's place
    box.define(points, START_MS)
    for n in range(batches):
        rows = [PointReading(point.id, 0.1 + n, 0, START_MS + n) for point in points[:50]]
        box.keep(rows, START_MS + n, monotonic=float(n))
    box.close()
    again = Outbox(path, now=START_MS, rng=np.random.default_rng(1))
    again.define(points, START_MS)
    return again


def damage(path: Path) -> bytes:
    """Every page behind the schema; what the file is then."""
    whole = path.read_bytes()
    spoilt = whole[: 2 * PAGE] + b"\xff" * (len(whole) - 2 * PAGE)
    path.write_bytes(spoilt)
    return spoilt


def test_damage_on_a_full_disk_is_refused_until_a_new_file_can_be_begun(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o", 300)
    spoilt = damage(tmp_path / "o")
    with full_disk():
        for n in range(5):
            with pytest.raises(OutboxRefused, match="damaged"):
                box.number("backfill", START_MS + n, 1e6 + n)
            with pytest.raises(OutboxRefused, match="damaged"):
                box.keep([PointReading("a/p1", 1.0, 0, START_MS)], START_MS + n, monotonic=1e6 + n)
    with pytest.raises(OutboxRefused, match="a new one is begun"):
        box.number("backfill", START_MS, 2e6)
    (aside,) = box.set_aside
    assert aside.read_bytes() == spoilt
    box.keep([PointReading("a/p1", 7.0, 0, START_MS)], START_MS, monotonic=2e6)
    assert box.backlog() == (1, START_MS)
    box.close()


@pytest.mark.parametrize("size", [60_000, 100_000, 140_000])
def test_damage_found_with_room_for_a_file_but_not_its_points_is_refused_until_there_is(
    tmp_path: Path, size: int
) -> None:
    box = outbox_at(tmp_path / "o", 300, MANY)
    epoch, reading = box.epoch, PointReading("a/p1", 111.0, 0, START_MS)
    damage(tmp_path / "o")
    with files_may_have(size):
        for _ in range(3):
            with pytest.raises(OutboxRefused, match="begun anew"):
                box.number("backfill", START_MS, 1e6)
            with pytest.raises(OutboxRefused, match="begun anew"):
                box.keep([reading], START_MS, monotonic=1e6)
    with pytest.raises(OutboxRefused, match="a new one is begun"):
        box.keep([reading], START_MS, monotonic=1e6)
    assert box.epoch != epoch
    box.keep([reading], START_MS, monotonic=1e6)
    box.close()
    again = Outbox(tmp_path / "o", now=START_MS, rng=np.random.default_rng(2))
    again.define(MANY, START_MS)
    assert again.number("data", START_MS, 0.0) + again.number("backfill", START_MS, 0.0) == 1
    (kept,) = filter(None, (again.numbered(lane, 0) for lane in LANES))
    batch = decode_batch(again.payload(kept, START_MS))
    assert [again.table.row(index).point for index in batch.i] == ["a/p1"]
    assert len(again.set_aside) == 0
    again.close()


def test_two_files_that_are_damaged_in_one_moment_are_both_kept(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o", 300)
    for _ in range(2):
        box.define(POINTS, START_MS)
        for n in range(300):
            rows = [PointReading(point.id, 0.1 + n, 0, START_MS + n) for point in POINTS]
            box.keep(rows, START_MS, monotonic=float(n))
        box._file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        box._file.db.execute("PRAGMA shrink_memory")
        damage(tmp_path / "o")
        with pytest.raises(OutboxRefused, match="a new one is begun"):
            box.number("backfill", START_MS, 1e6)
    assert len({*box.set_aside}) == 2
    assert all(aside.stat().st_size > 100_000 for aside in box.set_aside)
    box.close()


def nowhere(will: bytes) -> PublisherContext:
    raise LinkLost("no broker")


async def test_an_agent_goes_on_whose_diagnosis_finds_the_damage(tmp_path: Path) -> None:
    box = outbox_at(tmp_path / "o", 300)
    clock, rng = SteppedClock(START_MS), np.random.default_rng(1)
    agent = Agent(plant([line()], [device()], POINTS), "e", {}, box, nowhere, clock, rng)
    agent.connected = True
    task = asyncio.ensure_future(agent.run())
    await clock.advance(50)
    damage(tmp_path / "o")
    box._file.db.execute("PRAGMA shrink_memory")
    agent.diagnose()
    assert agent.stats.refused == 1
    agent.connected = True
    await clock.advance(600)
    assert not task.done()
    assert len(box.set_aside) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    box.close()


async def test_an_agent_goes_on_that_has_room_for_a_new_file_but_not_for_its_points(
    tmp_path: Path,
) -> None:
    box = outbox_at(tmp_path / "o", 300, MANY)
    clock, rng = SteppedClock(START_MS), np.random.default_rng(1)
    agent = Agent(plant([line()], [device()], MANY), "e", {}, box, nowhere, clock, rng)
    task = asyncio.ensure_future(agent.run())
    await clock.advance(50)
    damage(tmp_path / "o")
    box._file.db.execute("PRAGMA shrink_memory")
    with files_may_have(100_000):
        agent.diagnose()
        await clock.advance(60)
        assert not task.done()
        assert agent.stats.refused > 1
    await clock.advance(60)
    assert not task.done()
    agent.take([PointReading("a/p1", 7.0, 0, START_MS)])
    agent.flush()
    assert box.batches > 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    box.close()


def test_a_table_of_points_with_a_hole_is_damage(tmp_path: Path) -> None:
    outbox_at(tmp_path / "o", 1).close()
    with sqlite3.connect(tmp_path / "o") as db:
        db.execute("DELETE FROM points WHERE place = 7")
    db.close()
    box = Outbox(tmp_path / "o", now=START_MS, rng=np.random.default_rng(1))
    assert len(box.set_aside) == 1
    box.close()
