"""One short life of an agent: what it did with what it read is judged by what its device answered."""

from collections.abc import Callable

import pytest

from commands.proving.delivery_witness import CountingDevice, Kept, Life, witness
from config.clock import SteppedClock
from config.plant import Device
from edge.ports import PointReading
from tests.unit.edge.rows import register_point

T0 = 1_763_700_000_000
FLOW, TRIP = "pump/flow", "pump/trip"
BEAT, AGE = "a/heartbeat", "a/outbox_age"
KILLED = T0 + 2_100
"""100 ms after the last answer, which is pending."""


def sound() -> Life:
    """Answers at 0.5 to 2 s, the one at 1.5 s with a trip; the agent says twice how it is itself."""
    life = Life(began=T0)
    for number in range(1, 5):
        at = T0 + 500 * number
        life.asked.append(at)
        answer = [PointReading(FLOW, float(number), 0, at)]
        if number == 3:
            answer.append(PointReading(TRIP, 3.0, 0, at))
        life.read += answer
        if number < 4:
            when = at if number == 3 else at + 250
            life.kept += [Kept(when, reading, urgent=reading.point == TRIP) for reading in answer]
    for beat, at in ((1.0, T0 + 600), (2.0, T0 + 1_600)):
        said = (PointReading(BEAT, beat, 0, at), PointReading(AGE, 0.0, 0, at))
        life.kept += [Kept(at, reading, urgent=False) for reading in said]
    return life


def found(life: Life, killed: int = KILLED) -> tuple[str, ...]:
    return witness(life, killed, agent="a", events={TRIP}).problems


def test_of_a_sound_life_only_what_was_pending_is_missing() -> None:
    said = witness(sound(), KILLED, agent="a", events={TRIP})
    assert (said.read, said.events, said.pending, said.problems) == (5, 1, 1, ())


def test_a_kill_excuses_what_was_read_within_the_flush_and_no_more() -> None:
    assert found(sound(), T0 + 2_251) == ()
    assert "1 read and never made" in found(sound(), T0 + 2_252)[0]


def change(life: Life, point: str, change: Callable[[Kept], list[Kept]]) -> None:
    """What was kept first of a point becomes something else."""
    place = next(n for n, one in enumerate(life.kept) if one.reading.point == point)
    life.kept[place : place + 1] = change(life.kept[place])


def another(kept: Kept) -> list[Kept]:
    reading = kept.reading
    return [kept._replace(reading=PointReading(reading.point, 9.0, 0, reading.time))]


def ask_no_more(life: Life) -> None:
    """From 0.5 s on: what was never answered can be missed by nobody else."""
    life.asked = life.asked[:1]
    life.read, life.kept = life.read[:1], life.kept[:1]


PLANTED: list[tuple[str, Callable[[Life], None], str]] = [
    ("dropped", lambda life: change(life, FLOW, lambda _: []), "1 read and never made"),
    ("a trip dropped", lambda life: change(life, TRIP, lambda _: []), "1 read and never made"),
    ("kept twice", lambda life: change(life, FLOW, lambda one: [one, one]), "1 made twice"),
    ("kept late", lambda life: change(life, FLOW, lambda one: [one._replace(at=one.at + 2)]), "1 made too late"),
    ("a trip kept late", lambda life: change(life, TRIP, lambda one: [one._replace(at=one.at + 250)]), "1 made too late"),
    ("a trip kept as no event", lambda life: change(life, TRIP, lambda one: [one._replace(urgent=False)]), "1 on the wrong lane"),
    ("another value", lambda life: change(life, FLOW, another), "1 made and never read"),
    ("a beat twice", lambda life: change(life, BEAT, lambda one: [one, one]), "3 heartbeats made that do not count"),
    ("a beat dropped", lambda life: change(life, BEAT, lambda _: []), "1 heartbeats made that do not count"),
    ("said twice", lambda life: change(life, AGE, lambda one: [one, one]), "1 said of itself too often"),
    ("asked no more", ask_no_more, "not asked for 1600 ms"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "said"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])  # fmt: skip
def test_what_is_planted_in_a_life_is_found(plant: Callable[[Life], None], said: str) -> None:
    life = sound()
    plant(life)
    problems = found(life)
    assert any(said in problem for problem in problems), problems


async def test_every_answer_is_news_and_of_a_millisecond_of_its_machine() -> None:
    clock = SteppedClock(T0)
    points = [register_point(FLOW, 0, id=FLOW)]
    first, second = CountingDevice(clock), CountingDevice(clock, machine=1)
    asked = Device("d", "p", "l", "pump")
    given = [(await device.read(asked, points)).readings for device in (first, second, first, second)]  # fmt: skip
    assert [(one.value, one.time - T0) for (one,) in given] == [(1, 0), (-1, 1), (2, 0), (-2, 1)]
    first.silent = True
    assert (await first.read(asked, points)).readings == []
    assert (len(first.life.asked), len(first.life.read)) == (3, 2)
