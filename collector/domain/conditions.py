"""When a rule is abnormal: limits, deadbands, delays and lost data over one point's readings.

Times are instants in UTC ms. A reading's time is its corrected source time, but never later than its
arrival (rules-alarms 7). Numbers in brackets are rules of `rules-alarms.md`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, assert_never

import msgspec
from msgspec.structs import replace

from config.rules import PRIORITIES, Level, Priority, Rule
from edge.readings import BAD, QUALITIES

IN_TEST: Final = QUALITIES["in_test"]
GOOD: Final = QUALITIES["good"]
TOLERATED: Final = frozenset(range(BAD)) - {QUALITIES["stale_source"]}
"""What a rule accepts unless it says otherwise (47)."""


class Condition(StrEnum):
    """The delayed condition of a rule. UNKNOWN is never treated as NORMAL."""

    NORMAL = "NORMAL"
    ABNORMAL = "ABNORMAL"
    UNKNOWN = "UNKNOWN"


class Sample(msgspec.Struct, frozen=True):
    """One reading as a rule sees it. `value` is NaN where there is none."""

    time: int
    value: float
    quality: int
    received: int


@dataclass(frozen=True, slots=True)
class Band:
    """One level of a rule, compiled: what begins it, what ends it, how severe it is (0 low … 3)."""

    begins: Callable[[float], bool]
    ends: Callable[[float], bool]
    rank: int


@dataclass(frozen=True, slots=True)
class Watch:
    """A rule made ready to judge. Times in ms; `silence` is the longest age of a usable reading."""

    rule: Rule
    bands: tuple[Band, ...]
    silence: int
    on_delay: int
    off_delay: int
    usable: frozenset[int]

    @property
    def silent(self) -> bool:
        """Whether this rule speaks of lost data itself; it is never unknown (13)."""
        return self.rule.kind == "silent"


class LevelState(msgspec.Struct, frozen=True):
    """How one level stands: its delayed condition and the change in progress, if any.

    `since` is where that change began; `was` what `since` was before the reading of `was_at`, so that
    a reading which replaces that one starts from there (10). `value` and `uncertain` are of the reading
    with which the last abnormal stretch began.
    """

    active: bool = False
    since: int | None = None
    was: int | None = None
    was_at: int = -1
    value: float | None = None
    uncertain: bool = False


class Late(msgspec.Struct, frozen=True):
    """A stretch of late readings that are abnormal (16)."""

    start: int
    until: int
    value: float
    uncertain: bool
    rank: int
    shown: bool = False


class ConditionState(msgspec.Struct, frozen=True):
    """How a rule stands. `last` is the time of the last reading judged, None if there was none.

    `since` is when the condition shown began; `watched` when the rule was first watched; `read` whether
    a usable reading ever ended UNKNOWN.
    """

    levels: tuple[LevelState, ...]
    since: int
    watched: int
    unknown: bool
    last: int | None = None
    read: bool = False
    in_test: bool = False
    late: Late | None = None

    @property
    def abnormal(self) -> bool:
        """The last known condition: whether any level is abnormal after its delays (3, 14)."""
        return any(level.active for level in self.levels)

    @property
    def shown(self) -> Condition:
        """The condition as people see it."""
        if self.unknown:
            return Condition.UNKNOWN
        return Condition.ABNORMAL if self.abnormal else Condition.NORMAL


What = Literal[
    "abnormal", "normal", "level", "unknown", "known", "first", "blip", "tested",
    "late_opened", "late_grown", "late_ended",
]  # fmt: skip
"""`first` is the first usable reading ever; `tested` the end of a test; `late_…` see `Late`."""


class Change(msgspec.Struct, frozen=True):
    """One thing that became so at the instant `at`.

    `rank` is that of the most severe active level. `start` is where the stretch began, before its delay;
    `value` and `uncertain` are of the reading with which it began. `until` ends a late stretch;
    `in_test` says that the point was in test at that instant.
    """

    what: What
    at: int
    rank: int = -1
    start: int = 0
    value: float | None = None
    uncertain: bool = False
    until: int = 0
    in_test: bool = False


def compile_rule(rule: Rule, longest_silence_s: float) -> Watch:
    """Make a rule ready; `longest_silence_s` is its point's, which the rule may override."""
    silence_s = longest_silence_s if rule.silent_after_s is None else rule.silent_after_s
    usable = TOLERATED if rule.tolerates is None else frozenset({GOOD, *rule.tolerates})
    return Watch(
        rule=rule,
        bands=_bands(rule),
        silence=round(silence_s * 1000),
        on_delay=round(rule.on_delay_s * 1000),
        off_delay=round(rule.off_delay_s * 1000),
        usable=usable | {IN_TEST},
    )


