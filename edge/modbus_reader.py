"""Reads Modbus devices: asks by plan, halves what is refused, and never sends anything but a read."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from config.clock import Clock
from config.plant import Device, Line, Point
from config.profile import ModbusLimits
from edge.bus_time import link_cost
from edge.modbus_transport import Garbled, LinkDown, ModbusTransport, NoAnswer, Refused
from edge.ports import PointReading, ReadResult
from edge.readings import QUALITIES
from edge.registers import (
    UNDECODABLE,
    Cut,
    Decoded,
    LinkCost,
    ReadRequest,
    decode,
    decode_text,
    exponent_of,
    plan_reads,
    register_of,
)

log = logging.getLogger(__name__)

BAD_RANGE: Final = frozenset({2, 3})
"""Exceptions that speak of the range asked for: illegal address, illegal value."""
NOBODY_BEHIND: Final = frozenset({10, 11})
"""Exceptions by which a gateway says that the device behind it did not answer."""
RETEST_S: Final = 60.0
"""A point that was refused alone is asked for again after this long."""
TESTS_PER_READ: Final = 3
"""Of a device that refused everything, so many of its places are tried per read, in turn."""
CUTS_LAST_S: Final = 86_400.0
"""What was learned of a profile is learned anew after this long: it may have been a bad hour, not the model."""
PLANS_MAX: Final = 1000


@dataclass(slots=True)
class _Outcome:
    """What one read has given so far: by point its raw words or its reason, and when it came."""

    words: dict[str, tuple[Sequence[int], int]] = field(default_factory=dict)
    bad: dict[str, tuple[int, int]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    refused: list[Point] = field(default_factory=list)
    rest: int = QUALITIES["disabled"]
    """The reason of points that no request covered."""
    lost: bool = False
    line_lost: bool = False
    detail: str = ""


class ModbusReader:
    """A `PointReader` over one Modbus line.

    `limits_of` gives the limits of a profile by its id; what requests cost is known by the line, or
    as on a fast network where none is given. A block refused with exception 2 or 3 is
    halved within the same read until the bad points are known. Where it had to be cut is remembered
    per profile for `CUTS_LAST_S`; a refused point rests for `RETEST_S`, on a line that is given for no longer than its
    longest back-off. While a device refuses everything, a few small
    requests per read, each for another of its places, find out when it no longer does. After the first request that nobody answers
    the rest of that read is not tried.
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
        self._plans: dict[tuple[str, ...], tuple[ReadRequest, ...]] = {}
        self._cuts: dict[str, set[Cut]] = {}
        self._cuts_until: dict[str, float] = {}
        self._resting: dict[tuple[str, str], float] = {}
        self._refusing: dict[tuple[str, ...], int] = {}

    async def read(self, device: Device, points: Sequence[Point]) -> ReadResult:
        outcome = _Outcome()
        resting = {point.id for point in points if self._rests(device, point)}
        asked = [point for point in points if point.id not in resting]
        refused = (QUALITIES["device_refused"], self._clock.now())
        outcome.bad |= dict.fromkeys(resting, refused)
        try:
            await self._ask_all(device, asked, outcome)
        except NoAnswer as error:
            outcome.rest, outcome.lost = QUALITIES["no_answer"], True
            outcome.detail = str(error) or "no answer"
        except LinkDown as error:
            outcome.rest, outcome.lost, outcome.line_lost = QUALITIES["link_down"], True, True
            outcome.detail = str(error) or "link down"
        return self._result(points, outcome)

    def forget(self, device: str) -> None:
        self._plans = {key: plan for key, plan in self._plans.items() if key[0] != device}
        self._refusing = {key: n for key, n in self._refusing.items() if key[0] != device}
        self._resting = {key: at for key, at in self._resting.items() if key[0] != device}

    async def close(self) -> None:
        await self._transport.close()

    def _rests(self, device: Device, point: Point) -> bool:
        return self._resting.get((device.id, point.id), 0.0) > self._clock.monotonic()

    async def _ask_all(self, device: Device, asked: Sequence[Point], outcome: _Outcome) -> None:
        self._forget(device.profile)
        key = (device.id, *(point.id for point in asked))
        plan = self._plan(device, key, asked)
        if key in self._refusing and not await self._test(device, key, plan, outcome):
            return
        for request in plan:
            await self._ask(device, request, outcome)
        self._learn(device, key, outcome)

    def _plan(
        self, device: Device, key: tuple[str, ...], asked: Sequence[Point]
    ) -> tuple[ReadRequest, ...]:
        if key not in self._plans:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            limits = self._limits_of(device.profile)
            cuts = tuple(self._cuts.get(device.profile, ()))
            cost = link_cost(self._line, limits.pause_s) if self._line else LinkCost()
            self._plans[key] = plan_reads(asked, limits, cost, cuts)
        return self._plans[key]

    async def _test(
        self, device: Device, key: tuple[str, ...], plan: Sequence[ReadRequest], outcome: _Outcome
    ) -> bool:
        """Whether a device that refused everything answers any of the places that are tried now.

        Which it may never have: each read goes on where the last one ended.
        """
        places = [(request.table, unit) for request in plan for unit in request.units]
        tried = _Outcome()  # what is refused here says nothing of ranges
        for _ in range(min(TESTS_PER_READ, len(places))):
            table, unit = places[self._refusing[key] % len(places)]
            self._refusing[key] += 1
            small = ReadRequest(table, unit.first, unit.last - unit.first + 1, (unit,))
            if await self._ask(device, small, tried):
                return True
            outcome.detail = tried.detail
        now = self._clock.now()
        for request in plan:
            self._refuse(request.points, now, outcome)
        return False

    async def _ask(self, device: Device, request: ReadRequest, outcome: _Outcome) -> bool:
        """Send one request, halved as far as needed; True if every point of it has words."""
        try:
            answer = await self._send(device, request)
        except Refused as refusal:
            return await self._after_refusal(device, request, refusal, outcome)
        except Garbled as error:
            outcome.detail = str(error)
            answer = []
        now = self._clock.now()
        complete = len(answer) == request.count
        for point in request.points:
            words = request.words_of(point, answer) if complete else ()
            outcome.words[point.id] = (words, now)
        return complete

    async def _send(self, device: Device, request: ReadRequest) -> list[int]:
        pause_s = self._limits_of(device.profile).pause_s
        if pause_s:
            await self._clock.sleep_until(self._not_before)
        try:
            return await self._transport.request(
                int(device.unit or 1), request.table, request.address, request.count
            )
        finally:
            self._not_before = self._clock.monotonic() + pause_s

    async def _after_refusal(
        self, device: Device, request: ReadRequest, refusal: Refused, outcome: _Outcome
    ) -> bool:
        if refusal.code in NOBODY_BEHIND:
            raise NoAnswer(f"{device.id}: the gateway says exception {refusal.code}") from refusal
        outcome.detail = f"{device.id} refuses {_named(request)}: exception {refusal.code}"
        halves = request.halves() if refusal.code in BAD_RANGE else None
        if halves is None:
            self._refuse(request.points, self._clock.now(), outcome)
            if refusal.code in BAD_RANGE:
                outcome.refused += request.points
                outcome.cuts += _around(request)
            return False
        left, right = halves
        healthy = [await self._ask(device, half, outcome) for half in (left, right)]
        if all(healthy):  # a hole between them, or the length, was what the device refused
            outcome.cuts.append((request.table, left.address + left.count - 1, right.address))
        return all(healthy)

    def _refuse(self, points: Sequence[Point], now: int, outcome: _Outcome) -> None:
        outcome.bad |= {point.id: (QUALITIES["device_refused"], now) for point in points}

    def _learn(self, device: Device, key: tuple[str, ...], outcome: _Outcome) -> None:
        """Remember what was refused, unless it was everything: then it is the device, not a range."""
        if not outcome.words:
            if outcome.refused:
                self._refuses_all(key)
            return
        self._refusing.pop(key, None)
        until = self._clock.monotonic() + self._rest_s
        self._resting |= {(device.id, point.id): until for point in outcome.refused}
        known = self._cuts.setdefault(device.profile, set())
        self._cuts_until.setdefault(device.profile, self._clock.monotonic() + CUTS_LAST_S)
        if new := set(outcome.cuts) - known:
            known |= new
            self._plans.clear()
            log.warning(
                "profile %s: device %s, now read apart: %s",
                device.profile,
                outcome.detail,
                sorted(new),
            )

    def _forget(self, profile: str) -> None:
        if self._cuts_until.get(profile, math.inf) <= self._clock.monotonic():
            del self._cuts_until[profile]
            if self._cuts.pop(profile):
                self._plans.clear()

    def _refuses_all(self, key: tuple[str, ...]) -> None:
        if len(self._refusing) >= PLANS_MAX:
            self._refusing.clear()
        self._refusing.setdefault(key, 0)

    def _result(self, points: Sequence[Point], outcome: _Outcome) -> ReadResult:
        result = ReadResult([], lost=outcome.lost, detail=outcome.detail)
        result.line_lost = outcome.line_lost
        now = self._clock.now()
        for point in points:
            words, time = outcome.words.get(point.id, (None, now))
            if register_of(point).type == "string":
                text = decode_text(point, words) if words is not None else None
                result.facts |= {point.id: text} if text is not None else {}
                continue
            if words is None:
                quality, time = outcome.bad.get(point.id, (outcome.rest, now))
                result.readings.append(PointReading(point.id, None, quality, time))
                continue
            value, quality = _decoded(point, points, outcome)
            result.readings.append(PointReading(point.id, value, quality, time))
        return result


def _decoded(point: Point, points: Sequence[Point], outcome: _Outcome) -> Decoded:
    words = outcome.words[point.id][0]
    if register_of(point).scale_from is None:
        return decode(point, words)
    exponent = exponent_of(point, points)
    if exponent is None or exponent.id not in outcome.words:
        return None, UNDECODABLE
    power, quality = decode(exponent, outcome.words[exponent.id][0])
    return decode(point, words, int(power)) if power is not None else (None, quality)


def _around(request: ReadRequest) -> list[Cut]:
    """Keep a refused range apart from its neighbours."""
    last = request.address + request.count - 1
    return [
        (request.table, request.address - 1, request.address),
        (request.table, last, last + 1),
    ]


def _named(request: ReadRequest) -> str:
    return f"{request.table} {request.address}..{request.address + request.count - 1}"
