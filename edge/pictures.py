"""Whether a camera's pictures are black, frozen, blurred or moved, against its own usual looks. Pure."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from config.profile import PictureLimits

Floats = npt.NDArray[np.float32]
Complexes = npt.NDArray[np.complex64]
Fault = Literal["black", "frozen", "blurred", "moved"]
FAULTS: Final[tuple[Fault, ...]] = ("black", "frozen", "blurred", "moved")
"""Each hides those behind it: of a black picture nobody can say whether it is blurred."""
LookName = Literal["day", "dark", "infrared"]

WIDTH: Final = 160
HEIGHT: Final = 90
BAND: Final = slice(11, HEIGHT - 11)
"""Rows that structure is judged by: text that the camera writes stands above or below them."""
SHIFT_MAX: Final = 20
"""So far a turned camera's old view is looked for, cells."""
BLANK_SPREAD: Final = 12.0
"""A picture with less between its dark and its bright parts shows nothing, whatever its brightness."""
COLOUR_MIN: Final = 7.0
"""Mean distance of the strongest from the weakest colour below which a picture is infrared's."""
DARK_BELOW: Final = 48.0
EDGE_MIN: Final = 3.0
"""Grey levels from cell to cell that are no noise."""
NOISE: Final = 1.5
"""Times the median of what is fine: what is less is noise, which would make a soft picture look sharp."""
SHARPNESS_FLOOR: Final = 0.32
"""No look is learnt from pictures softer than this: whatever they show, it is not in focus."""
ALIKE_TO_LEARN: Final = 0.2
"""How much pictures must have in common to be of one view."""
LIKENESS_FLOOR: Final = 0.18
SHIFT_MIN: Final = 3
"""Cells; less is the trembling of a pole in the wind."""
SHIFT_GAIN: Final = 0.12
"""How much better than where it was the old view must fit elsewhere to have moved there."""
SURELY_ALIKE: Final = 0.85
"""From this part of the usual likeness on a view is the old one, without looking further."""
ADAPT: Final = 1 / 256
"""What one sound picture weighs in a look that is learnt: seasons are followed, a fault is not."""
SHARPNESS_KEPT: Final = 0.8
"""A look never takes less than this part of the sharpness it was learnt with for usual."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture as it is judged: grey cells (0..255, `HEIGHT` x `WIDTH`), and how much colour it has."""

    grey: Floats
    colour: float


def frame_of_cells(colours: npt.NDArray[np.generic]) -> Frame:
    """Of a picture of `HEIGHT` x `WIDTH` x 3 (red, green, blue, 0..255)."""
    cells = colours.astype(np.float32)
    spread = cells.max(2) - cells.min(2)
    return Frame(cells.mean(2), float(spread.mean()))


class Verdict(Enum):
    """What is known of one fault of a camera's pictures."""

    NO = "no"
    YES = "yes"
    LEARNING = "learning"
    """Not enough sound pictures were seen to say."""
    HIDDEN = "hidden"
    """Another fault hides it."""


Verdicts = dict[Fault, Verdict]


# --- what one picture is like ------------------------------------------------------------------------


def is_black(frame: Frame, black_below: float) -> bool:
    """Nothing to be seen: no part is bright, or all parts are alike."""
    low, high = np.percentile(_mean_of(frame.grey, 5)[BAND][::2, ::2], (2, 98))
    return bool(high < black_below or high - low < BLANK_SPREAD)


def look_of(frame: Frame) -> LookName:
    """Which of its looks a camera shows: infrared light has no colour."""
    if frame.colour < COLOUR_MIN:
        return "infrared"
    return "dark" if float(frame.grey.mean()) < DARK_BELOW else "day"


def structure(grey: Floats) -> Complexes:
    """Where edges are and which way they run, whatever the light: unit norm, 0 if there are none.

    The angle is doubled, so that an edge is the same one when light and dark change sides.
    """
    smooth = _mean_of(grey, 3)
    down, right = np.gradient(smooth[BAND])
    strength = np.hypot(down, right)
    weight = strength / (strength + _mean_of(strength, 15) + EDGE_MIN)
    turned = ((right + 1j * down) / np.maximum(strength, 1e-6)) ** 2
    edges = (weight * turned).astype(np.complex64)
    edges -= edges.mean()
    return _unit(edges)


