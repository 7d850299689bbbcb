import itertools
import math
from statistics import fmean, median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.domain.detector import LEARN_ROWS_MIN, MEAN_ROWS, began, judged, skipped
from edge.readings import Floats

LEARN = 400


def plant(rows: int, seed: int = 1) -> Floats:
    """A flow that stands still in steps of 1, a pressure with noise, a temperature that wanders, a stuck value."""
    rng = np.random.default_rng(seed)
    flow = np.round(rng.normal(32.4, 0.4, rows))
    pressure = rng.normal(2.0, 0.1, rows)
    temperature = 60 + np.cumsum(rng.normal(0.0, 0.03, rows)) + rng.normal(0.0, 0.02, rows)
    return np.column_stack([flow, pressure, temperature, np.full(rows, 5.0)])


class Restated:
    """The local-level model of one point in numbers one by one, after the text of Harvey's 2.3 and the decision."""

    def __init__(self, learnt: list[float]) -> None:
        n = len(learnt)
        blocks = [fmean(learnt[i : i + 25]) for i in range(n - 24)]
        means = [fmean(learnt[i : i + 16]) for i in range(n - 15)]
        about = [learnt[i + 12] - block for i, block in enumerate(blocks)]
        steps = [b - a for a, b in itertools.pairwise(sorted(set(learnt)))]
        self.noise = max(fmean([x**2 for x in about]) - fmean(about) ** 2, min(steps) ** 2 / 12)
        spread = fmean([(means[i + 4] - block) ** 2 for i, block in enumerate(blocks)])
        self.mean_noise = max(spread, 0.64 * self.noise / 16)
        steps = [(b - a) ** 2 for a, b in zip(blocks, blocks[25:], strict=False)]
        wandered = 2 * max(0.0, median(steps) / 0.455 - 2 * self.noise / 25)
        self.wander = wandered / 25 + 0.1 * self.noise / n
        self.level, self.doubt = blocks[-1], self.noise / 25 + wandered / 2
        self.last = learnt[-15:]

    def far(self, value: float) -> float:
        self.doubt += self.wander
        self.last = [*self.last[-15:], value]
        off = abs(fmean(self.last) - self.level) / math.sqrt(self.doubt + self.mean_noise)
        return min(off, 12.0)

    def follow(self) -> None:
        noise = 4 * max(self.noise, 16 * self.mean_noise)
        gain = self.doubt / (self.doubt + noise)
        bound = 4 * math.sqrt(self.noise + self.doubt)
        self.level += gain * max(-bound, min(bound, self.last[-1] - self.level))
        self.doubt *= 1 - gain


def test_scores_and_alarms_are_those_of_a_restatement_in_plain_numbers() -> None:
    rows = plant(700)
    rows[500:600, 0] -= 2
    found = judged(began(rows[:LEARN]), rows[LEARN:])[1]
    points = [Restated(rows[:LEARN, j].tolist()) for j in range(3)]
    above, alarmed = 0, False
    for at, row in enumerate(rows[LEARN:].tolist()):
        far = sorted(point.far(value) for point, value in zip(points, row, strict=False))
        score = math.sqrt(sum(x**2 for x in far[-3:]))
        above = above + 1 if score > 3.5 else 0
        alarmed = score > 2.3 if alarmed else above >= 3
        if not alarmed and not above:
            for point in points:
                point.follow()
        assert found.score[at] == pytest.approx(score, rel=1e-6)
        assert found.alarmed[at] == alarmed
    assert 80 <= found.alarmed.sum() <= 130


def test_a_flow_that_stood_still_is_believed_at_once_and_leads_until_it_is_back() -> None:
    rows = plant(900)
    rows[600:800, 0] -= 2
    found = judged(began(rows[:LEARN]), rows[LEARN:])[1]
    (begin, end) = np.flatnonzero(np.diff(found.alarmed)) + 1 + LEARN
    assert 600 < begin <= 600 + MEAN_ROWS
    assert 800 <= end <= 800 + 2 * MEAN_ROWS
    assert set(found.leading[600 + MEAN_ROWS - LEARN : 800 - LEARN]) == {0}


@pytest.mark.usefixtures("unmeasured")
def test_a_temperature_that_wanders_by_itself_may_go_on_doing_so() -> None:
    shares = []
    for seed in range(10):
        rows = plant(2000, seed)
        shares.append(judged(began(rows[:LEARN]), rows[LEARN:])[1].alarmed.mean())
    assert np.mean(shares) < 0.05
    assert np.median(shares) < 0.02


def test_an_alarm_ends_when_the_doubt_has_grown_as_far_as_a_wandering_point_went() -> None:
    rows = plant(3000)
    rows[600:, 2] += 2.5
    found = judged(began(rows[:LEARN]), rows[LEARN:])[1]
    assert found.alarmed[210:400].all()
    assert not found.alarmed[600:1000].any()


def test_what_was_learnt_is_what_was_put_in() -> None:
    rng = np.random.default_rng(7)
    count = 20_000
    wander, noise = 0.1, 1.0
    rows = np.cumsum(rng.normal(0, wander, count)) + rng.normal(0, noise, count)
    normal = began(rows[:, None]).normal
    assert normal.noise[0] == pytest.approx(noise**2, rel=0.05)
    # means of 25 rows that follow one another differ by 2/3 · 25 · q besides their noise
    assert normal.wander[0] == pytest.approx(2 * 2 / 3 * wander**2, rel=0.15)


def test_a_point_that_never_moved_says_nothing_when_it_does() -> None:
    rows = plant(700)
    rows[500:, 3] = 9.0
    quiet = plant(700)
    for made in (rows, quiet):
        assert not judged(began(made[:LEARN]), made[LEARN:])[1].alarmed[100:].any()


