"""One short life of an agent: what it did with what it read is judged by what its device answered."""

from collections.abc import Callable

import pytest

from commands.proving.delivery_witness import CountingDevice, Life, witness
from config.clock import SteppedClock
from config.plant import Device
from edge.ports import PointReading
from tests.unit.edge.rows import register_point

T0 = 1_763_700_000_000
FLOW, TRIP = "pump/flow", "pump/trip"
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
            life.kept += [(at if number == 3 else at + 250, reading) for reading in answer]
    for beat, at in ((1.0, T0 + 600), (2.0, T0 + 1_600)):
        said = (PointReading("a/heartbeat", beat, 0, at), PointReading("a/outbox_age", 0.0, 0, at))
        life.kept += [(at, reading) for reading in said]
    return life


def found(life: Life, killed: int = KILLED) -> tuple[str, ...]:
    return witness(life, killed, agent="a", events={TRIP}).problems


def test_of_a_sound_life_only_what_was_pending_is_missing() -> None:
    said = witness(sound(), KILLED, agent="a", events={TRIP})
    assert (said.read, said.events, said.pending, said.problems) == (5, 1, 1, ())


def test_a_kill_excuses_what_was_read_within_the_flush_and_no_more() -> None:
    assert found(sound(), T0 + 2_251) == ()
    assert "1 read and never made" in found(sound(), T0 + 2_252)[0]


def drop_first(life: Life) -> None:
    del life.kept[0]


def drop_trip(life: Life) -> None:
    life.kept = [row for row in life.kept if row[1].point != TRIP]


def hold_trip(life: Life) -> None:
    life.kept = [(at + 250 * (one.point == TRIP), one) for at, one in life.kept]


def keep_again(life: Life) -> None:
    life.kept.append(life.kept[0])


def keep_late(life: Life) -> None:
    at, reading = life.kept[0]
    life.kept[0] = (at + 2, reading)


def keep_another_value(life: Life) -> None:
    at, reading = life.kept[0]
    life.kept[0] = (at, PointReading(reading.point, 9.0, 0, reading.time))


def beat_again(life: Life) -> None:
    life.kept += [row for row in life.kept if row[1].point == "a/heartbeat"][:1]


def say_again(life: Life) -> None:
    life.kept.append(life.kept[-1])


def ask_no_more(life: Life) -> None:
    """From 0.5 s on: what was never answered can be missed by nobody else."""
    life.asked = life.asked[:1]
    life.read, life.kept = life.read[:1], life.kept[:1]


PLANTED: list[tuple[Callable[[Life], None], str]] = [
    (drop_first, "1 read and never made"),
    (drop_trip, "1 read and never made"),
    (hold_trip, "1 made too late"),
    (keep_again, "1 made twice"),
    (keep_late, "1 made too late"),
    (keep_another_value, "1 made and never read"),
    (beat_again, "3 heartbeats made that do not count"),
    (say_again, "1 said of itself too often"),
    (ask_no_more, "not asked for 1600 ms"),
]


@pytest.mark.parametrize(("plant", "said"), PLANTED, ids=[row[0].__name__ for row in PLANTED])
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
