"""What the fuzzers share: a seeded life of a receiver, damage to bytes, and the word for what must not be."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

START_MS: Final = 1_763_700_000_000
NOISE_BYTES_MAX: Final = 300
HONEST: Final = "honest"
"""The kind of frame to which nothing was done."""


class Wrong(Exception):
    """A receiver did what no correct one may; `frame` is what it was given last."""

    def __init__(self, what: str, frame: bytes = b"") -> None:
        super().__init__(what)
        self.what = what
        self.frame = frame


@dataclass(slots=True)
class Tally:
    """What came of the frames: by what was done to each, and how many readings had a value or none."""

    frames: Counter[str] = field(default_factory=Counter)
    values: int = 0
    scaled: int = 0
    """Of those, by an exponent that was read too."""
    without_value: int = 0
    right: int = 0
    """Values that were judged and found to be what a fitting frame says."""
    sole: int = 0
    """Of those, where all fitting frames say the same."""

    def judged(self, says: Collection[float | None]) -> None:
        """A value is one of what the fitting frames say."""
        self.right += 1
        self.sole += len(set(says)) == 1

    @property
    def count(self) -> int:
        return self.frames.total()

    @property
    def not_honest(self) -> int:
        """Frames to which something was done."""
        return self.count - self.frames[HONEST]


Each = Callable[[], None]
"""Called after each frame."""
Life = Callable[[random.Random, int, Tally, Each], None]
"""One receiver from its start, given so many frames or a few more; raises `Wrong`."""


class Hands:
    """A `Clock` whose time is set by hand; nothing that is fuzzed by it sleeps."""

    def __init__(self) -> None:
        self.s = 0.0

    def now(self) -> int:
        return START_MS + round(self.s * 1000)

    def monotonic(self) -> float:
        return self.s

    async def sleep_until(self, deadline: float) -> None:
        self.s = max(self.s, deadline)


def seeded(*of: object) -> random.Random:
    """Chance that is the same each time for the same words."""
    return random.Random(":".join(str(one) for one in of))  # noqa: S311  repeatable, no secret


# --- damage ----------------------------------------------------------------------------------------


def _flipped(rng: random.Random, raw: bytes) -> bytes:
    made = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def _replaced(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + bytes((rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256))),)) + raw[at + 1 :]  # fmt: skip


def _without_end(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw))]


def _without_beginning(rng: random.Random, raw: bytes) -> bytes:
    return raw[rng.randrange(len(raw)) :]


def _without_part(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + raw[at + rng.randint(1, 8) :]


def _with_more(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.randbytes(rng.randint(1, 8)) + raw[at:]


def _with_part_again(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    part = raw[at : at + rng.randint(1, 12)]
    return raw[:at] + part + raw[at:]


DAMAGE: Final[Sequence[Callable[[random.Random, bytes], bytes]]] = (
    _flipped, _flipped, _replaced, _without_end, _without_beginning, _without_part, _with_more, _with_part_again,
)  # fmt: skip


def damaged(rng: random.Random, raw: bytes) -> bytes:
    """The bytes with one to three things done to them that lines and programmers do."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not raw:
            return rng.randbytes(3)
        raw = rng.choice(DAMAGE)(rng, raw)
    return raw


def noise(rng: random.Random) -> bytes:
    """Bytes of nobody."""
    return rng.randbytes(rng.randint(1, NOISE_BYTES_MAX))


def pieces(rng: random.Random, raw: bytes) -> list[bytes]:
    """The bytes in the pieces in which they arrive, mostly one."""
    if len(raw) < 2 or rng.random() < 0.6:
        return [raw]
    cuts = sorted({rng.randrange(1, len(raw)) for _ in range(rng.choice((1, 1, 2, 4)))})
    return [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


def near(one: float, other: float) -> bool:
    """The same number but for the rounding of a few operations."""
    return abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))