def rank_of(priority: Priority) -> int:
    """How severe: 3 critical … 0 low."""
    return len(PRIORITIES) - 1 - PRIORITIES.index(priority)


def priority_of(rank: int) -> Priority:
    """The priority of a rank."""
    return PRIORITIES[len(PRIORITIES) - 1 - rank]


def _bands(rule: Rule) -> tuple[Band, ...]:
    match rule.kind:
        case "limit":
            return tuple(_limit(level, rule.deadband) for level in rule.levels)
        case "state":
            states = frozenset(float(state) for state in rule.abnormal_states)
            inside = states.__contains__
            return (Band(inside, lambda v: v not in states, rank_of(rule.priority)),)
        case "silent":
            return (Band(lambda v: False, lambda v: True, rank_of(rule.priority)),)
        case _:
            assert_never(rule.kind)


def _limit(level: Level, deadband: float) -> Band:
    """Violated beyond the limit, left beyond limit and deadband; at equality nothing changes (1)."""
    limit, rank = level.limit, rank_of(level.priority)
    if level.side == "high":
        back = limit - deadband
        return Band(lambda v: v > limit, lambda v: v < back, rank)
    back = limit + deadband
    return Band(lambda v: v < limit, lambda v: v > back, rank)


def begin(watch: Watch, now: int) -> ConditionState:
    """A rule that is watched from `now` on: its point was never read (12)."""
    levels = tuple(LevelState() for _ in watch.bands)
    return ConditionState(levels, since=now, watched=now, unknown=not watch.silent)


def set_back(state: ConditionState, now: int) -> ConditionState:
    """What began later than `now` began now: the clock was set back."""
    levels = tuple(
        level if level.since is None else replace(level, since=min(level.since, now))
        for level in state.levels
    )
    return replace(
        state, levels=levels, since=min(state.since, now), watched=min(state.watched, now)
    )


def usable(watch: Watch, sample: Sample) -> bool:
    """Whether the rule may look at the value (12, 46, 47)."""
    return sample.quality in watch.usable and math.isfinite(sample.value)


def silence_at(watch: Watch, state: ConditionState) -> int | None:
    """The instant at which silence will begin; None if it has or does not matter any more.

    It never begins before the longest silence since the rule is watched.
    """
    if watch.silent:
        level = state.levels[0]
        over = not level.active if level.since is not None else level.active
    else:
        over = state.unknown
    if over:
        return None
    heard = state.watched if state.last is None else max(state.last, state.watched)
    return heard + watch.silence + 1


def delay_at(watch: Watch, state: ConditionState) -> int | None:
    """The instant at which the first delay in progress will have run out."""
    return min(
        (end for level in state.levels if (end := _end(watch, level)) is not None), default=None
    )


def _end(watch: Watch, level: LevelState) -> int | None:
    if level.since is None:
        return None
    return level.since + (watch.off_delay if level.active else watch.on_delay)


def run_to(
    watch: Watch, state: ConditionState, until: int
) -> tuple[ConditionState, tuple[Change, ...]]:
    """Let every timer act that ends at or before `until`, each at its own instant, in order (8, 11)."""
    changes: list[Change] = []
    while True:
        delay, silence = delay_at(watch, state), silence_at(watch, state)
        instant = min((i for i in (delay, silence) if i is not None), default=None)
        if instant is None or instant > until:
            return state, tuple(changes)
        if instant == delay:
            state, change = _flip(watch, state, instant)
        else:
            state, change = _fall_silent(watch, state, instant)
        changes.extend(change)


def _flip(
    watch: Watch, state: ConditionState, instant: int
) -> tuple[ConditionState, tuple[Change, ...]]:
    """Levels whose delay has run out at `instant` change, all at once (4)."""
    due = [_end(watch, level) == instant for level in state.levels]
    turned = replace(
        state,
        levels=tuple(
            replace(level, active=not level.active, since=None) if is_due else level
            for level, is_due in zip(state.levels, due, strict=True)
        ),
    )
    starts = [s.since for s, is_due in zip(state.levels, due, strict=True) if is_due]
    start = min(since for since in starts if since is not None)
    if state.abnormal != turned.abnormal:
        what: What = "abnormal" if turned.abnormal else "normal"
        turned = replace(turned, since=instant)
    else:
        what = "level"
    return turned, (_change(watch, turned, what, instant, start),)


