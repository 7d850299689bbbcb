"""What a simulated camera sees: a drawn scene through its day, its weather and its failures."""

import io
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]
"""Rows of red, green and blue."""

WIDTH: Final = 160
HEIGHT: Final = 90
MARGIN: Final = 40
"""How much more of the world there is on each side than the camera shows."""
HORIZON: Final = 0.42
SNAPSHOT: Final = (640, 360)
MOVED_BY: Final = (6, 17)
"""Cells down and to the right, of the picture's 90 x 160, that a camera was pushed."""
BLUR_PASSES: Final = 3
MINUTE_MS: Final = 60_000
DAY_S: Final = 86_400

GLYPHS: Final = {
    "0": (7, 5, 5, 5, 7), "1": (2, 6, 2, 2, 7), "2": (7, 1, 7, 4, 7), "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1), "5": (7, 4, 7, 1, 7), "6": (7, 4, 7, 5, 7), "7": (7, 1, 1, 2, 2),
    "8": (7, 5, 7, 5, 7), "9": (7, 5, 7, 1, 7), "-": (0, 0, 7, 0, 0), ":": (0, 2, 0, 2, 0),
    " ": (0, 0, 0, 0, 0),
}  # fmt: skip
"""Digits as five rows of three bits."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the sky does at one instant. `sun` 0 (night) .. 1 (noon); `rain` and `cloud` 0 .. 1."""

    sun: float
    rain: float = 0.0
    cloud: float = 0.0