def test_no_value_is_no_deviation() -> None:
    rows = plant(700)
    rows[100:110, 1] = np.nan
    rows[450:520, 0] = np.nan
    rows[600:640] = np.nan
    watch, found = judged(began(rows[:LEARN]), rows[LEARN:])
    assert np.isfinite(found.score).all()
    assert found.score[230] == 0
    assert not found.alarmed.any()
    assert np.isfinite(watch.level).all()
    empty = plant(LEARN)
    empty[: LEARN - LEARN_ROWS_MIN + 1, 0] = np.nan
    rows[:, 0] = 1e6
    assert not judged(began(empty), rows[LEARN : LEARN + 50])[1].alarmed.any()


def quiet(points: int, seed: int, rows: int = 1400) -> Floats:
    return np.random.default_rng(seed).normal(0.0, 1.0, (rows, points))


@pytest.mark.parametrize("points", [1, 3, 8, 20, 40])
def test_however_many_points_an_asset_has_it_is_as_seldom_alarmed_by_nothing(points: int) -> None:
    scores, alarmed = [], []
    for seed in range(6):
        rows = quiet(points, seed)
        found = judged(began(rows[:LEARN]), rows[LEARN:])[1]
        scores.append(np.median(found.score))
        alarmed.append(found.alarmed.mean())
    assert np.mean(scores) < 2.6
    assert np.mean(alarmed) < 0.02


def test_the_first_rows_after_a_hole_alarm_nobody() -> None:
    begun = 0
    for seed in range(20):
        rows = quiet(8, seed, 700)
        rows[500:560] = np.nan
        begun += int(judged(began(rows[:LEARN]), rows[LEARN:])[1].alarmed[160:180].any())
    assert begun <= 1


def test_a_point_read_every_fourth_row_is_judged_no_more_strictly() -> None:
    shares = []
    for seed in range(6):
        rows = quiet(8, seed, 2400)
        rows[np.arange(2400) % 4 != 0, :4] = np.nan
        shares.append(judged(began(rows[:LEARN]), rows[LEARN:])[1].alarmed.mean())
    assert np.mean(shares) < 0.02


def test_after_rows_that_are_not_known_a_temperature_may_stand_where_it_wandered_to() -> None:
    rows = plant(LEARN + 60)
    watch = judged(began(rows[:LEARN]), rows[LEARN : LEARN + 30])[0]
    on = rows[LEARN + 30 :].copy()
    on[:, 2] += 2.0  # what a walk of 0.03 a row comes to in an hour of seconds: 0.03 √3600
    assert judged(watch, on)[1].alarmed.any()
    rested = judged(skipped(watch, 3600), on)[1]
    assert not rested.alarmed.any()
    on[:, 0] -= 4  # a flow that stands still hardly wanders in an hour
    assert judged(skipped(watch, 3600), on)[1].alarmed.any()


def test_one_step_of_a_value_that_hardly_ever_stepped_is_no_alarm() -> None:
    rows = np.full((700, 1), 32.0)
    rows[200], rows[550] = 33.0, 33.0
    assert not judged(began(rows[:LEARN]), rows[LEARN:])[1].alarmed.any()
    rows[600:] = 34.0
    assert judged(began(rows[:LEARN]), rows[LEARN:])[1].alarmed[220:].all()


def test_rounding_is_no_movement() -> None:
    rows = np.full((700, 1), 5.0)
    rows[::7] = np.nextafter(5.0, 6.0)
    rows[500:] = 9.0
    assert not judged(began(rows[:LEARN]), rows[LEARN:])[1].alarmed.any()


def test_too_few_rows_to_learn_from_are_refused() -> None:
    with pytest.raises(ValueError, match="99 rows to learn from; 100 are needed"):
        began(plant(99))
    assert len(began(plant(100)).level) == 4


@pytest.mark.usefixtures("unmeasured")
@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=6), seed=st.integers(0, 50))
def test_portions_change_nothing(cuts: list[int], seed: int) -> None:
    rows = plant(LEARN + 300, seed)
    rows[LEARN + 100 : LEARN + 200, 1] += 0.4
    whole = judged(began(rows[:LEARN]), rows[LEARN:])[1]
    watch, scores, alarmed = began(rows[:LEARN]), [], []
    for begin, end in itertools.pairwise([0, *sorted(cuts), 300]):
        watch, part = judged(watch, rows[LEARN + begin : LEARN + end])
        scores.append(part.score)
        alarmed.append(part.alarmed)
    assert np.array_equal(np.concatenate(scores), whole.score)
    assert np.array_equal(np.concatenate(alarmed), whole.alarmed)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 199), value=st.floats(-1e6, 1e6))
def test_rows_to_come_change_no_verdict(cut: int, value: float) -> None:
    rows = plant(LEARN + 200)
    other = rows.copy()
    other[LEARN + cut :] = value
    first = judged(began(rows[:LEARN]), rows[LEARN:])[1]
    second = judged(began(other[:LEARN]), other[LEARN:])[1]
    assert np.array_equal(first.score[:cut], second.score[:cut])
    assert np.array_equal(first.alarmed[:cut], second.alarmed[:cut])


def test_what_is_kept_is_bounded() -> None:
    rows = plant(5000)
    start = began(rows[:LEARN])
    watch = judged(start, rows[LEARN:])[0]
    for name in ("level", "doubt", "recent"):
        assert getattr(watch, name).shape == getattr(start, name).shape
    assert watch.recent.shape == (MEAN_ROWS - 1, 4)
    assert watch.recent.base is None or watch.recent.base.size <= MEAN_ROWS * 4
