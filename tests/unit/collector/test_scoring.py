"""How unusual an asset's points are together: journalled once, and the same whoever reads the journal again."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pytest

from collector import scored
from collector.adapters.memory_journal import MemoryJournal
from collector.domain.detector import ALARM, Watch
from collector.ingest import Ingest
from collector.live import LiveTable, SavedFiles
from collector.ports import Message
from collector.projecting import Projecting, inline
from collector.scored import FILL_MAX, Scored
from collector.scoring import ROWS_AT_ONCE
from config.clock import SteppedClock
from config.plant import SCORE, STEWARD, Plant
from config.profile import Profile, WatchSpec
from config.watching import score_point
from edge.readings import QUALITIES, QUALITY_NAMES, Floats
from tests.unit.collector.feeding import SITE, T0, Recorder, Source, Store, batch, birth, plant
from tests.waiting import until

LEARN = 120
S = 1000
SCORED = f"pump/{SCORE}"
FIRST = T0 - T0 % S
Row = Sequence[float | None]


def watched(learnt: int = 1, pumps: Sequence[str] = ("pump",)) -> Plant:
    """Each pump's flow and pressure are judged together, a row a second."""
    names = [f"{pump}/{own}" for pump in pumps for own in ("flow", "pressure")]
    plain = plant({"a1": names})
    spec = WatchSpec(("flow", "pressure"), 1.0, LEARN)
    devices = {pump: replace(plain.devices["a1"], id=pump, asset=pump, learnt=learnt) for pump in pumps}  # fmt: skip
    scores = [score_point(device, spec) for device in devices.values()]
    return replace(
        plain,
        devices=devices,
        profiles={"x": Profile("x", 1, {"en": "x"}, "mqtt", "pump", (), watch=spec)},
        points={**plain.points, **{score.id: score for score in scores}},
    )


def rows(count: int, shift: float = 0.0, seed: int = 1) -> list[Row]:
    drawn = np.random.default_rng(seed).normal(10.0, 1.0, (count, 2)) + shift
    return [(flow, pressure) for flow, pressure in drawn.tolist()]