class Scene:
    """One camera's view: houses, a road, trees; some stand on a pole that trembles in the wind.

    Equal seeds and times give equal pictures.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0xCA])
        self._seed = seed
        self._light, self._tint = _world(rng)
        self._trees = [
            (int(rng.integers(20, 60)), int(rng.integers(MARGIN, MARGIN + WIDTH)), int(rng.integers(9, 18)))
            for _ in range(int(rng.integers(1, 4)))
        ]  # fmt: skip
        self._leaves = rng.uniform(0.35, 1.0, (40, 80)).astype(np.float32)
        rows, columns = np.mgrid[0 : self._light.shape[0], 0 : self._light.shape[1]]
        self._slope = (columns + 0.6 * rows).astype(np.float32)
        self._lamp = _lamp()
        self._infrared = bool(rng.random() < 0.7)
        self._road = bool(rng.random() < 0.8)
        self._indoors = bool(rng.random() < 0.25)
        self._on_pole = bool(rng.random() < 0.3) and not self._indoors

    @property
    def sees_at_night(self) -> bool:
        """Whether there is light enough by night to tell a soft picture from a sharp one."""
        return self._infrared or self._indoors

    def draw(self, now: datetime, failure: str = "", *, shown: datetime | None = None) -> Picture:
        """The picture at local time `now`; `shown` is when a frozen one was taken.

        `failure` is black, blurred, moved or nothing. The camera writes its clock into every picture.
        """
        rng = np.random.default_rng([self._seed, int((shown or now).timestamp() * 10)])
        seen = shown or now
        weather = Weather(0.5) if self._indoors else weather_at(seen, self._seed)
        if failure == "black":
            lit = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        else:
            lit = self._view(seen, weather, rng, MOVED_BY if failure == "moved" else (0, 0))
        if failure == "blurred":
            for _ in range(BLUR_PASSES):
                lit = _blurred(lit)
        exposed = self._exposed(lit, weather, rng)
        _write(exposed, now)
        return exposed

    # --- light

    def _view(
        self, now: datetime, weather: Weather, rng: np.random.Generator, pushed: tuple[int, int]
    ) -> Floats:
        """Light that reaches the lens, 0 and up, about 1 by day."""
        world = self._light.copy()
        self._sway(world, now, rng)
        self._pass(world, rng)
        ambient = 0.02 + 0.98 * weather.sun * (1 - 0.5 * weather.cloud)
        infrared = self._is_infrared(weather)
        lit = world * np.float32(ambient)
        if not infrared and not self._indoors:
            lit *= self._shadow(now, weather)
        down, right = rng.integers(-1, 2, 2) if self._on_pole else (0, 0)
        top, left = MARGIN + pushed[0] + int(down), MARGIN + pushed[1] + int(right)
        window = (slice(top, top + HEIGHT), slice(left, left + WIDTH))
        if infrared:
            lamp = world[window] * self._lamp * np.float32(0.35)
            colour = np.repeat((lit[window] + lamp)[:, :, None], 3, 2)
        else:
            colour = lit[window][:, :, None] * self._tint[window]
        self._headlights(colour, weather, rng)
        return self._rained(colour, weather, rng)

    def _is_infrared(self, weather: Weather) -> bool:
        return self._infrared and weather.sun < 0.08

    def _shadow(self, now: datetime, weather: Weather) -> Floats:
        """A building's shadow that wanders over the ground with the hours."""
        hour = _hour(now)
        edge = (hour - 6) / 12 * (self._light.shape[1] + 120) - 60
        dark = 1 - 0.5 * (1 - weather.cloud) * (weather.sun > 0.1)
        return np.where(self._slope < edge, np.float32(1), np.float32(dark))

    def _sway(self, world: Floats, now: datetime, rng: np.random.Generator) -> None:
        for top, left, size in () if self._indoors else self._trees:
            wind = int(rng.integers(-2, 3))
            leaves = np.roll(self._leaves, (int(rng.integers(-1, 2)), wind), (0, 1))[
                : 2 * size, : 2 * size
            ]
            high, wide = leaves.shape
            at = (slice(top, top + high), slice(left + wind, left + wind + wide))
            part = world[at]
            part[:] = leaves[: part.shape[0], : part.shape[1]] * 0.45

    def _pass(self, world: Floats, rng: np.random.Generator) -> None:
        """Cars on the road and people on the ground."""
        for _ in range(int(rng.integers(0, 4)) if self._road else int(rng.integers(0, 2))):
            high, wide = (7, 18) if rng.random() < 0.5 else (10, 4)
            top = int(rng.integers(MARGIN + 50, MARGIN + HEIGHT - high))
            left = int(rng.integers(MARGIN, MARGIN + WIDTH - wide))
            world[top : top + high, left : left + wide] = rng.uniform(0.1, 0.9)

    def _headlights(self, colour: Floats, weather: Weather, rng: np.random.Generator) -> None:
        if weather.sun > 0.15 or not self._road or rng.random() > 0.3:
            return
        rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
        row, column = rng.uniform(45, 85), rng.uniform(10, 150)
        glare = rng.uniform(2, 16)
        for side in (-1, 1):
            far = np.hypot(rows - row, columns - column - side * rng.uniform(2, 7))
            colour += (1.2 * np.exp(-((far / glare) ** 2)))[:, :, None].astype(np.float32)

    def _rained(self, colour: Floats, weather: Weather, rng: np.random.Generator) -> Floats:
        if weather.rain <= 0:
            return colour
        haze = np.float32(0.35 * weather.rain)
        colour = colour * (1 - haze) + haze * np.float32(colour.mean())
        bright = np.float32(0.15 * weather.rain * max(float(colour.mean()), 0.1))
        for _ in range(int(120 * weather.rain)):
            row, column = int(rng.integers(0, HEIGHT - 8)), int(rng.integers(0, WIDTH))
            colour[row : row + int(rng.integers(3, 8)), column] += bright
        return colour

    # --- the camera itself

    def _exposed(self, lit: Floats, weather: Weather, rng: np.random.Generator) -> Picture:
        """Automatic exposure that hunts a little, gain that brings noise, 8 bits."""
        gain = float(np.clip(0.5 / max(float(lit.mean()), 1e-3), 0.6, 9.0)) * rng.uniform(0.9, 1.1)
        noise = 0.004 + 0.0022 * gain
        grain = rng.standard_normal((*lit.shape[:2], 1), np.float32) * np.float32(noise)
        grain = grain + rng.standard_normal(lit.shape, np.float32) * np.float32(noise / 3)
        if self._is_infrared(weather):
            grain = grain.mean(2, keepdims=True)
        shown = lit * np.float32(gain) + grain
        return np.asarray(255 * np.clip(shown, 0, 1), np.uint8)