def likeness(one: Complexes, other: Complexes) -> float:
    """1 for the same view, about 0 for another."""
    return float(np.vdot(one, other).real)


def shifted(usual: Complexes, now: Complexes) -> tuple[float, int]:
    """How well the usual view fits where it fits best nearby, and how far away that is, cells."""
    fit = np.fft.ifft2(np.fft.fft2(now) * np.conj(np.fft.fft2(usual))).real
    reach = min(SHIFT_MAX, fit.shape[0] // 2 - 1)
    near = np.roll(fit, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    return float(near[row, column]), max(abs(int(row) - reach), abs(int(column) - reach))


def sharpness(grey: Floats) -> float:
    """How steep edges are in the sharper parts of a picture, whatever their contrast; 0 without any.

    By tiles, so that the soft glare of a headlight spoils only those it shines into.
    """
    soft, softer = _mean_of(grey, 3), _mean_of(grey, 9)
    fine, coarse = np.abs(grey - soft)[BAND], np.abs(soft - softer)[BAND]
    steep = _tiles(np.maximum(fine - NOISE * np.median(fine), 0.0))
    rise = _tiles(coarse)
    edged = rise >= EDGE_MIN / 2
    return float(np.percentile(steep[edged] / rise[edged], 75)) if edged.any() else 0.0


def _tiles(cells: Floats) -> Floats:
    """Mean of each tile of 17 x 16 cells."""
    return np.asarray(cells.reshape(4, 17, 10, 16).mean((1, 3)), np.float32)


def _mean_of(cells: Floats, size: int) -> Floats:
    """Each cell's mean over a square of odd `size` around it."""
    half = size // 2
    wide = np.pad(cells, (half + 1, half), "edge").astype(np.float64)
    down = np.cumsum(wide, 0)
    right = np.cumsum(down[size:] - down[:-size], 1)
    return ((right[:, size:] - right[:, :-size]) / size**2).astype(np.float32)


def _unit(edges: Complexes) -> Complexes:
    norm = float(np.linalg.norm(edges))
    return edges / np.float32(norm) if norm > 1e-6 else np.zeros_like(edges)


# --- what is usual -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Look:
    """What a camera usually shows by one kind of light, from `seen` pictures that agreed."""

    edges: Complexes
    sharpness: float
    likeness: float = 1.0
    seen: int = 1
    sharpness_least: float = 0.0

    def like(self, edges: Complexes) -> float:
        """How much a picture's structure is like the usual one."""
        return likeness(_unit(self.edges), edges)

    def take(self, edges: Complexes, sharp: float, weight: float) -> None:
        """Let one more picture count."""
        near = self.like(edges)
        self.edges = self.edges + np.float32(weight) * (edges - self.edges)
        self.sharpness += weight * (sharp - self.sharpness)
        self.sharpness = max(self.sharpness, self.sharpness_least)
        self.likeness += weight * (near - self.likeness)
        self.seen += 1


@dataclass(slots=True)
class _Finding:
    """One fault over consecutive pictures: it is there, or gone, when `frames` in a row have said so."""

    shown: bool | None = None
    against: int = 0
    unsaid: int = 0
    last: bool | None = None
    """What was shown last, however many pictures have said nothing since."""

    def vote(self, said: bool | None, frames: int) -> None:
        if said is None:
            self.unsaid += 1
            if self.unsaid >= frames:
                self.shown, self.against = None, 0
            return
        self.unsaid = 0
        self.against = 0 if said == self.shown else self.against + 1
        if self.against >= frames or (self.shown is None and not said):
            self.shown, self.against = said, 0
        self.last = self.shown if self.shown is not None else self.last


@dataclass(slots=True)
class _Still:
    """How long nothing has changed but what the camera itself writes into the picture."""

    first: Floats | None = None
    changed: npt.NDArray[np.bool_] | None = None
    frames: int = 0
    lives: bool = False
    """Whether the last picture differed from those before."""

    def see(self, grey: Floats, changed_max: float) -> None:
        if self.first is not None and self.changed is not None:
            changed = self.changed | (grey != self.first)
            self.lives = float(changed.mean()) > changed_max
            if not self.lives:
                self.changed = changed
                self.frames += 1
                return
        self.first, self.changed, self.frames = grey, np.zeros(grey.shape, np.bool_), 0


@dataclass(slots=True)
class Watch:
    """One camera's pictures, one after the other; holds a few small arrays, however long it runs."""

    limits: PictureLimits
    looks: dict[LookName, Look] = field(default_factory=dict)
    """What is usual, and what is being learnt."""
    _found: dict[Fault, _Finding] = field(default_factory=lambda: {f: _Finding() for f in FAULTS})
    _still: _Still = field(default_factory=_Still)

    def judge(self, frame: Frame) -> Verdicts:
        """What is known after this picture, the next one in time."""
        limits = self.limits
        self._still.see(frame.grey, limits.changed_max)
        black = is_black(frame, limits.black_below)
        blurred, moved = (None, None) if black or not self._still.lives else self._compare(frame)
        self._found["black"].vote(black, limits.frames)
        self._found["frozen"].shown = self._is_frozen()
        self._found["blurred"].vote(blurred, limits.frames)
        self._found["moved"].vote(moved, limits.frames)
        return self._verdicts()

    def _verdicts(self) -> Verdicts:
        said: Verdicts = {}
        hidden = False
        for fault in FAULTS:
            shown = self._found[fault].shown
            known = Verdict.LEARNING if shown is None else Verdict.YES if shown else Verdict.NO
            said[fault] = Verdict.HIDDEN if hidden else known
            hidden = hidden or bool(shown)
        return said

    def _is_frozen(self) -> bool | None:
        """One picture that differs is enough to know that it is not."""
        if self._still.frames >= self.limits.frozen_frames:
            return True
        return False if self._still.lives else self._found["frozen"].shown

    # --- against what is usual

    def _compare(self, frame: Frame) -> tuple[bool | None, bool | None]:
        """Whether this picture looks blurred, and whether moved; None where that cannot be said of it."""
        edges, sharp, name = structure(frame.grey), sharpness(frame.grey), look_of(frame)
        own = self._usual(name)
        near = max(self._all_usual(), key=lambda look: look.like(edges), default=None)
        if near is None or sharp == 0.0:
            blurred = moved = None
        else:
            blurred = sharp < self.limits.sharpness_min * (own or near).sharpness
            moved = None if blurred else self._is_moved(near, edges)
        if own is None and moved is not False:  # in a light that is new, only what fits is known
            blurred = None
            moved = moved if moved and self._fits_elsewhere(near, edges) else None
        if not blurred and not moved:
            self._learn(name, edges, sharp)
        return blurred, moved

    def _is_moved(self, look: Look, edges: Complexes) -> bool:
        like = look.like(edges)
        if like > SURELY_ALIKE * look.likeness:
            return False
        usual = self.limits.likeness_min * look.likeness
        fit, away = shifted(_unit(look.edges), edges)
        if away < SHIFT_MIN:  # a pole trembles
            return fit < max(usual, LIKENESS_FLOOR)
        return like < max(usual, LIKENESS_FLOOR) or fit > like + SHIFT_GAIN

    def _fits_elsewhere(self, look: Look | None, edges: Complexes) -> bool:
        if look is None:
            return False
        fit, away = shifted(_unit(look.edges), edges)
        return away >= SHIFT_MIN and fit > look.like(edges) + SHIFT_GAIN

    def _usual(self, name: LookName) -> Look | None:
        look = self.looks.get(name)
        return look if look is not None and look.seen >= self.limits.learn_frames else None

    def _all_usual(self) -> list[Look]:
        return [look for look in self.looks.values() if look.seen >= self.limits.learn_frames]

    def _learn(self, name: LookName, edges: Complexes, sharp: float) -> None:
        """Only from pictures in focus that agree, and while no fault is known or was when last anything was."""
        if sharp < SHARPNESS_FLOOR or any(f.shown or f.last for f in self._found.values()):
            return
        look = self.looks.get(name)
        if look is None or (self._usual(name) is None and look.like(edges) < ALIKE_TO_LEARN):
            self.looks[name] = Look(edges, sharp)
            return
        look.take(edges, sharp, max(1 / (look.seen + 1), ADAPT))
        if look.seen == self.limits.learn_frames:
            look.sharpness_least = SHARPNESS_KEPT * look.sharpness