def _change(watch: Watch, state: ConditionState, what: What, at: int, start: int) -> Change:
    active = [
        (band.rank, level)
        for band, level in zip(watch.bands, state.levels, strict=True)
        if level.active
    ]
    if not active:
        return Change(what, at, start=start, in_test=state.in_test)
    rank, worst = max(active, key=lambda pair: pair[0])
    return Change(what, at, rank, start, worst.value, worst.uncertain, in_test=state.in_test)


def _fall_silent(
    watch: Watch, state: ConditionState, instant: int
) -> tuple[ConditionState, tuple[Change, ...]]:
    if not watch.silent:
        return _lose(state, instant)
    level = state.levels[0]
    if level.active:
        return replace(state, levels=(replace(level, since=None),)), ()
    begun = LevelState(since=instant)
    return replace(state, levels=(begun,)), ()


def _lose(state: ConditionState, at: int) -> tuple[ConditionState, tuple[Change, ...]]:
    """The condition is UNKNOWN from `at` on; delays in progress are dropped, levels held (13, 14)."""
    if state.unknown:
        return state, ()
    levels = tuple(replace(level, since=None, was=None, was_at=-1) for level in state.levels)
    return replace(state, levels=levels, unknown=True, since=at), (Change("unknown", at),)


def take(
    watch: Watch, state: ConditionState, sample: Sample
) -> tuple[ConditionState, tuple[Change, ...]]:
    """Judge one live reading that is not older than the last one; timers due before it act first (8)."""
    state, changes = run_to(watch, state, sample.time)
    was = replace(state, last=sample.time)
    if watch.silent:
        state, more = _hear(watch, was, sample, state.last)
    elif usable(watch, sample):
        state, more = _look(watch, was, sample, state.last)
    else:
        state, more = _lose(was, sample.time)
    return state, changes + more


def _hear(
    watch: Watch, state: ConditionState, sample: Sample, last: int | None
) -> tuple[ConditionState, tuple[Change, ...]]:
    """The silent rule: lost data is abnormal, a fresh usable reading is not.

    A usable reading that is older than the longest silence when it arrives ends no silence.
    """
    if not usable(watch, sample):
        return _move(watch, state, sample, last, lambda band, active: not active)
    state, tested = _test(state, sample)
    more: tuple[Change, ...] = ()
    if not _stale(watch, sample):
        state, more = _move(watch, state, sample, last, lambda band, active: active)
    return state, more + tested


def _look(
    watch: Watch, state: ConditionState, sample: Sample, last: int | None
) -> tuple[ConditionState, tuple[Change, ...]]:
    """A usable value: the held condition goes on, delays start or break by it (14).

    One that is older than the longest silence on arrival ends UNKNOWN only if it says something new.
    """
    changes: tuple[Change, ...] = ()
    wants = _by_value(sample.value)
    if state.unknown and _stale(watch, sample) and not _any(watch, state, wants):
        return state, ()
    if state.unknown:
        what: What = "known" if state.read else "first"
        state = known_from(state, sample.time)
        changes = (Change(what, sample.time),)
    state, tested = _test(state, sample)
    state, moved = _move(watch, state, sample, last, wants)
    return state, changes + moved + tested


def known_from(state: ConditionState, at: int) -> ConditionState:
    """The held condition goes on with a usable reading of `at`; of the first one ever nobody is told."""
    return replace(state, unknown=False, read=True, since=at, last=at)


def _stale(watch: Watch, sample: Sample) -> bool:
    return sample.received - sample.time > watch.silence


def _any(watch: Watch, state: ConditionState, wants: Callable[[Band, bool], bool]) -> bool:
    pairs = zip(watch.bands, state.levels, strict=True)
    return any(wants(band, level.active) for band, level in pairs)


def _test(state: ConditionState, sample: Sample) -> tuple[ConditionState, tuple[Change, ...]]:
    """Whether the point is in test; that a test has ended is said after its reading was judged (46)."""
    in_test = sample.quality == IN_TEST
    over = state.in_test and not in_test
    tested = (Change("tested", sample.time),) if over else ()
    return (state if in_test == state.in_test else replace(state, in_test=in_test)), tested


def _move(
    watch: Watch,
    state: ConditionState,
    sample: Sample,
    last: int | None,
    wants: Callable[[Band, bool], bool],
) -> tuple[ConditionState, tuple[Change, ...]]:
    """Start, continue or break each level's delay; what needs no delay acts at once."""
    replaced = last == sample.time
    levels = tuple(
        _level(level, sample, wants(band, level.active), replaced)
        for band, level in zip(watch.bands, state.levels, strict=True)
    )
    moved = replace(state, levels=levels)
    blip = () if replaced else _blip(state, moved, sample.time)
    acted, changes = _act(watch, moved, sample.time)
    return acted, blip + changes


