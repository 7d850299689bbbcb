"""Who is read when: by the earliest end, in a phase of its own, never twice for what was missed. In virtual time."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.plant import LineKind
from edge.poller import FIRST_READS_WITHIN_S, LineStats
from tests.unit.edge.rows import line
from tests.unit.edge.virtual_line import Paces, Polled, after, play

TICK_S = 1e-6


def near(*times: float) -> object:
    return pytest.approx(list(times), abs=TICK_S)


# --- phases


def test_first_reads_are_spread_over_a_second_and_regular_ones_over_their_period() -> None:
    names = [f"d{n}" for n in range(20)]
    it = after(65.0, dict.fromkeys(names, (30.0,)))
    for place, name in enumerate(names):
        first, second, third = it.begun(name)[:3]
        part = first / FIRST_READS_WITHIN_S
        assert place / 20 <= part < (place + 1) / 20
        assert [second, third] == near(part * 30.0, part * 30.0 + 30.0)
    parts = [20 * it.begun(name)[0] % 1 for name in names]
    assert max(parts) - min(parts) > 0.5, "lines that begin together do not read in step"


def test_what_is_read_oftener_than_every_second_is_first_read_within_its_period() -> None:
    (first, second, *_) = after(1.0, {"d": (0.2,)}).begun()
    assert 0.0 <= first < 0.2
    assert second == pytest.approx(first + 0.2)


def test_each_class_of_a_device_is_read_by_itself() -> None:
    it = after(3599.0, {"d": (10.0, 60.0, 10.0, 3600.0)})
    asked = Counter(tuple(read.points) for read in it.devices.reads)
    assert {points: round(3600 / (n - 1), -1) for points, n in asked.items()} == {
        ("d/0", "d/2"): 10.0, ("d/1",): 60.0, ("d/3",): 3600.0,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["mqtt", "fire"])
def test_devices_that_send_by_themselves_are_listened_to_all_at_once_every_half_second(
    kind: LineKind,
) -> None:
    it = after(60.0, {"d": (10.0, 60.0)}, row=line(kind=kind))
    assert {tuple(read.points) for read in it.devices.reads} == {("d/0", "d/1")}
    assert [b - a for a, b in pairwise(it.begun())] == near(*[0.5] * (len(it.begun()) - 1))


def test_phases_stay_apart_where_the_first_reads_took_longer_than_a_second() -> None:
    """Twenty reads of 0.4 s: the last of them ends when its first regular cycle is nearly over."""
    names = [f"d{n}" for n in range(20)]
    paces: Paces = dict.fromkeys(names, (10.0,))
    slow = after(60.0, paces, takes_s=dict.fromkeys(names, 0.4))
    due = {name: after(20.0, paces).begun(name)[1] for name in names}
    for name in names:
        late = [(at - due[name] + TICK_S) % 10.0 for at in slow.begun(name, since=40.0)]
        assert max(late) < 1.0, "few come before it"
    assert slow.stats.missed == 0


# --- order


@dataclass
class Expected:
    """When a device is due, worked out from the cycles that it keeps to on an idle line."""

    period_s: float
    due: float
    cycles: list[float]
    missed: int = 0

    @property
    def end(self) -> float:
        return self.due + self.period_s

    def was_read(self, ended: float) -> None:
        """Cycles that are over are missed; a first read that ends so late stands for one of them."""
        after = [at for at in self.cycles if at > self.due]
        over = [at for at in after if at < ended - TICK_S]
        self.missed += max(0, len(over) - (self.due not in self.cycles))
        self.due = after[len(over)]


def expected(period_s: float, idle: Sequence[float]) -> Expected:
    begin = idle[0] if period_s <= FIRST_READS_WITHIN_S else idle[1]
    return Expected(period_s, idle[0], [begin + n * period_s for n in range(200)])


TAKES_S = (0.0, math.pi / 60, math.e / 9, math.sqrt(1.1), math.sqrt(7))
"""No sum of these is a whole cycle, where it would be open who is due."""
speeds = st.tuples(st.sampled_from([0.5, 1.0, 2.0, 3.0, 7.0]), st.sampled_from(TAKES_S))


@settings(max_examples=40)
@given(st.lists(speeds, min_size=1, max_size=6), st.integers(0, 1000))
def test_of_all_that_is_due_what_must_end_first_begins_as_soon_as_the_line_is_free(
    rows: list[tuple[float, float]], seed: int
) -> None:
    paces: Paces = {f"d{n}": (period_s,) for n, (period_s, _) in enumerate(rows)}
    takes_s = {f"d{n}": takes_s for n, (_, takes_s) in enumerate(rows)}
    idle, it = after(8.0, paces, seed=seed), after(30.0, paces, seed=seed, takes_s=takes_s)
    each = {name: expected(p, idle.begun(name)) for name, (p,) in paces.items()}
    free = 0.0
    for read in it.devices.reads:
        begins = max(free, min(one.due for one in each.values()))
        assert read.begun == pytest.approx(begins, abs=TICK_S)
        first = min(one.end for one in each.values() if one.due <= begins + TICK_S)
        assert each[read.device].end == pytest.approx(first, abs=TICK_S)
        free = read.ended
        each[read.device].was_read(free)
    assert it.stats.missed == sum(one.missed for one in each.values())


def test_a_slow_read_lets_the_more_urgent_go_first_though_it_was_due_last() -> None:
    it = after(3000.0, {"long": (100.0,), "slow": (90.0,), "fast": (40.0,)}, takes_s={"long": 30.0})
    behind = [
        [read.device for read in it.devices.reads if 0 <= read.begun - one.ended < 1.0]
        for one in it.devices.reads
        if one.device == "long"
    ]
    both = [pair for pair in behind if len(pair) == 2]
    assert len(both) > 3
    assert set(map(tuple, both)) == {("fast", "slow")}


# --- missed


@pytest.mark.parametrize(
    ("takes_s", "period_s", "each_misses"),
    [(2.5, 1.0, 2), (1.0, 1.0, 0), (0.1, 0.1, 0), (0.3, 0.1, 2), (1.001, 1.0, 1), (0.999, 1.0, 0)],
)
def test_each_cycle_that_a_slow_device_misses_is_counted_once_and_never_read_later(
    takes_s: float, period_s: float, each_misses: int
) -> None:
    it = after(100.0, {"d": (period_s,)}, takes_s={"d": takes_s})
    began = it.begun()
    assert it.stats.missed == each_misses * len(began)
    steps = [(b - a) / period_s for a, b in pairwise(began)]
    assert steps == near(*[each_misses + 1] * len(steps))


def test_after_a_read_that_stood_still_each_goes_on_in_its_phase_one_cycle_at_a_time() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(10.0)
        it.devices.takes_s["d"] = 9.7
        await it.lasts(2.0)
        it.devices.takes_s["d"] = 0.0
        await it.lasts(20.0)

    it = play(story, {"d": (1.0,), "e": (1.0,)})
    (stood,) = [read for read in it.devices.reads if read.ended > read.begun]
    skipped = 0
    for name in ("d", "e"):
        since = [at - it.begun(name)[0] for at in it.begun(name)]
        cycles = [math.floor(at + TICK_S) for at in since]
        steps = [b - a for a, b in pairwise(cycles)]
        assert steps.count(1) == len(steps) - 1, "but for one, each in the cycle behind the last"
        skipped += max(steps) - 1
        late = [at for at in it.begun(name) if (at - it.begun(name)[0] + TICK_S) % 1.0 > 2 * TICK_S]
        assert late == ([] if name == "d" else [stood.ended])
    assert it.stats.missed == skipped > 15


# --- what is said of it


def test_a_line_says_what_it_did_and_how_long_the_last_read_took() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(10.0)
        now, reads = it.clock.monotonic(), it.devices.reads
        busy = sum(read.ended - read.begun for read in reads) / 10.0
        of_e = [read for read in reads if read.device == "e"]
        assert it.poller.words(now) == (
            f"2 devices, {len(reads)} reads, 0 missed, {busy:.1%} busy, last read took 1000.0 ms, "
            f"{2 * len(of_e)} no_answer; device e lost for {now - of_e[0].ended:.0f} s (no_answer)"
        )
        assert reads[-1].device == "e"

    paces: Paces = {"d": (8.0,), "e": (3600.0, 3600.0)}
    takes_s = {"d": 0.5, "e": 1.0}
    row = line(backoff_s_max=8.0)
    play(story, paces, takes_s=takes_s, says={"e": "no_answer"}, row=row, start_s=1000.0)


def test_a_line_is_busy_since_its_start() -> None:
    stats = LineStats(started_s=100.0, busy_s=5.0)
    assert stats.utilisation(110.0) == 0.5
    assert LineStats(started_s=100.0).utilisation(100.0) == 0.0


# --- clocks


@pytest.mark.parametrize("by_ms", [-86_400_000, 86_400_000])
def test_a_wall_clock_that_is_set_moves_no_read_and_dates_what_is_told(by_ms: int) -> None:
    async def story(it: Polled) -> None:
        it.devices.says["e"] = "no_answer"
        await it.lasts(20.0)
        it.clock.ahead_ms = by_ms
        await it.lasts(20.0)

    it = play(story, {"d": (1.0,), "e": (1.0,)})
    steps = [b - a for a, b in pairwise(it.begun("d"))]
    assert steps == near(*[1.0] * (len(steps)))
    assert it.stats.missed == 0
    apart = [reading.time - 1000 * at for at, reading in it.told]
    assert {round((one - apart[0]) / by_ms) for one in apart} == {0, 1}


def test_a_machine_that_slept_reads_once_and_counts_what_it_slept_through() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(10.0)
        it.clock.slept_s = 3600.4
        await it.lasts(10.0)

    it = play(story, {"d": (1.0,)})
    steps = [b - a for a, b in pairwise(it.begun())]
    assert [step for step in steps if abs(step - 1.0) > TICK_S] == near(3601.4, 0.6)
    assert it.stats.missed == 3600