class Pipe:
    """Ingest over twins; another one over the same journal is a restart."""

    def __init__(self, journal: MemoryJournal | None = None, *, its: Plant | None = None, file: Path | None = None) -> None:  # fmt: skip
        self.journal = journal or MemoryJournal()
        self.plant = its or watched()
        self.live, self.store = LiveTable([self.plant], life=1), Store()
        self.clock = SteppedClock(T0)
        self.judge = Recorder()
        self.projecting = Projecting(self.journal, self.store, self.live, inline, self.clock)
        self.ingest = Ingest(
            Source(), self.journal, self.live, [self.judge], [self.plant], self.clock,
            self.projecting, saved=SavedFiles(file) if file else None,
        )  # fmt: skip
        self.ingest.restore()

    async def take(self, *messages: Message) -> None:
        await self.ingest.take(messages)

    async def feed(self, given: Sequence[Row], first: int = 0, at_once: int = 10) -> None:
        """Rows from second `first` on, so many in a message; numbered from 1 at second 0."""
        for begin in range(0, len(given), at_once):
            part = given[begin : begin + at_once]
            now = FIRST + (first + begin + len(part)) * S
            readings = [
                (
                    index,
                    value,
                    0 if value is not None else 65,
                    (first + begin + n) * S + FIRST - now,
                )
                for n, row in enumerate(part)
                for index, value in enumerate(row)
            ]
            await self.take(batch((first + begin) // at_once + 1, *readings, at=now))

    def scores(self) -> list[tuple[int, float, int]]:
        """(second, score, quality) of every score in the journal, by a store that reads it anew."""
        return [
            (round((time - FIRST) / S), value, quality) for time, value, quality in self.stored()
        ]

    def stored(self, of: str = SCORED) -> list[tuple[int, float, int]]:
        return [(t, v, q) for point, t, v, q in self.store.rows if point == of]

    def shown(self) -> str:
        """The quality of the first asset's score in the live table."""
        return QUALITY_NAMES[int(self.live.quality[self.live.row(SITE, SCORED)])]

    def spoil(self) -> None:
        """The first asset's detector cannot be reckoned with any more."""
        asset = self.ingest.scoring._assets[0]
        assert asset.watch is not None
        asset.watch = replace(asset.watch, level=np.zeros(5))


async def stored(journal: MemoryJournal, its: Plant | None = None) -> list[tuple[int, float, int]]:
    """The scores as a projector finds them that begins at the journal's first entry."""
    pipe = Pipe(journal, its=its)
    await pipe.projecting.drain()
    return pipe.scores()


def an_asset() -> Scored:
    """Of two points, which are missed after 5 s; a row a second."""
    nothing = np.full(2, np.nan)
    return Scored(SITE, SCORED, "", S, LEARN, np.full(2, 5.0 * S), nothing, nothing.copy())


async def begun(pipe: Pipe) -> Pipe:
    await pipe.take(birth(at=FIRST))
    return pipe


async def test_once_it_has_learnt_each_row_has_a_score_shown_judged_and_stored() -> None:
    pipe = await begun(Pipe())
    await pipe.feed(rows(200))
    await pipe.projecting.drain()
    assert [second for second, _, _ in pipe.scores()] == list(range(LEARN + 1, 200))
    assert max(score for _, score, _ in pipe.scores()) < ALARM
    row = pipe.live.row(SITE, SCORED)
    assert pipe.live.value[row] == pipe.scores()[-1][1]
    assert sum(int((group.row == row).sum()) for group in pipe.judge.groups) == 79
    said = {(e.agent, e.kind) for _, e in pipe.journal.read_from(0, 999) if e.agent != "a1"}
    assert said == {(STEWARD, "birth"), (STEWARD, "batch")}


async def test_what_is_unusual_has_a_high_score() -> None:
    pipe = await begun(Pipe())
    await pipe.feed([*rows(200), *rows(50, shift=6.0, seed=2)])
    await pipe.projecting.drain()
    assert pipe.scores()[-1][1] > 2 * ALARM


async def test_a_server_s_clock_that_was_set_back_does_not_end_scores() -> None:
    pipe = await begun(Pipe())
    await pipe.feed(rows(200))
    await pipe.take(batch(21, (0, 10.0), (1, 10.0), at=FIRST + 3600 * S))
    await pipe.feed(rows(50), first=210)
    await pipe.projecting.drain()
    assert {second for second, _, _ in pipe.scores()} >= set(range(222, 260))
    again = Pipe(pipe.journal)
    assert again.live.value.tobytes() == pipe.live.value.tobytes()
    assert again.ingest.scoring.dump() == pipe.ingest.scoring.dump()


def test_only_a_point_s_own_last_reading_shows_that_the_clock_was_set_back() -> None:
    """Groups of different points may come in any order: the rows between were said already."""
    asset = an_asset()
    asset.hear([(100 * S, 0, 1.0), (161 * S, 1, 1.0)])
    assert not asset.was_ahead(100 * S, [(100 * S, 0, 1.0)])
    assert not asset.was_ahead(101 * S, [(101 * S, 1, 1.0)])
    assert asset.was_ahead(100 * S, [(100 * S, 0, 1.0), (100 * S, 1, 1.0)])


async def test_an_asset_goes_on_whose_clock_was_set_back_as_another_shows() -> None:
    pipe = Pipe(its=watched(pumps=("pump", "fan")))
    await pipe.take(birth("pump/flow", "pump/pressure", "fan/flow", "fan/pressure", at=FIRST))
    await pipe.take(batch(1, (0, 10.0), (2, 10.0), at=FIRST + 3600 * S))
    await pipe.take(batch(2, (0, 10.0), (3, 10.0), at=FIRST + 2 * S))
    await pipe.take(batch(3, (3, 10.0), at=FIRST + 3 * S))
    assert [asset.slot for asset in pipe.ingest.scoring._assets] == [FIRST // S + 2, FIRST // S + 3]


def test_a_value_that_was_heard_ahead_holds_no_longer_than_others() -> None:
    asset = an_asset()
    asset.hear([(3600 * S, 0, 1.0), (3600 * S, 1, 1.0)])
    asset.set_back(2 * S)
    asset.hear((second * S, 0, 1.0) for second in range(2, 20))
    held = [row.end // S for row in asset.waiting if np.isfinite(row.values[1])]
    assert held == list(range(3, 9))


async def test_the_journal_read_again_gives_the_same_and_says_nothing_again() -> None:
    pipe = await begun(Pipe())
    await pipe.feed([*rows(200), *rows(50, shift=6.0, seed=2)])
    await pipe.projecting.drain()
    last = pipe.journal.last()
    assert await stored(pipe.journal) == pipe.scores()
    again = Pipe(pipe.journal)
    assert pipe.journal.last() == last
    assert again.live.value.tobytes() == pipe.live.value.tobytes()
    assert again.ingest.scoring.dump() == pipe.ingest.scoring.dump()


@pytest.mark.parametrize("stops_at", [50, 150, 210])
@pytest.mark.parametrize("kept", [False, True], ids=["journal", "file, journal trimmed"])
async def test_a_restart_changes_no_score(stops_at: int, kept: bool, tmp_path: Path) -> None:
    given = [*rows(200), *rows(50, shift=6.0, seed=2)]
    whole = await begun(Pipe())
    await whole.feed(given)
    file = tmp_path / "live.bin" if kept else None
    first = await begun(Pipe(file=file))
    await first.feed(given[:stops_at])
    await first.projecting.drain()
    early = first.scores()
    if kept:
        await first.ingest.save()
        first.journal.trim(first.journal.last())
    second = Pipe(first.journal, file=file)
    await second.feed(given[stops_at:], first=stops_at)
    await second.projecting.drain()
    await whole.projecting.drain()
    assert (early if kept else []) + second.scores() == whole.scores()


async def test_rows_of_behind_the_saved_file_are_read_again_from_the_journal(
    tmp_path: Path,
) -> None:
    given = rows(240)
    first = await begun(Pipe(file=tmp_path / "live.bin"))
    await first.feed(given[:150])
    await first.ingest.save()
    await first.feed(given[150:200], first=150)
    second = Pipe(first.journal, file=tmp_path / "live.bin")
    assert second.ingest.scoring.dump() == first.ingest.scoring.dump()
    await second.feed(given[200:], first=200)
    seconds = [second for second, _, _ in await stored(first.journal)]
    assert seconds == list(range(LEARN + 1, 240))


async def test_a_repaired_device_is_learnt_anew_and_a_spoilt_file_too(tmp_path: Path) -> None:
    file = tmp_path / "live.bin"
    first = await begun(Pipe(file=file))
    await first.feed(rows(200))
    await first.ingest.save()
    first.journal.trim(first.journal.last())
    repaired = Pipe(first.journal, its=watched(learnt=2), file=file)
    await repaired.feed(rows(130, shift=6.0, seed=3), first=200)
    await repaired.projecting.drain()
    assert [second for second, _, _ in repaired.scores()] == list(range(321, 330))
    assert max(score for _, score, _ in repaired.scores()) < ALARM
    (tmp_path / "live.bin.scores").write_bytes(b"spoilt")
    assert Pipe(first.journal, file=file).ingest.scoring.position >= 0


def emptied(_saved: bytes) -> bytes:
    return b""


def garbled(_saved: bytes) -> bytes:
    return b"spoilt"


def shortened(saved: bytes) -> bytes:
    """A file that can be read, with a column too short in its only asset."""
    file = msgspec.msgpack.decode(saved)
    (asset,) = file["assets"].values()
    asset["learnt"]["recent"] = asset["learnt"]["recent"][:-8]
    return msgspec.msgpack.encode(file)


@pytest.mark.parametrize("spoil", [emptied, garbled, shortened])
async def test_what_was_learnt_and_is_lost_is_said_and_ends_no_start(
    spoil: Callable[[bytes], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, scores = tmp_path / "live.bin", tmp_path / "live.bin.scores"
    first = await begun(Pipe(file=file))
    await first.feed(rows(200))
    await first.projecting.drain()
    await first.ingest.save()
    first.journal.trim(first.journal.last())
    Pipe(first.journal, file=file)
    assert caplog.messages == []
    scores.write_bytes(spoil(scores.read_bytes()))
    second = Pipe(first.journal, file=file)
    assert caplog.messages == [
        f"{SITE}/{SCORED} learns anew what is normal: what it had learnt is lost"
    ]
    await second.feed(rows(LEARN + 20), first=200)
    await second.projecting.drain()
    assert len(second.scores()) == 19  # the row that is open has none yet


async def test_back_fill_and_what_comes_late_change_nothing() -> None:
    one, other = await begun(Pipe()), await begun(Pipe())
    for pipe in (one, other):
        await pipe.feed(rows(200))
    await other.take(batch(1, (0, 99.0, 0, -60 * S), lane="backfill", at=FIRST + 200 * S))
    await other.take(batch(21, (0, 99.0, 0, -60 * S), at=FIRST + 200 * S))
    assert await stored(one.journal) == await stored(other.journal)
    row = other.live.row(SITE, "pump/flow")
    assert other.live.value[row] != 99.0


async def test_without_values_there_is_no_score_and_that_is_said() -> None:
    pipe = await begun(Pipe())
    nothing: list[Row] = [(None, None)] * 20
    await pipe.feed([*rows(200), *nothing])
    await pipe.projecting.drain()
    _, score, quality = pipe.scores()[-1]
    assert np.isnan(score)
    assert quality == QUALITIES["no_answer"]


@pytest.mark.parametrize(("hole", "filled"), [(30, 30), (FILL_MAX + 1, 0)])
async def test_a_short_hole_is_filled_with_what_still_holds_and_a_long_one_is_told(
    hole: int, filled: int
) -> None:
    pipe = await begun(Pipe())
    await pipe.feed(rows(200))
    later = FIRST + (200 + hole) * S
    await pipe.take(batch(21, (0, 10.0), (1, 10.0), at=later))
    await pipe.projecting.drain()
    seconds = [second for second, _, _ in pipe.scores()]
    assert len(seconds) == 200 - LEARN + filled
    assert seconds[-1] == 200 + filled


async def test_a_journal_that_is_full_for_a_while_has_each_score_once() -> None:
    pipe, whole = await begun(Pipe()), await begun(Pipe())
    await whole.feed(rows(200))
    await pipe.feed(rows(190))
    pipe.journal.fail_appends = 1
    feeding = asyncio.create_task(pipe.feed(rows(200)[190:], first=190))
    await until(lambda: pipe.ingest.stats.journal_refused == 1)
    await pipe.clock.advance(10)
    await feeding
    assert await stored(pipe.journal) == await stored(whole.journal)


async def test_without_a_watch_nothing_is_said() -> None:
    pipe = Pipe(its=plant())
    await pipe.take(birth(at=FIRST))
    await pipe.feed(rows(200))
    assert {e.agent for _, e in pipe.journal.read_from(0, 999)} == {"a1"}
    assert len(pipe.ingest.scoring) == 0


async def test_a_detector_that_stumbles_stops_no_reading_and_says_so(caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    pipe = await begun(Pipe())
    await pipe.feed(rows(130))
    pipe.spoil()
    before = pipe.ingest.stats.readings
    await pipe.feed(rows(20), first=130)
    await pipe.projecting.drain()
    assert pipe.ingest.stats.readings == before + 40 + 1
    _, score, quality = pipe.scores()[-1]
    assert (np.isnan(score), quality) == (True, QUALITIES["no_answer"])
    assert pipe.ingest.scoring.faults == 1
    assert list(pipe.ingest.scoring.aside) == [f"{SITE}/{SCORED}"]
    assert [record.name for record in caplog.records] == ["steward.scoring"]
    assert f"{SITE}/{SCORED}" in caplog.text


async def test_a_fault_of_no_asset_ends_all_scores_and_no_reading(caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    pipe = await begun(Pipe())
    await pipe.feed(rows(130))
    pipe.ingest.scoring._column.clear()
    before = pipe.ingest.stats.readings
    await pipe.feed(rows(20), first=130)
    assert pipe.ingest.stats.readings == before + 40 + 1
    assert (pipe.ingest.scoring.faults, len(caplog.records)) == (1, 1)
    assert pipe.shown() == "no_answer"


async def test_a_fault_in_saying_scores_ends_them_too(caplog: pytest.LogCaptureFixture) -> None:
    """The last word cannot be said either: that is logged as well, and no more is tried."""
    pipe = await begun(Pipe())
    await pipe.feed(rows(130))
    pipe.ingest.scoring._spoken.clear()
    before = pipe.ingest.stats.readings
    await pipe.feed(rows(40), first=130)
    assert pipe.ingest.stats.readings == before + 80
    assert (pipe.ingest.scoring.faults, len(caplog.records)) == (1, 2)


async def test_the_other_assets_are_watched_on_and_a_restart_learns_the_fallen_one_anew(
    tmp_path: Path,
) -> None:
    its, file = watched(pumps=("pump", "spare")), tmp_path / "live.bin"
    pipe = Pipe(its=its, file=file)
    await pipe.take(birth("pump/flow", "pump/pressure", "spare/flow", "spare/pressure", at=FIRST))
    both: list[Row] = [(*row, *row) for row in rows(200)]
    await pipe.feed(both[:150])
    pipe.spoil()
    await pipe.feed(both[150:], first=150)
    await pipe.projecting.drain()
    assert len(pipe.stored(f"spare/{SCORE}")) == 200 - LEARN - 1
    await pipe.ingest.save()
    pipe.journal.trim(pipe.journal.last())
    again = Pipe(pipe.journal, its=its, file=file)
    await again.feed(both[:130], first=200)
    await again.projecting.drain()
    assert not again.ingest.scoring.aside
    assert len(again.stored(f"spare/{SCORE}")) == 130
    assert len(again.stored(SCORED)) == 130 - LEARN - 1  # the last row is open


async def test_a_fault_that_is_in_the_journal_does_not_keep_the_server_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = await begun(Pipe(file=tmp_path / "live.bin"))
    await pipe.feed(rows(130))
    await pipe.ingest.save()
    await pipe.feed(rows(20), first=130)

    def stumbles(watch: Watch, rows: Floats) -> NoReturn:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(scored, "judged", stumbles)
    again = Pipe(pipe.journal, file=tmp_path / "live.bin")
    assert again.ingest.scoring.faults == 1
    assert again.shown() == "good"  # nothing came yet with which anything could be said
    for first in (150, 160):
        await again.feed(rows(10), first=first)
        assert again.shown() == "no_answer"
    await again.projecting.drain()
    assert sum(np.isnan(value) for _, value, _ in again.scores()) == 1


@pytest.mark.parametrize("learnt", [(0.0, 0.0), (None, None)], ids=["stood still", "not read"])
async def test_what_stood_still_or_was_not_read_was_not_learnt_and_nothing_is_called_good(
    learnt: Row,
) -> None:
    pipe = await begun(Pipe())
    await pipe.feed([learnt] * 150)
    wild = np.random.default_rng(5).normal(0, 500, (40, 2)).tolist()
    await pipe.feed([tuple(row) for row in wild], first=150)
    await pipe.projecting.drain()
    assert pipe.scores() == []
    await pipe.feed(rows(2 * LEARN), first=190)
    await pipe.projecting.drain()
    assert pipe.scores()


async def test_a_row_without_any_value_is_not_learnt_from() -> None:
    pipe = await begun(Pipe())
    nothing: list[Row] = [(None, None)] * 60
    await pipe.feed([*nothing, *rows(LEARN + 20)])
    seconds = [second for second, _, _ in await stored(pipe.journal)]
    assert seconds == list(range(60 + LEARN + 1, 60 + LEARN + 20))


async def test_only_points_that_were_learnt_count_as_there() -> None:
    """The pressure was not read while all was learnt: half is enough to begin, and nothing is left without the flow."""
    pipe = await begun(Pipe())
    await pipe.feed([(flow, None) for flow, _ in rows(130)])
    await pipe.feed([(None, pressure) for _, pressure in rows(10)], first=130)
    await pipe.projecting.drain()
    scores = pipe.scores()
    assert {quality for second, _, quality in scores if second < 130} == {0}
    _, score, quality = scores[-1]
    assert (np.isnan(score), quality) == (True, QUALITIES["no_answer"])


async def test_a_watch_of_an_older_version_that_sees_nothing_is_learnt_anew(tmp_path: Path) -> None:
    pipe = await begun(Pipe(file=tmp_path / "live.bin"))
    await pipe.feed(rows(150))
    asset = pipe.ingest.scoring._assets[0]
    assert asset.watch is not None
    blind = replace(asset.watch.normal, noise=np.full(2, np.inf), mean_noise=np.full(2, np.inf))
    asset.watch = replace(asset.watch, normal=blind)
    await pipe.ingest.save()
    pipe.journal.trim(pipe.journal.last())
    again = Pipe(pipe.journal, file=tmp_path / "live.bin")
    await again.feed(rows(LEARN), first=150)
    await again.projecting.drain()
    assert again.scores() == []


async def test_a_stop_while_the_journal_refuses_loses_no_score(tmp_path: Path) -> None:
    """The row was judged and is not durable: the file must not know of it."""
    pipe = await begun(Pipe(file=tmp_path / "live.bin"))
    await pipe.feed(rows(150))
    await pipe.ingest.save()
    pipe.journal.fail_appends = 1 << 30
    feeding = asyncio.create_task(pipe.feed(rows(160)[150:], first=150))
    await until(lambda: pipe.ingest.stats.journal_refused == 1)
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)
    await pipe.ingest.save()
    pipe.journal.fail_appends = 0
    again = Pipe(pipe.journal, file=tmp_path / "live.bin")
    await again.feed(rows(170)[150:], first=150)
    seconds = [second for second, _, _ in await stored(again.journal)]
    assert seconds == list(range(LEARN + 1, 170))


MANY = tuple(f"pump-{n:02}" for n in range(12))


async def behind_a_hole() -> Pipe:
    """Twelve pumps are learnt, then nothing comes for a minute."""
    pipe = Pipe(its=watched(pumps=MANY))
    points = [f"{pump}/{own}" for pump in MANY for own in ("flow", "pressure")]
    await pipe.take(birth(*points, at=FIRST))
    await pipe.feed([row * len(MANY) for row in map(tuple, rows(130))])
    return pipe


async def test_behind_a_hole_a_pass_judges_so_many_rows_and_the_next_ones_the_others() -> None:
    pipe = await behind_a_hole()
    made = []
    for n in range(4):
        before = pipe.ingest.stats.readings
        whole = [(index, 10.0) for index in range(2 * len(MANY))]
        await pipe.take(batch(14 + n, *whole, at=FIRST + (129 + FILL_MAX + n) * S))
        made.append(pipe.ingest.stats.readings - before - len(whole))
    assert made[:3] == [ROWS_AT_ONCE] * 3
    assert sum(made) == len(MANY) * (FILL_MAX + 3)
    again = Pipe(pipe.journal, its=pipe.plant)
    assert again.ingest.scoring.dump() == pipe.ingest.scoring.dump()


@pytest.mark.parametrize("restarted", [False, True])
async def test_nothing_is_judged_with_an_event_and_rows_that_wait_outlast_a_restart(
    restarted: bool, tmp_path: Path
) -> None:
    pipe = await begun(Pipe(file=tmp_path / "live.bin"))
    await pipe.feed(rows(130))
    later = FIRST + 150 * S
    before = pipe.ingest.stats.readings
    await pipe.take(batch(1, (0, 10.0), lane="event", at=later))
    assert pipe.ingest.stats.readings == before + 1
    if restarted:
        await pipe.ingest.save()
        pipe = Pipe(pipe.journal, file=tmp_path / "live.bin")
    await pipe.take(batch(14, (0, 10.0), at=later + S))
    seconds = [second for second, _, _ in await stored(pipe.journal)]
    assert seconds == list(range(LEARN + 1, 152))


@pytest.mark.parametrize("is_spoilt", [False, True])
async def test_the_last_word_of_one_waits_behind_an_urgent_list_or_a_restart_would_lose_the_scores_of_others(
    is_spoilt: bool,
) -> None:
    """A group with a score beside its events is not known for urgent when it is read again."""

    async def told(*, killed: bool) -> list[tuple[int, float, int]]:
        two = watched(pumps=("pump", "spare"))
        pipe = Pipe(its=two)
        names = ("pump/flow", "pump/pressure", "spare/flow", "spare/pressure")
        await pipe.take(birth(*names, at=FIRST))
        both = [(*row, *row) for row in rows(150)]
        await pipe.feed(both)
        if is_spoilt:
            pipe.ingest.scoring._assets[0].value = np.zeros(0)
        urgent = [(0, 10.0, 0, -S), (2, 10.0, 0, -S), (3, 10.0, 0, -S)]
        await pipe.take(batch(1, *urgent, at=FIRST + 153 * S, lane="event"))
        if killed:
            pipe = Pipe(pipe.journal, its=two)
        await pipe.feed(both[:40], first=150)
        again = Pipe(pipe.journal, its=two)
        await again.projecting.drain()
        return again.stored(f"spare/{SCORE}")

    assert await told(killed=True) == await told(killed=False)
