"""One camera's pictures, made by hand: what each verdict rests on, picture after picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from config.profile import PictureLimits
from edge.pictures import (
    BAND,
    BLANK_SPREAD,
    COLOUR_MIN,
    DARK_BELOW,
    HEIGHT,
    SHARPNESS_FLOOR,
    SHARPNESS_KEPT,
    WIDTH,
    Fault,
    Frame,
    Look,
    Verdict,
    Watch,
    frame_of_cells,
    is_black,
    look_of,
    sharpness,
    structure,
)
from edge.snapshots import frame_of

LIMITS = PictureLimits()
MARGIN = 30
SUNLIGHT, LAMP, INFRARED = (1.15, 1.0, 0.85), (1.2, 1.0, 0.8), (1.0, 1.0, 1.0)
PUSHED = (6, 17)
NO, YES, LEARNING, HIDDEN = Verdict.NO, Verdict.YES, Verdict.LEARNING, Verdict.HIDDEN
Cells = npt.NDArray[np.float32]


def world(seed: int) -> Cells:
    """Boxes of all sizes and shades, more of them than the camera sees."""
    rng = np.random.default_rng(seed)
    high, wide = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    cells = np.full((high, wide), 120, np.float32)
    for _ in range(150):
        top, left = int(rng.integers(0, high - 6)), int(rng.integers(0, wide - 6))
        down, right = rng.integers(5, 22, 2)
        cells[top : top + int(down), left : left + int(right)] = rng.uniform(30, 210)
    return cells


def shelves() -> Cells:
    """A world of long level lines."""
    rng = np.random.default_rng(3)
    cells = np.full((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN), 120, np.float32)
    for _ in range(60):
        top, left = int(rng.integers(0, len(cells) - 6)), int(rng.integers(0, WIDTH))
        down, right = int(rng.integers(4, 10)), int(rng.integers(40, 160))
        cells[top : top + down, left : left + right] = rng.uniform(30, 210)
    return cells


def softened(cells: Cells, part: float) -> Cells:
    """So much of each cell is its mean over 5 x 5."""
    wide = np.pad(cells, 2, "edge")
    squares = np.lib.stride_tricks.sliding_window_view(wide, (5, 5))
    return np.asarray((1 - part) * cells + part * squares.mean((2, 3)), np.float32)


@dataclass
class Camera:
    """Shows a world with the grain of its own sensor; with `grain` 0 nothing ever changes."""

    sees: Cells = field(default_factory=lambda: world(1))
    grain: float = 1.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def cells(
        self, *, light: float = 1.0, tint: Sequence[float] = SUNLIGHT, pushed: tuple[int, int] = (0, 0), soft: float = 0.0,
    ) -> Cells:  # fmt: skip
        top, left = MARGIN + pushed[0], MARGIN + pushed[1]
        grey = softened(self.sees[top : top + HEIGHT, left : left + WIDTH], soft) * light
        grey = grey + self.grain * self.rng.standard_normal(grey.shape)
        coloured = grey[:, :, None] * np.array(tint)
        return np.asarray(np.clip(coloured, 0, 255), np.float32)

    def shot(
        self, *, light: float = 1.0, tint: Sequence[float] = SUNLIGHT, pushed: tuple[int, int] = (0, 0), soft: float = 0.0,
    ) -> Frame:  # fmt: skip
        return frame_of_cells(self.cells(light=light, tint=tint, pushed=pushed, soft=soft))


def watch_of(camera: Camera, limits: PictureLimits = LIMITS) -> Watch:
    """One that knows what is usual by day. Nothing is learnt of the first picture, which may be an old one."""
    watch = Watch(limits)
    said = [watch.judge(camera.shot()) for _ in range(limits.learn_frames + 2)]
    assert [one["moved"] for one in said] == [LEARNING] * (limits.learn_frames + 1) + [NO]
    look = watch.looks["day"]
    assert look.seen == limits.learn_frames + 1
    assert look.sharpness_least == pytest.approx(SHARPNESS_KEPT * look.sharpness, rel=0.02)
    return watch


def verdicts(watch: Watch, frames: Sequence[Frame], fault: Fault) -> list[Verdict]:
    """What was said of one fault after each picture."""
    return [watch.judge(frame)[fault] for frame in frames]


def black(pictures: int) -> list[Frame]:
    return [frame_of_cells(np.zeros((HEIGHT, WIDTH, 3), np.float32))] * pictures


# --- one picture ---------------------------------------------------------------------------------


def with_patch(rows: slice, columns: slice, level: float) -> Frame:
    cells = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    cells[rows, columns] = level
    return frame_of_cells(cells)


BLACK = {
    "nothing at all": (with_patch(slice(0), slice(0), 0), True),
    "a light in a corner of it": (with_patch(slice(30, 33), slice(50, 53), 255), True),
    "writing above and below": (with_patch(slice(0, BAND.start - 3), slice(None), 255), True),
    "a tenth of it lit": (with_patch(slice(30, 50), slice(50, 110), 255), False),
    "a tenth of it lit too little": (with_patch(slice(30, 50), slice(50, 110), 15), True),
    "all alike and bright": (with_patch(slice(None), slice(None), 200), True),
    "half of it hardly brighter": (
        with_patch(slice(None), slice(0, 80), BLANK_SPREAD - 1),
        True,
    ),
    "a view": (Camera().shot(), False),
    "a view in fog, just still one": (
        frame_of_cells(120 + Camera(grain=0).cells(tint=INFRARED) / 12),
        False,
    ),
}


@pytest.mark.parametrize("name", BLACK)
def test_what_is_black(name: str) -> None:
    frame, wanted = BLACK[name]
    assert is_black(frame, LIMITS.black_below) is wanted


@pytest.mark.parametrize(
    ("grey", "colour", "look"),
    [
        (120, COLOUR_MIN, "day"), (DARK_BELOW, 40, "day"), (DARK_BELOW - 1, 40, "dark"),
        (DARK_BELOW - 1, COLOUR_MIN - 1, "infrared"), (120, COLOUR_MIN - 1, "infrared"),
    ],
)  # fmt: skip
def test_which_look_a_camera_shows(grey: float, colour: float, look: str) -> None:
    assert look_of(Frame(np.full((HEIGHT, WIDTH), grey, np.float32), colour)) == look


def test_cameras_show_their_looks_by_the_light() -> None:
    camera = Camera()
    assert look_of(camera.shot()) == "day"
    assert look_of(camera.shot(light=0.2, tint=LAMP)) == "dark"
    assert look_of(camera.shot(tint=INFRARED)) == "infrared"


# --- black ---------------------------------------------------------------------------------------


def test_a_camera_that_is_black_from_the_start_is_black_and_nothing_else_is_known_of_it() -> None:
    watch = Watch(LIMITS)
    said = [watch.judge(frame) for frame in black(LIMITS.frozen_frames + 3)]
    first = LIMITS.frames - 1
    assert [one["black"] for one in said[: first + 1]] == [LEARNING] * first + [YES]
    assert all(one["black"] is YES for one in said[first:])
    assert [said[-1][fault] for fault in ("frozen", "blurred", "moved")] == [HIDDEN] * 3
    assert watch.looks == {}


def test_after_the_dark_a_camera_is_learnt_as_one_that_was_never_black() -> None:
    watch, camera = Watch(LIMITS), Camera()
    for frame in black(20):
        watch.judge(frame)
    lit = [watch.judge(camera.shot()) for _ in range(LIMITS.frames + LIMITS.learn_frames + 1)]
    assert [one["black"] for one in lit[: LIMITS.frames]] == [YES] * (LIMITS.frames - 1) + [NO]
    assert lit[-1] == dict.fromkeys(("black", "frozen", "blurred", "moved"), NO)


# --- frozen --------------------------------------------------------------------------------------


def clocked(cells: Cells, second: int) -> Frame:
    """With a clock in its upper left corner, of which the last two digits change."""
    cells = cells.copy()
    cells[3:9, 4:80] = 0
    for place, digit in enumerate((second // 10, second % 10)):
        cells[3:9, 60 + 10 * place : 61 + 10 * place + digit] = 255
    return frame_of_cells(cells)


def test_a_clock_that_runs_in_a_frozen_picture_makes_it_no_living_one() -> None:
    watch, camera = Watch(LIMITS), Camera()
    for second in range(3):
        assert watch.judge(clocked(camera.cells(), second))["frozen"] is not YES
    stuck = camera.cells()
    said = verdicts(watch, [clocked(stuck, second) for second in range(50)], "frozen")
    repeats = LIMITS.frozen_frames
    assert said[: repeats + 1] == [NO] * repeats + [YES]
    assert set(said[repeats:]) == {YES}
    assert verdicts(watch, [clocked(camera.cells(), 3)], "frozen") == [NO], (
        "one that differs is enough"
    )


def test_a_picture_that_is_frozen_from_the_start_is_known_after_as_many() -> None:
    stuck = Camera().cells()
    said = verdicts(Watch(LIMITS), [clocked(stuck, second) for second in range(7)], "frozen")
    assert said == [LEARNING] * LIMITS.frozen_frames + [YES] * 2


def test_a_small_thing_that_wanders_is_life_however_little_changes_at_once() -> None:
    still, frames = Camera(grain=0).cells(), []
    for step in range(80):
        cells = still.copy()
        cells[40:52, 2 * step : 2 * step + 6] = 255
        frames.append(frame_of_cells(cells))
    changed = np.mean(frames[0].grey != frames[1].grey)
    assert 0 < changed < LIMITS.changed_max
    limits = PictureLimits(frozen_frames=40)
    assert YES not in verdicts(Watch(limits), frames, "frozen")


def test_writing_that_changes_more_than_a_camera_writes_is_life() -> None:
    still, rng = Camera(grain=0).cells(), np.random.default_rng(3)
    frames = []
    for _ in range(20):
        cells = still.copy()
        cells[0:12] = rng.uniform(0, 255, cells[0:12].shape)
        frames.append(frame_of_cells(cells))
    assert YES not in verdicts(Watch(LIMITS), frames, "frozen")


def test_what_is_frozen_is_neither_judged_further_nor_learnt() -> None:
    camera = Camera()
    watch = watch_of(camera)
    seen = watch.looks["day"].seen
    stuck = [frame_of_cells(camera.cells(pushed=PUSHED))] * 20
    assert verdicts(watch, stuck, "moved")[-1] is HIDDEN
    assert watch.looks["day"].seen == seen


# --- blurred -------------------------------------------------------------------------------------


def test_a_camera_out_of_focus_is_found_after_so_many_pictures_and_not_learnt() -> None:
    camera = Camera()
    watch = watch_of(camera)
    seen = watch.looks["day"].seen
    said = verdicts(watch, [camera.shot(soft=1.0) for _ in range(30)], "blurred")
    assert said == [NO] * (LIMITS.frames - 1) + [YES] * (31 - LIMITS.frames)
    assert watch.looks["day"].seen == seen
    assert verdicts(watch, [camera.shot() for _ in range(3)], "blurred") == [YES, YES, NO]


def test_a_camera_that_was_never_in_focus_is_not_taken_for_usual() -> None:
    camera = Camera()
    assert sharpness(camera.shot(soft=1.0).grey) < SHARPNESS_FLOOR < sharpness(camera.shot().grey)
    watch = Watch(LIMITS)
    said = verdicts(watch, [camera.shot(soft=1.0) for _ in range(30)], "blurred")
    assert (set(said), watch.looks) == ({LEARNING}, {})


def test_each_look_has_the_sharpness_that_it_was_learnt_with() -> None:
    """Many lenses are softer in infrared light; what is usual there is a fault by day."""
    limits = PictureLimits(sharpness_min=0.8)
    camera = Camera()
    watch = watch_of(camera, limits)
    by_night = [camera.shot(tint=INFRARED, soft=0.3) for _ in range(20)]
    by_day, night = sharpness(camera.shot().grey), sharpness(by_night[0].grey)
    assert SHARPNESS_FLOOR < night < limits.sharpness_min * by_day
    said = verdicts(watch, by_night, "blurred")
    assert YES not in said
    assert said[-1] is NO
    assert verdicts(watch, [camera.shot(soft=0.3) for _ in range(3)], "blurred")[-1] is YES


def test_a_lens_that_softens_over_the_years_is_never_usual() -> None:
    edges = structure(Camera().shot().grey)
    look = Look(edges, 1.0, sharpness_least=SHARPNESS_KEPT)
    for _ in range(5_000):
        look.take(edges, 0.5, 1 / 256)
    assert look.sharpness == pytest.approx(SHARPNESS_KEPT)


# --- moved ---------------------------------------------------------------------------------------


def test_a_camera_that_was_pushed_is_found_and_one_put_back_is_well() -> None:
    camera = Camera()
    watch = watch_of(camera)
    said = verdicts(watch, [camera.shot(pushed=PUSHED) for _ in range(20)], "moved")
    assert said == [NO] * (LIMITS.frames - 1) + [YES] * (21 - LIMITS.frames)
    seen = watch.looks["day"].seen
    assert verdicts(watch, [camera.shot() for _ in range(3)], "moved") == [YES, YES, NO]
    assert watch.looks["day"].seen == seen, "nothing is learnt while a fault is known"


def test_a_push_along_level_lines_is_found_though_most_of_the_view_looks_as_before() -> None:
    camera = Camera(shelves())
    watch = watch_of(camera)
    pushed = camera.shot(pushed=(0, 5))
    like = watch.looks["day"].like(structure(pushed.grey))
    assert like > LIMITS.likeness_min * watch.looks["day"].likeness
    said = [camera.shot(pushed=(0, 5)) for _ in range(3)]
    assert verdicts(watch, said, "moved")[-1] is YES


def test_something_that_is_put_before_most_of_the_view_is_told_as_another_view() -> None:
    """What is left fits best where it was: nothing has moved by a few cells."""
    camera, before = Camera(), Camera(world(2))
    watch, frames = watch_of(camera), []
    for _ in range(3):
        cells = before.cells()
        cells[:, :40] = camera.cells()[:, :40]
        frames.append(frame_of_cells(cells))
    assert verdicts(watch, frames, "moved")[-1] is YES


def test_what_was_found_long_ago_is_not_held_against_a_picture_that_is_well_now() -> None:
    """Pushed, then frozen for long, and put back before it lived again."""
    camera = Camera()
    watch = watch_of(camera)
    pushed = [camera.shot(pushed=PUSHED) for _ in range(3)]
    assert verdicts(watch, pushed, "moved")[-1] is YES
    verdicts(watch, [pushed[-1]] * 20, "moved")
    assert verdicts(watch, [camera.shot()], "moved") == [NO]


def test_pictures_that_do_not_agree_are_no_view_to_learn() -> None:
    watch, one, other = Watch(LIMITS), Camera(), Camera(world(2))
    for _ in range(LIMITS.learn_frames - 1):
        watch.judge(one.shot())
    assert watch.looks["day"].seen == LIMITS.learn_frames - 2
    watch.judge(other.shot())
    assert watch.looks["day"].seen == 1
    for _ in range(LIMITS.learn_frames):
        watch.judge(other.shot())
    assert verdicts(watch, [other.shot()], "moved") == [NO]
    assert verdicts(watch, [one.shot() for _ in range(3)], "moved")[-1] is YES


def test_a_camera_that_was_turned_away_altogether_is_found() -> None:
    watch = watch_of(Camera())
    elsewhere = Camera(world(2))
    assert verdicts(watch, [elsewhere.shot() for _ in range(3)], "moved")[-1] is YES


def test_a_pole_that_trembles_is_no_move() -> None:
    camera = Camera()
    watch, rng = watch_of(camera), np.random.default_rng(5)
    trembling = [(int(a), int(b)) for a, b in rng.integers(-2, 3, (40, 2))]
    assert len(set(trembling)) > 10
    said = verdicts(watch, [camera.shot(pushed=pushed) for pushed in trembling], "moved")
    assert YES not in said


def test_in_a_light_that_is_new_a_view_that_fits_elsewhere_is_moved() -> None:
    camera = Camera()
    watch = watch_of(camera)
    pushed = [camera.shot(tint=INFRARED, pushed=PUSHED) for _ in range(20)]
    said = verdicts(watch, pushed, "moved")
    assert said[-1] is YES
    assert "infrared" not in watch.looks
    assert watch.judge(pushed[0])["blurred"] is not YES


def test_in_a_light_that_is_new_a_view_that_fits_nowhere_is_not_called_moved() -> None:
    """By infrared light much is bright that was dark: the usual edges may be gone, and nobody has moved it."""
    watch = watch_of(Camera())
    strange = Camera(world(2))
    said = verdicts(watch, [strange.shot(tint=INFRARED) for _ in range(20)], "moved")
    assert YES not in said


@pytest.mark.parametrize(("light", "tint"), [(1.0, INFRARED), (0.25, LAMP)])
def test_a_camera_that_was_turned_away_stays_so_through_a_light_that_is_new(
    light: float, tint: Sequence[float]
) -> None:
    """The new light says neither, and what it shows is the wrong view: it must not become usual."""
    watch, away = watch_of(Camera()), Camera(world(2))
    assert verdicts(watch, [away.shot() for _ in range(3)], "moved")[-1] is YES
    by_night = verdicts(watch, [away.shot(light=light, tint=tint) for _ in range(40)], "moved")
    assert set(by_night[LIMITS.frames :]) == {LEARNING}
    next_day = verdicts(watch, [away.shot() for _ in range(40)], "moved")
    assert set(next_day[LIMITS.frames - 1 :]) == {YES}
    assert set(watch.looks) == {"day"}
    camera = Camera()
    assert verdicts(watch, [camera.shot() for _ in range(3)], "moved")[-1] is NO
    put_back = [watch.judge(camera.shot(light=light, tint=tint)) for _ in range(10)]
    assert put_back[-1]["moved"] is NO
    assert len(watch.looks) == 2, "put back, it learns again"


def test_in_a_light_that_is_new_the_old_view_is_known_at_once_and_its_focus_is_not() -> None:
    camera = Camera()
    watch = watch_of(camera)
    said = [watch.judge(camera.shot(tint=INFRARED)) for _ in range(LIMITS.learn_frames)]
    assert {one["moved"] for one in said} == {NO}
    assert watch.looks["infrared"].seen == LIMITS.learn_frames


def test_the_night_is_learnt_beside_the_day_and_each_finds_what_moved() -> None:
    camera = Camera()
    watch = watch_of(camera)
    lights = {"day": (1.0, SUNLIGHT), "dark": (0.25, LAMP), "infrared": (1.0, INFRARED)}
    for light, tint in lights.values():
        said = [watch.judge(camera.shot(light=light, tint=tint)) for _ in range(10)]
        assert (said[-1]["blurred"], said[-1]["moved"]) == (NO, NO)
    assert set(watch.looks) == set(lights)
    for light, tint in lights.values():
        pushed = [camera.shot(light=light, tint=tint, pushed=PUSHED) for _ in range(3)]
        assert verdicts(watch, pushed, "moved")[-1] is YES
        back = [camera.shot(light=light, tint=tint) for _ in range(3)]
        assert verdicts(watch, back, "moved")[-1] is NO


# --- what the camera sends -----------------------------------------------------------------------


def as_jpeg(cells: Cells, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(cells.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()


@pytest.mark.parametrize("size", [(640, 360), (1920, 1080), (704, 576)])
def test_another_size_of_the_same_view_is_neither_blurred_nor_moved(size: tuple[int, int]) -> None:
    camera, watch = Camera(), Watch(LIMITS)
    for _ in range(LIMITS.learn_frames):
        watch.judge(frame_of(as_jpeg(camera.cells(), (1280, 720))))
    said = [watch.judge(frame_of(as_jpeg(camera.cells(), size))) for _ in range(10)]
    assert said[-1] == dict.fromkeys(("black", "frozen", "blurred", "moved"), NO)


def test_a_frozen_picture_that_comes_in_another_size_is_frozen_still() -> None:
    stuck, watch = Camera().cells(), Watch(LIMITS)
    for size in ((640, 360), (1280, 720)):
        again = [frame_of(as_jpeg(stuck, size))] * (LIMITS.frozen_frames + 1)
        assert verdicts(watch, again, "frozen")[-1] is YES