def weather_at(now: datetime, seed: int) -> Weather:
    """Sun by the hour (dusk about 6 and 18 o'clock), clouds and rain by the seed and the day."""
    rng = np.random.default_rng([seed, now.toordinal()])
    rains = [(rng.uniform(0, 24), rng.uniform(0.7, 3)) for _ in range(3)]
    hour = _hour(now)
    height = math.sin(math.pi * (hour - 6) / 12)
    sun = 1 / (1 + math.exp(-14 * height))
    rain = max(max(0.0, 1 - abs(hour - at) / long) for at, long in rains)
    slow = 0.5 + 0.5 * math.sin(hour * 2.1 + rng.uniform(0, 6)) * math.sin(hour * 5.3)
    return Weather(sun, rain, min(1.0, max(slow, rain)))


def jpeg(picture: Picture) -> bytes:
    """As a camera sends it, larger than it was drawn."""
    out = io.BytesIO()
    Image.fromarray(picture).resize(SNAPSHOT, Image.Resampling.BICUBIC).save(
        out, "JPEG", quality=88
    )
    return out.getvalue()


def _hour(now: datetime) -> float:
    return now.hour + now.minute / 60 + now.second / 3600


def _lamp() -> Floats:
    """An infrared lamp beside the lens: strong in the middle."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    far = np.hypot((rows - 50) / 55, (columns - 80) / 85)
    return np.asarray(np.exp(-(far**2)), np.float32)


def _blurred(lit: Floats) -> Floats:
    """Each cell's mean over 5 x 5."""
    wide = np.pad(lit, ((2, 2), (2, 2), (0, 0)), "edge")
    rows = np.add.reduce([wide[k : k + HEIGHT] for k in range(5)])
    return np.asarray(np.add.reduce([rows[:, k : k + WIDTH] for k in range(5)]) / 25, np.float32)


def _world(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """How light every place is by itself, and its colour."""
    high, wide = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    ground = MARGIN + round(HORIZON * HEIGHT)
    light = np.empty((high, wide), np.float32)
    light[:ground] = np.linspace(0.95, 0.75, ground, dtype=np.float32)[:, None]
    light[ground:] = np.linspace(0.35, 0.5, high - ground, dtype=np.float32)[:, None]
    tint = np.ones((high, wide, 3), np.float32)
    tint[:ground] = (0.85, 0.95, 1.15)
    tint[ground:] = (1.0, 1.02, 0.9)
    left = 0
    while left < wide:
        width = int(rng.integers(18, 50))
        _house(light, tint, (ground, left, width), rng)
        left += width + int(rng.integers(0, 14))
    _lines(light, ground, rng)
    light[ground:] *= rng.uniform(0.93, 1.07, (high - ground, wide)).astype(np.float32)
    return light, tint


def _house(
    light: Floats, tint: Floats, place: tuple[int, int, int], rng: np.random.Generator
) -> None:
    ground, left, width = place
    top = ground - int(rng.integers(14, 50))
    base = ground + int(rng.integers(0, 12))
    light[top:base, left : left + width] = rng.uniform(0.3, 0.75)
    tint[top:base, left : left + width] = rng.uniform(0.75, 1.25, 3)
    step_down, step_right = int(rng.integers(6, 11)), int(rng.integers(5, 10))
    for row in range(top + 3, base - 4, step_down):
        for column in range(left + 2, left + width - 3, step_right):
            light[row : row + 4, column : column + 3] *= rng.uniform(0.3, 0.6)


def _lines(light: Floats, ground: int, rng: np.random.Generator) -> None:
    """Kerbs and markings that run to one point, and poles."""
    high, wide = light.shape
    point = wide / 2 + rng.uniform(-40, 40)
    for _ in range(int(rng.integers(4, 8))):
        foot, shade = rng.uniform(-60, wide + 60), rng.uniform(0.6, 0.95)
        for row in range(ground + 2, high):
            column = round(point + (foot - point) * (row - ground) / (high - ground))
            if 0 <= column < wide:
                light[row, column : column + 1 + (row - ground) // 25] = shade
    for column in rng.integers(0, wide - 2, 7):
        top = ground - int(rng.integers(5, 30))
        light[top : ground + int(rng.integers(4, 40)), column : column + 2] = rng.uniform(0.1, 0.3)


def _write(picture: Picture, now: datetime) -> None:
    """The clock, in the upper left corner."""
    at = 3
    for sign in now.strftime("%Y-%m-%d %H:%M:%S"):
        for row, bits in enumerate(GLYPHS[sign]):
            for column in range(3):
                if bits >> (2 - column) & 1:
                    picture[3 + row, at + column] = 255
        at += 4
