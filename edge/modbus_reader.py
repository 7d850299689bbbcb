"""Reads Modbus devices: asks by plan, halves what is refused, and never sends anything but a read."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from config.clock import Clock
from config.plant import Device, Line, Point
from config.profile import ModbusLimits
from edge.bus_time import link_cost
from edge.decoding import UNDECODABLE
from edge.modbus_cuts import Cuts
from edge.modbus_denials import Denials, refusal
from edge.modbus_outcome import REFUSED, Outcome, exponents_of
from edge.modbus_plans import Block, Plan
from edge.modbus_transport import (
    NOBODY_BEHIND,
    Garbled,
    LinkDown,
    ModbusTransport,
    NoAnswer,
    Refused,
)
from edge.ports import Again, PointReading, ReadResult
from edge.readings import QUALITIES
from edge.registers import LinkCost, ReadRequest, register_of

log = logging.getLogger(__name__)

BAD_RANGE: Final = frozenset({2, 3})
"""Exceptions that speak of the range asked for: illegal address, illegal value."""
RETEST_S: Final = 60.0
"""A point that was refused alone is asked for again after this long."""
TESTS_PER_READ: Final = 3
"""Of a device that refused everything, so many of its places are tried per read, in turn."""
PLANS_MAX: Final = 30
"""Of one device: points that rest change what is asked for."""
REFUSING_MAX: Final = 1000


class ModbusReader:
    """A `PointReader` over one Modbus line.

    `limits_of` gives the limits of a profile by its id; what requests cost is known by the line, or
    as on a fast network where none is given. A block refused with exception 2 or 3 is halved within the
    same read until the bad points are known. Where it had to be cut is remembered per profile for a while
    (`Cuts`); a refused point rests for `RETEST_S`, on a line that is given for no longer than its longest
    back-off. A value is told by its exponent if both came in one answer, or if that was the same before
    the value and after it; where a refusal took them apart both are asked for again to know. While a device
    refuses everything, a few small requests per read, each for another of its places, find out when it
    no longer does. After the first request that nobody answers the rest of that read is not tried.
    """

    def __init__(
        self,
        transport: ModbusTransport,
        limits_of: Callable[[str], ModbusLimits],
        clock: Clock,
        line: Line | None = None,
    ) -> None:
        self._transport = transport
        self._limits_of = limits_of
        self._clock = clock
        self._line = line
        self._rest_s = min(RETEST_S, line.backoff_s_max) if line else RETEST_S
        self._not_before = 0.0
        self._plans: dict[str, list[Plan]] = {}
        self._cuts: dict[str, Cuts] = {}
        self._told_alone: set[tuple[str, str]] = set()
        """Exponents, by profile and register, of which it was said that they are refused alone."""
        self._resting: dict[tuple[str, str], float] = {}
        self._refusing: dict[tuple[str, ...], int] = {}
        self._denials = Denials()
        self._forgotten = 0

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        result = await self.read_words(device, points)
        return result if isinstance(result, ReadResult) else result()

    async def read_words(self, device: Device, points: Sequence[Point]) -> ReadResult | Again:
        asked, bad = tuple(points), {}
        if self._resting:
            asked = tuple(point for point in points if not self._rests(device, point))
            resting = {point.id for point in points} - {point.id for point in asked}
            bad = dict.fromkeys(resting, (REFUSED, self._clock.now()))
        outcome = Outcome(asked, bad=bad)
        try:
            await self._ask_all(device, asked, outcome)
        except NoAnswer as error:
            outcome.rest, outcome.lost = QUALITIES["no_answer"], True
            outcome.retry_s = error.retry_s
            outcome.detail = str(error) or "no answer"
        except LinkDown as error:
            outcome.rest, outcome.lost, outcome.line_lost = QUALITIES["link_down"], True, True
            outcome.detail = str(error) or "link down"
        now = self._clock.now()
        if outcome.same:
            return partial(outcome.result, points, now)
        return outcome.result(points, now)

    def forget(self, device: str) -> None:
        self._forgotten += 1
        self._plans.pop(device, None)
        self._denials.forget(device)
        self._refusing = {key: n for key, n in self._refusing.items() if key[0] != device}
        self._resting = {key: at for key, at in self._resting.items() if key[0] != device}

    def words(self) -> str:
        return self._denials.words()

    async def close(self) -> None:
        await self._transport.close()

    def _rests(self, device: Device, point: Point) -> bool:
        key = device.id, point.id
        until = self._resting.get(key)
        if until is not None and until <= self._clock.monotonic():
            del self._resting[key]
            until = None
        return until is not None

    async def _ask_all(self, device: Device, asked: tuple[Point, ...], outcome: Outcome) -> None:
        plan, forgotten = self._plan(device, asked), self._forgotten
        if self._refusing and _key(plan) in self._refusing and not await self._test(plan, outcome):
            return
        if plan.before:
            outcome.before = await self._confirm(plan, plan.before, plan.before_blocks, outcome)
        outcome.later = plan.compares()
        for number, block in enumerate(plan.blocks):
            try:
                await self._ask(plan, block, outcome)
            except Refused as error:
                outcome.look()  # its parts may not hold the exponents that it holds
                await self._after_refusal(plan, plan.requests()[number], error, outcome)
        if plan.after:
            outcome.after = await self._confirm(plan, plan.after, plan.after_blocks, outcome)
        if forgotten == self._forgotten:  # or it was asked by a definition that no longer holds
            self._learn(plan, outcome)
        if outcome.apart and (torn := outcome.torn()):
            await self._ask_again(plan, torn, outcome)

    async def _confirm(
        self, plan: Plan, requests: Sequence[ReadRequest], blocks: Sequence[Block], outcome: Outcome
    ) -> dict[str, PointReading]:
        """Ask once more for exponents that do not come in one answer with their values."""
        again = Outcome(plan.points)  # what is refused here is so of the blocks, or comes by them
        for request, block in zip(requests, blocks, strict=True):
            await self._try(plan, request, block, again)
        outcome.denied += again.denied
        if again.cuts:
            outcome.cuts += again.cuts
            outcome.refusal = again.refusal
        return again.told()

    async def _ask_again(self, plan: Plan, torn: Sequence[Block], outcome: Outcome) -> None:
        """For values whose exponents are not known to be theirs, and after them for these, by what gave them.

        An exponent that was refused by itself is asked for by what gave it from then on.
        """
        exponents = {n for block in torn for n in exponents_of(block)}
        values, told = Outcome(plan.points), Outcome(plan.points)
        for block in torn:
            await self._once_more(plan, block, values)
        for block in outcome.giving(exponents):
            await self._once_more(plan, block, told)
        if alone := outcome.refused_alone(exponents):
            self._never_alone(plan, alone)
        outcome.renew(values, told)

    async def _once_more(self, plan: Plan, block: Block, outcome: Outcome) -> None:
        try:
            await self._ask(plan, block, outcome)
        except Refused as error:
            _check_behind(plan, error)
            outcome.refuse((plan.points[n] for n in block.numbers()), self._clock.now())

    def _plan(self, device: Device, asked: tuple[Point, ...]) -> Plan:
        cuts = self._cuts.get(device.profile)
        if cuts and cuts.end(self._clock.monotonic()):
            self._plans.clear()
        known = self._plans.setdefault(device.id, [])
        for plan in known:
            if (plan.device, plan.points) == (device, asked):
                return plan
        if len(known) >= PLANS_MAX:
            known.clear()
        limits = self._limits_of(device.profile)
        cost = link_cost(self._line, limits.pause_s) if self._line else LinkCost()
        known.append(Plan(device, asked, limits, cost, tuple(cuts.holding) if cuts else ()))
        return known[-1]

    async def _test(self, plan: Plan, outcome: Outcome) -> bool:
        """Whether a device that refused everything answers any of the places that are tried now.

        Which it may never have: each read goes on where the last one ended.
        """
        key = _key(plan)
        places = [(request.table, unit) for request in plan.requests() for unit in request.units]
        tried = Outcome(plan.points)  # what is refused here says nothing of ranges
        for _ in range(min(TESTS_PER_READ, len(places))):
            place = self._refusing.get(key, 0)  # forgotten if the device was changed meanwhile
            table, unit = places[place % len(places)]
            if key in self._refusing:
                self._refusing[key] = place + 1
            small = ReadRequest(table, unit.first, unit.last - unit.first + 1, (unit,))
            await self._try(plan, small, plan.block(small), tried)
            if tried.answered:
                return True
            outcome.detail = tried.detail
        now = self._clock.now()
        for request in plan.requests():
            outcome.refuse(request.points, now)
        return False

    async def _try(self, plan: Plan, request: ReadRequest, block: Block, outcome: Outcome) -> bool:
        """Send one request, halved as far as needed; True if it was answered whole, with words."""
        try:
            return await self._ask(plan, block, outcome)
        except Refused as error:
            await self._after_refusal(plan, request, error, outcome)
        return False

    async def _ask(self, plan: Plan, block: Block, outcome: Outcome) -> bool:
        """Send one request; True if every point of it has words.

        Raises:
            Refused: the device answered with an exception.
        """
        try:
            words: Sequence[int] = (
                await self._send(plan, block)
                if plan.limits.pause_s
                else await self._transport.request(
                    plan.unit, block.table, block.address, block.count
                )
            )
        except Garbled as error:
            outcome.detail = str(error)
            words = ()
        now, outcome.answered = self._clock.now(), True
        if len(words) != block.count:
            numbers = (plan.points[n].id for n in block.numbers())
            outcome.read += [PointReading(id, None, UNDECODABLE, now) for id in numbers]
            return False
        outcome.keep(block, words, now)
        return True

    async def _send(self, plan: Plan, block: Block) -> list[int]:
        """With the pause that the device wants after each."""
        await self._clock.sleep_until(self._not_before)
        try:
            return await self._transport.request(plan.unit, block.table, block.address, block.count)
        finally:
            self._not_before = self._clock.monotonic() + plan.limits.pause_s

    async def _after_refusal(
        self, plan: Plan, request: ReadRequest, error: Refused, outcome: Outcome
    ) -> None:
        _check_behind(plan, error)
        if error.code not in BAD_RANGE:
            ids = [point.id for point in request.points]
            outcome.detail = refusal(plan.device.id, request, error.code, ids)
            outcome.denied.append((request, error.code))
            outcome.refuse(request.points, self._clock.now())
            return
        outcome.refusal = outcome.detail = refusal(plan.device.id, request, error.code)
        if parts := request.smaller(plan.limits):
            whole = [await self._try(plan, part, plan.block(part), outcome) for part in parts]
            if all(whole):  # what lies between them, or the length, was what the device refused
                outcome.cuts.append(request.cut(parts))
            return
        outcome.refuse(request.points, self._clock.now())
        outcome.refused.append(request)

    def _learn(self, plan: Plan, outcome: Outcome) -> None:
        """Remember what came, and what was refused, unless it was everything: then it is the device, not a range."""
        outcome.same = outcome.later and plan.says_again(outcome.came)
        if not outcome.answered:
            if outcome.refused:
                self._refuses_all(_key(plan))
            return
        device = plan.device
        if self._refusing:
            self._refusing.pop(_key(plan), None)
        if outcome.denied or device.id in self._denials:
            self._say_denied(plan, outcome, self._clock.monotonic())
        if not outcome.refused and not outcome.cuts:
            return
        now = self._clock.monotonic()
        for request in outcome.refused:
            ids = (point.id for point in request.points)
            self._resting |= {(device.id, id): now + self._rest_s for id in ids}
            outcome.cuts.append((request.table, request.address, request.last))  # held by no other
        if new := self._cuts.setdefault(device.profile, Cuts()).learn(outcome.cuts, now):
            self._plans.clear()
            log.warning(
                "profile %s: device %s, now read apart: %s",
                device.profile,
                outcome.refusal,
                sorted(new),
            )

    def _say_denied(self, plan: Plan, outcome: Outcome, now: float) -> None:
        denied = {point.id for request, _ in outcome.denied for point in request.points}
        given = {point.id for point in plan.points} - denied - outcome.bad.keys()
        for line in self._denials.learn(plan.device.id, given, outcome.denied, now):
            log.warning("%s", line)

    def _never_alone(self, plan: Plan, exponents: Sequence[Point]) -> None:
        """Ask for these, refused by themselves, with what is beside them where they are asked for once more."""
        plan.never_alone({point.id for point in exponents})
        profile, registers = plan.device.profile, map(register_of, exponents)
        told = {(profile, f"{register.table} {register.address}") for register in registers}
        if new := told - self._told_alone:
            self._told_alone |= new
            log.warning(
                "profile %s: device %s refuses exponents asked for alone, now asked for with others: %s",
                profile,
                plan.device.id,
                sorted(where for _, where in new),
            )

    def _refuses_all(self, key: tuple[str, ...]) -> None:
        if len(self._refusing) >= REFUSING_MAX:
            self._refusing.clear()
        self._refusing.setdefault(key, 0)


def _key(plan: Plan) -> tuple[str, ...]:
    return plan.device.id, *[point.id for point in plan.points]


def _check_behind(plan: Plan, error: Refused) -> None:
    if error.code in NOBODY_BEHIND:
        raise NoAnswer(f"{plan.device.id}: the gateway says exception {error.code}") from error
