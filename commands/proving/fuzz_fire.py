"""Fuzzes the frames of fire transmission devices: the real centre, fed byte by byte, without sockets."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from commands.proving.fuzz_cases import (
    HONEST,
    Each,
    Hands,
    Tally,
    Wrong,
    damaged,
    near,
    noise,
    pieces,
)
from commands.proving.fuzz_fire_oracle import (
    FIXED,
    TEXT_AFTER,
    Object,
    Told,
    meaning,
    objects,
    sound,
    told,
)
from config.gb26875 import ANALOGUES, STATE_BITS
from config.plant import Device, Point, PointSpec
from config.profile import FirePlace, FireValue
from edge.fire_centre import TOLD_MAX, Centre, Watched
from edge.ports import PointReading
from edge.readings import BAD
from simulators.fire_frames import SEND, frame, read_answer, wall_time

ZONE: Final = ZoneInfo("Asia/Shanghai")
SOURCES: Final = (889, 2**48 - 2)
STRANGER: Final = 77
STRANGERS_FROM: Final = 1_000
UNKNOWN_ZONE: Final = 60_000
CENTRE: Final = 1
LINK: Final = 1
SILENCE_S: Final = 90.0
TURN: Final = 8
"""So many frames of one device, then of the other; in its own turn each is read after each frame."""
STATES: Final = (1, 2, 3, 21)
KIND: Final = 40
PLACES: Final = (
    FirePlace("device"), FirePlace("system", 1, 0), FirePlace("system", 12, 3),
    FirePlace("component", 1, 0, 2, 10), FirePlace("component", 1, 0, 2, 11), FirePlace("component", 12, 3, 300, 1),
    *(FirePlace("analogue", 1, 0, 7, n, n) for n in ANALOGUES), FirePlace("analogue", 1, 0, 7, 1, 130),
)  # fmt: skip
"""Of which points are known; others are spoken of too."""


@dataclass(slots=True)
class _Writer:
    """Makes frames of one device, right ones and such as only look like it."""

    rng: random.Random
    now: bytes
    source: int
    serial: int
    before: list[bytes]
    """Right frames that were sent before, the last few."""

    def right(self) -> bytes:
        return self.framed(self.data())

    def framed(self, data: bytes, command: int = SEND, source: int | None = None) -> bytes:
        """A frame whose length and checksum are right whatever is in it."""
        addresses = (self.source if source is None else source, CENTRE)
        return frame(self.serial, addresses, self.now, data, command)

    def data(self) -> bytes:
        """Application data of states and values, mostly of places that are known."""
        type_ = self.rng.choice(STATES)
        count = 1 if type_ == 21 else self.rng.randint(1, 4)
        return bytes((type_, count)) + b"".join(self._object(type_) for _ in range(count))

    def _object(self, type_: int) -> bytes:
        of = {1: "system", 2: "component", 3: "analogue", 21: "device"}[type_]
        place = self.rng.choice([place for place in PLACES if place.of == of])
        state, kind = self.rng.randbytes(2), self.rng.choice((KIND, KIND, KIND, 23))
        if type_ == 21:
            return state[:1] + self.now
        system = bytes((place.system_type, place.system_address))
        if type_ == 1:
            return system + state + self.now
        at = bytes((kind,)) + place.zone.to_bytes(2, "little") + place.position.to_bytes(2, "little")  # fmt: skip
        if type_ == 2:
            return system + at + state + self.rng.randbytes(31) + self.now
        near_zero = self.rng.randrange(-50, 400).to_bytes(2, "little", signed=True)
        number = self.rng.choice((near_zero, near_zero, state))
        return system + at + bytes((place.analogue_type,)) + number + self.now

    def other_type(self) -> bytes:
        """Sound application data of any type that there is, or of none."""
        type_ = self.rng.choice((*FIXED, *TEXT_AFTER, self.rng.randrange(256)))
        count = self.rng.randint(0, 3)
        if type_ in TEXT_AFTER:
            head, text = self.rng.randbytes(TEXT_AFTER[type_] - 1), self.rng.randbytes(self.rng.randrange(60))  # fmt: skip
            return self.framed(bytes((type_, count)) + (head + bytes((len(text),)) + text) * count)
        size = FIXED.get(type_, self.rng.randrange(20))
        return self.framed(bytes((type_, count)) + self.rng.randbytes(size * count))

    def inside(self) -> bytes:
        """Damaged where no checksum shows it."""
        return self.framed(damaged(self.rng, self.data())[:1024])

    def head(self) -> bytes:
        """Damaged in the head, and the checksum mended."""
        raw = bytearray(self.right())
        raw[self.rng.randrange(2, 27)] = self.rng.randrange(256)
        raw[-3] = sum(raw[2:-3]) & 0xFF
        return bytes(raw)

    def other_count(self) -> bytes:
        data = bytearray(self.data())
        data[1] = self.rng.choice((0, data[1] + 1, max(0, data[1] - 1), 255, self.rng.randrange(256)))  # fmt: skip
        return self.framed(bytes(data))

    def other_checksum(self) -> bytes:
        raw = bytearray(self.right())
        raw[-3] ^= self.rng.randint(1, 255)
        return bytes(raw)

    def other_length(self) -> bytes:
        """The length is not so; the checksum is that of the bytes as they stand."""
        raw = bytearray(self.right())
        length = self.rng.choice((0, 1, len(raw) - 31, len(raw) - 29, 1023, 1024, 1025, 65535, self.rng.randrange(1100)))  # fmt: skip
        raw[24:26] = length.to_bytes(2, "little")
        raw[-3] = sum(raw[2:-3]) & 0xFF
        return bytes(raw)

    def hidden(self) -> bytes:
        """A right frame as the text of another."""
        inner = frame(self.serial + 1 & 0xFFFF, (self.source, CENTRE), self.now, b"\x15\x01" + self.rng.randbytes(1) + self.now)  # fmt: skip
        return self.framed(bytes((6, 1, 1, 0, len(inner))) + inner)

    def longest(self) -> bytes:
        """As much as a frame may hold, and a little more."""
        size = self.rng.choice((1022, 1023, 1024, 1025, 1060))
        return self.framed(bytes((200, 1)) + self.rng.randbytes(size - 2))

    def again(self) -> bytes:
        return self.rng.choice(self.before) if self.before else b""


Make = Callable[[_Writer], bytes]
SENT: Final[dict[str, Make]] = {
    "bits flipped or bytes lost": lambda w: damaged(w.rng, w.right()),
    "damaged, checksum mended": _Writer.inside,
    "damaged head, checksum mended": _Writer.head,
    "another checksum": _Writer.other_checksum,
    "another end": lambda w: w.right()[:-2] + w.rng.randbytes(2),
    "another length": _Writer.other_length,
    "another number of objects": _Writer.other_count,
    "another type": _Writer.other_type,
    "another command": lambda w: w.framed(w.data(), w.rng.choice((0, 1, 3, 4, 5, 6, 9, 200))),
    "another source": lambda w: w.framed(w.data(), source=STRANGER),
    "heartbeat": lambda w: w.framed(b""),
    "hidden in a text": _Writer.hidden,
    "longest": _Writer.longest,
    "sent again": _Writer.again,
    "joined": lambda w: w.right() + w.again(),
    "behind a false start": lambda w: b"@@" + w.rng.randbytes(w.rng.randrange(26)) + w.right(),
    "cut": lambda w: w.right()[: w.rng.randrange(40)],
    "full of starts": lambda w: w.rng.choice((b"@", b"@@", b"@@\0")) * w.rng.randint(1, 200),
    "noise": lambda w: noise(w.rng),
}
KINDS: Final = (*SENT, *[HONEST] * 6)


def life(rng: random.Random, frames: int, tally: Tally, each: Each) -> None:
    """A life of a centre with two devices."""
    fuzzed = _Fuzzed(rng, tally)
    for _ in range(frames):
        fuzzed.step()
        each()


@dataclass(slots=True)
class _Allowed:
    """What may have been taken since the splitter last held nothing."""

    stream: bytes = b""
    waits: bool = True
    """Whether a frame that was begun is still waited for."""
    frames: set[bytes] = field(default_factory=set)
    values: dict[tuple[int, str], set[tuple[float | None, bool]]] = field(default_factory=dict)


class _Fuzzed:
    """One centre, its devices, and what it may believe."""

    def __init__(self, rng: random.Random, tally: Tally) -> None:
        self._rng = rng
        self._tally = tally
        self._clock = Hands()
        self._points = {source: _points(source) for source in SOURCES}
        self._by_id = {point.id: point for points in self._points.values() for point in points}
        self._by_place: dict[tuple[int, FirePlace], list[Point]] = {}
        for source, points in self._points.items():
            for point in points:
                self._by_place.setdefault((source, _source(point).place), []).append(point)
        watched = [
            Watched(Device(f"d{source}", "p", "l", f"a{source}", str(source)), tuple(points), SILENCE_S)
            for source, points in self._points.items()
        ]  # fmt: skip
        self._centre = Centre(watched, self._clock, ZONE)
        self._centre.opened(LINK)
        self._fill_notes()
        self._serial = 0
        self._before: list[bytes] = []
        self._allowed = _Allowed()
        self._held: dict[str, tuple[float | None, bool]] = {}

    def step(self) -> None:
        """One frame, somehow, in pieces; perhaps the wait for the rest of it ends."""
        kind, source = self._rng.choice(KINDS), SOURCES[self._serial // TURN % len(SOURCES)]
        self._tally.frames[kind] += 1
        self._serial = (self._serial + 1) & 0xFFFF
        now = wall_time(self._clock.now(), ZONE)
        writer = _Writer(self._rng, now, source, self._serial, self._before)
        clean = not self._centre.begun(LINK)
        raw = SENT[kind](writer) if kind in SENT else writer.right()
        if clean:
            others = {k: v for k, v in self._allowed.values.items() if k[0] != source}
            self._allowed = _Allowed(values=others)
        for piece in pieces(self._rng, raw):
            self._allowed.stream += piece
            self._judge_answers(raw, self._centre.arrived(LINK, piece).answers)
        if self._centre.begun(LINK) and self._rng.random() < 0.5:
            self._allowed.waits = False
            self._judge_answers(raw, self._centre.late(LINK).answers)
        for one in SOURCES if self._serial % TURN == 0 else (source,):
            self._judge_readings(one, raw)
        if kind == HONEST:
            self._before = [*self._before[-3:], raw]
            if clean:
                self._judge_honest(raw, source)
        self._clock.s += self._rng.choice((0.01, 0.5, 2.0, 40.0))
        if self._rng.random() < 0.001:
            self._reconnect()

    def _fill_notes(self) -> None:
        """So many strangers and unknown places that the centre notes no other: what it notes would else
        fill up slowly, and hide what grows.
        """
        now = wall_time(self._clock.now(), ZONE)
        for n in range(TOLD_MAX):
            self._centre.arrived(LINK, frame(0, (STRANGERS_FROM + n, CENTRE), now, b"", SEND))
            somewhere = bytes(
                (2, 1, 1, 0, KIND, *(UNKNOWN_ZONE + n).to_bytes(2, "little"))
            ) + bytes(41)
            for source in SOURCES:
                self._centre.arrived(LINK, frame(0, (source, CENTRE), now, somewhere, SEND))

    def _reconnect(self) -> None:
        self._centre.closed(LINK)
        self._centre.opened(LINK)

    # --- judging

    def _judge_readings(self, source: int, raw: bytes) -> None:
        for reading in self._centre.readings(f"d{source}"):
            self._judge_reading(source, self._by_id[reading.point], reading, raw)

    def _allow(self) -> None:
        for skips_bad in (False, True):
            for one in sound(self._allowed.stream, skips_bad=skips_bad, waits=self._allowed.waits):
                if one not in self._allowed.frames:
                    self._allowed.frames.add(one)
                    self._allow_values(told(one))

    def _allow_values(self, frame: Told | None) -> None:
        for one in objects(frame.data) if frame else ():
            for point in self._at(frame.source if frame else 0, one):
                key = (frame.source if frame else 0, point.id)
                said = meaning(point, _source(point), one)
                self._allowed.values.setdefault(key, set()).add(said)

    def _at(self, source: int, one: Object) -> Sequence[Point]:
        return self._by_place.get((source, one.place), ())

    def _judge_answers(self, raw: bytes, answers: bytes) -> None:
        self._allow()
        sources = {int.from_bytes(one[12:18], "little") for one in self._allowed.frames}
        taken = {(t.serial, t.source) for t in map(told, self._allowed.frames) if t}
        for at in range(0, len(answers), 30):
            answer = read_answer(answers[at : at + 30])
            if answer is None or answer.command not in (3, 6):
                raise Wrong(f"an answer that is none: {answers[at : at + 30].hex()}", raw)
            to = answer.target
            if answer.command == 3 and ((answer.serial, to) not in taken or to not in SOURCES):
                raise Wrong(f"frame {answer.serial} of {to} was confirmed", raw)
            if answer.command == 3 and to not in sources:
                raise Wrong(f"{to} never spoke", raw)

    def _judge_reading(self, source: int, point: Point, reading: PointReading, raw: bytes) -> None:
        self._tally.values += reading.value is not None
        self._tally.without_value += reading.value is None
        if (reading.value is None) is not (reading.quality >= BAD):
            raise Wrong(f"{point.id}: value {reading.value} with quality {reading.quality}", raw)
        if reading.value is None:
            return
        may = [*self._allowed.values.get((source, point.id), ())]
        may += [self._held[point.id]] if point.id in self._held else []
        fit = [(v, good) for v, good in may if v is not None and near(v, reading.value)]
        if not any(good or reading.quality for _, good in fit):
            raise Wrong(f"{point.id} = {reading.value} ({reading.quality}), which no sound frame says", raw)  # fmt: skip
        self._tally.judged([value for value, _ in may])
        self._held[point.id] = (reading.value, not reading.quality)

    def _judge_honest(self, raw: bytes, source: int) -> None:
        """A right frame that nothing stood before: it was taken, and says what it says."""
        for one in {one.place: one for one in objects(raw[27:-3])}.values():
            for point in self._at(source, one):
                value, _ = meaning(point, _source(point), one)
                held = self._held.get(point.id, (None, False))[0]
                if value is not None and (held is None or not near(held, value)):
                    raise Wrong(f"{point.id} is {held} after an honest frame that says {value}", raw)  # fmt: skip


def _source(point: Point) -> FireValue:
    if not isinstance(point.source, FireValue):
        raise TypeError(point.id)
    return point.source


def _points(source: int) -> Sequence[Point]:
    """Some bits of each place that is known, and what is measured there."""
    rows = []
    for place in PLACES:
        kind = KIND if place.of in ("component", "analogue") else None
        if place.of == "analogue":
            scale = 1000.0 if place.analogue_type == 4 else 1.0
            rows.append(FireValue(place, None, kind, scale, -1.0 if scale > 1 else 0.0))
        else:
            bits = sorted(STATE_BITS[place.of])
            rows += [FireValue(place, bit, kind) for bit in (*bits[:3], bits[-1])]
    return [
        Point(
            f"a{source}/p{n}", f"a{source}", f"d{source}",
            PointSpec(
                {"en": str(n)}, "measurement", "", row,
                range=(0.0, 300.0) if row.place.analogue_type == 3 else None, period_s=3600.0,
            ),
        )
        for n, row in enumerate(rows)
    ]  # fmt: skip
