"""Devices of any map that refuse, stutter and change in the middle of a read: what is told as good is of one moment."""

import random
from dataclasses import dataclass
from math import isclose

import pytest

from config.plant import Point
from config.profile import Table
from edge.modbus_cuts import FIRST_S
from edge.modbus_transport import Garbled, NoAnswer, Refused
from tests.unit.edge.modbus_twins import reader_of, values
from tests.unit.edge.rows import device, register_point

READS = 20
ERRORS = (NoAnswer("silent"), Garbled("nonsense"), *map(Refused, (2, 2, 2, 3, 4, 6, 10)))


@dataclass
class World:
    """A device, as a transport to it, of which every value and exponent changes with its moment."""

    rng: random.Random
    powers: dict[int, int]
    """Of each value the exponent, by address."""
    missing: set[int]
    code: int
    """By which it refuses one of these alone."""
    longest: int
    moment: int = 0
    changes: float = 0.0
    """How likely a moment ends before a request, and how likely that `fails`."""
    fails: float = 0.0

    def power(self, address: int, moment: int) -> int:
        """Another for sixty moments."""
        return (moment + address) % 60 - 30

    def word(self, address: int) -> int:
        if address in self.powers.values():
            return self.power(address, self.moment) & 0xFFFF
        return 1 + 7 * self.moment + address

    def may_be(self, value: int, told: float, since: int) -> bool:
        """Whether the value was ever that since then."""
        return any(
            isclose(told, (1 + 7 * moment + value) * 10.0 ** self.power(self.powers[value], moment))
            for moment in range(since, self.moment + 1)
        )

    async def request(self, _unit: int, _table: Table, address: int, count: int) -> list[int]:
        self.moment += self.rng.random() < self.changes
        if self.rng.random() < self.fails:
            raise self.rng.choice(ERRORS)
        asked = range(address, address + count)
        if count > self.longest:
            raise Refused(3)
        if self.missing.intersection(asked):
            raise Refused(2 if count > 1 else self.code)
        return [self.word(one) for one in asked]

    async def close(self) -> None:
        """Nothing is held."""


def world(seed: int) -> tuple[World, list[Point]]:
    """One of any map, and its points in any order; some of them, and others between them, are missing."""
    rng = random.Random(seed)  # noqa: S311  a world is no secret
    held = rng.sample(range(rng.choice((40, 200, 400))), 20)
    powers = {value: rng.choice(held[:4]) for value in held[4:12]}
    missing = {*rng.sample(held[12:], rng.randint(0, 1)), *rng.sample(range(400), rng.choice((0, 9)))}  # fmt: skip
    points = [register_point(str(a), a, "i16") for a in held if a not in powers]
    points += [register_point(str(a), a, scale_from=str(power)) for a, power in powers.items()]
    rng.shuffle(points)
    longest = rng.choice((125, 125, 20, 7))
    return World(rng, powers, missing - {*held[:12]}, rng.choice((2, 4)), longest), points


@pytest.mark.parametrize("seed", range(60))
async def test_no_value_is_told_that_never_was_and_all_are_when_the_device_is_calm(
    seed: int,
) -> None:
    one, points = world(seed)
    reader, clock = reader_of(one)
    for turn in range(READS + 3):
        calm = turn >= READS
        one.changes, one.fails = (0.0, 0.0) if calm else (one.rng.choice((0.0, 0.05, 0.3)), one.rng.choice((0.0, 0.05, 0.3)))  # fmt: skip
        since = one.moment
        told = values((await reader.read(device(), points)).readings)
        scaled = {a: value for a in one.powers if (value := told[str(a)]) is not None}
        assert [a for a, value in scaled.items() if not one.may_be(a, value, since)] == []
        await clock.advance(2 * FIRST_S if calm else one.rng.choice((1.0, 10.0, 2 * FIRST_S)))
    assert scaled.keys() == one.powers.keys()
    assert {a for a, value in told.items() if value is None} <= {str(a) for a in one.missing}