def _act(watch: Watch, state: ConditionState, at: int) -> tuple[ConditionState, tuple[Change, ...]]:
    """Delays that end at the very instant at which they began, having no length, act at once."""
    if all(_end(watch, level) != at for level in state.levels):
        return state, ()
    return _flip(watch, state, at)


def _level(level: LevelState, sample: Sample, wants: bool, replaced: bool) -> LevelState:
    before = level.was if replaced and level.was_at == sample.time else level.since
    begins = sample.time if before is None else before
    since = begins if wants else None
    if since == level.since:
        return level
    begun = wants and before is None and not level.active
    return replace(
        level,
        since=since,
        was=before,
        was_at=sample.time,
        value=_value(sample) if begun else level.value,
        uncertain=0 < sample.quality < BAD if begun else level.uncertain,
    )


def _value(sample: Sample) -> float | None:
    return sample.value if math.isfinite(sample.value) else None


def _blip(before: ConditionState, after: ConditionState, at: int) -> tuple[Change, ...]:
    """An abnormal stretch that a usable reading ended before its on-delay was over (20)."""
    starts = [level.since for level in before.levels if level.since is not None]
    left = any(level.since is not None for level in after.levels)
    if before.abnormal or not starts or left:
        return ()
    return (Change("blip", at, start=min(starts)),)


def take_late(
    watch: Watch, state: ConditionState, sample: Sample
) -> tuple[ConditionState, tuple[Change, ...]]:
    """Judge a reading that came late or as history: it changes no live state (16).

    Late readings of one point are judged among themselves, in order of source time; data lost between
    two of them, or an unusable one, ends their stretch at its last abnormal reading.
    """
    late = state.late
    changes: tuple[Change, ...] = ()
    if late is not None and not 0 <= sample.time - late.until <= watch.silence:
        state, changes = _close_late(watch, state, late, late.until)
        late = None
    known = usable(watch, sample)
    ranks = [band.rank for band in watch.bands if known and band.begins(sample.value)]
    if ranks:
        state, more = _grow_late(watch, state, sample, max(ranks))
        return state, changes + more
    if late is None:
        return state, changes
    return _close_late(watch, state, late, sample.time if known else late.until)


def _grow_late(
    watch: Watch, state: ConditionState, sample: Sample, rank: int
) -> tuple[ConditionState, tuple[Change, ...]]:
    late = state.late or Late(
        start=sample.time,
        until=sample.time,
        value=sample.value,
        uncertain=0 < sample.quality < BAD,
        rank=rank,
    )
    late = replace(late, until=sample.time, rank=max(rank, late.rank))
    changes = _show_late(watch, late, "late_grown" if late.shown else "late_opened")
    return replace(state, late=replace(late, shown=bool(changes))), changes


def _close_late(
    watch: Watch, state: ConditionState, late: Late, until: int
) -> tuple[ConditionState, tuple[Change, ...]]:
    late = replace(late, until=until)
    opened = () if late.shown else _show_late(watch, late, "late_opened")
    return replace(state, late=None), opened + _show_late(watch, late, "late_ended")


def _show_late(watch: Watch, late: Late, what: What) -> tuple[Change, ...]:
    at = late.start + watch.on_delay
    if late.until < at:
        return ()
    return (Change(what, at, late.rank, late.start, late.value, late.uncertain, late.until),)


def adopt(watch: Watch, state: ConditionState, now: int) -> ConditionState:
    """The rule was changed: what it held goes on, with fresh delays from `now` on (7, 35).

    A rule that was abnormal stays so until the new version says otherwise: by the level at the same
    place, else by its first one.
    """
    count = len(watch.bands)
    old = state.levels[:count] + (LevelState(),) * (count - len(state.levels))
    levels = [
        replace(level, since=now if watch.silent and level.since is not None else None, was_at=-1)
        for level in old
    ]
    if levels and state.abnormal and not any(level.active for level in levels):
        levels[0] = replace(levels[0], active=True)
    unknown = state.unknown and not watch.silent
    return replace(state, levels=tuple(levels), unknown=unknown, late=None)


def review(
    watch: Watch, state: ConditionState, now: int, seen: Sample
) -> tuple[ConditionState, tuple[Change, ...]]:
    """Judge the last known reading by an adopted rule, as if it came at `now` (35)."""
    if state.unknown or watch.silent:
        return state, ()
    if not usable(watch, seen):
        return _lose(state, now)
    return _move(watch, state, replace(seen, time=now), None, _by_value(seen.value))


def _by_value(value: float) -> Callable[[Band, bool], bool]:
    return lambda band, active: band.ends(value) if active else band.begins(value)
