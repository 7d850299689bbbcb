"""The history checker: what was made, journalled and stored, compared reading by reading."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from collector.domain.conditions import rank_of
from config.rules import Priority

Key = tuple[str, str, int]
"""site, point, source time (UTC ms)"""


class Told(NamedTuple):
    """An event of an alarm: its kind and instant, the alarm's priority then, and whether it is latched."""

    alarm: str
    kind: str
    at: int
    priority: Priority
    latched: bool = False


def told_of(subject: str, kind: str, at: int, data: Mapping[str, Any]) -> Told:
    """An event as it was journalled; of `latched` only a return speaks."""
    return Told(subject, kind, at, data.get("priority", "low"), data.get("latched", False))


@dataclass(slots=True)
class AgentHistory:
    """One agent, by its outbox's own count: readings made, thinned (which none has to be), and held by it alone."""

    made: int
    thinned: int = 0
    held: int = 0
    journalled: int = 0
    aside: int = 0
    missing: int = 0
    """Numbers of batches that the journal says will never come."""
    numbers: Mapping[tuple[str, str], Sequence[tuple[int, int]]] = field(default_factory=dict)
    """(epoch, lane) to its journalled (first, last) numbers, in order of the journal."""


@dataclass(slots=True)
class History:
    """Everything that a run left behind."""

    agents: Mapping[str, AgentHistory]
    journalled: Mapping[Key, list[float | None]]
    """Key to its values in order of arrival; more than one value is a replaced reading."""
    stored: Mapping[Key, list[float | None]]
    """As the store shows them. Ours show a key once however often it was written: what is sent or journalled twice
    is found by the numbers of the lanes, and what an agent took twice by the instants of what is `polled`."""
    polled: Set[tuple[str, str]] = frozenset()
    """(site, point) of what is read by asking, at an instant of its own each time: it comes once for each."""
    told: Sequence[Told] = ()
    """What was decided of alarms, in that order."""
    occurrences: Sequence[tuple[str, int, int | None]] = ()
    """(rule, raised, returned) of each alarm."""
    order_causes: Sequence[str] = ()
    """The cause of each order."""
    faults: Sequence[tuple[str, int, int | None]] = ()
    """(asset and kind of fault, raised, ended) of each order of a fault; None while it is open."""


_STANDS: Final = {"annunciated": True, "abnormal_again": True, "returned": False}
"""Events that say whether the condition of an alarm is abnormal from then on."""
_ACKNOWLEDGED: Final = {"annunciated": False, "acknowledged": True}
"""Events that say whether people have acknowledged what they heard."""


def problems(history: History) -> list[str]:
    """Every way in which something was lost, doubled or said twice; empty when nothing was."""
    found: list[str] = []
    for name, agent in history.agents.items():
        found += _of_agent(name, agent)
    found += _of_store(history)
    found += _of_decisions(history)
    return found


def _of_agent(name: str, agent: AgentHistory) -> Iterable[str]:
    if agent.thinned:
        yield f"{name}: {agent.thinned} readings were thinned, though there was room for all"
    if agent.missing:
        yield f"{name}: {agent.missing} numbered batches will never come"
    accounted = agent.journalled + agent.aside + agent.thinned + agent.held
    if agent.made > accounted:
        yield f"{name}: {agent.made - accounted} of {agent.made} made readings are lost"
    if agent.made < accounted:
        yield f"{name}: {accounted - agent.made} readings more than the {agent.made} made are journalled"  # fmt: skip
    for (epoch, lane), spans in agent.numbers.items():
        expected = 1
        for first, last in spans:
            if first != expected:
                yield f"{name}: lane {lane} of {epoch}: number {first} where {expected} was due"
            expected = last + 1


def _of_store(history: History) -> Iterable[str]:
    missing = [key for key in history.journalled if key not in history.stored]
    strange = [key for key in history.stored if key not in history.journalled]
    wrong = [
        key
        for key, values in history.stored.items()
        if key in history.journalled and _bits(values[-1]) != _bits(history.journalled[key][-1])
    ]
    doubled = [key for key, values in history.stored.items() if len(values) > 1]
    again = [
        key
        for key, values in history.journalled.items()
        if key[:2] in history.polled and sum(value is not None for value in values) > 1
    ]
    for keys, what in (
        (missing, "journalled readings are not stored"),
        (strange, "stored readings were never journalled"),
        (wrong, "stored readings hold another value than the journal"),
        (doubled, "readings are stored more than once"),
        (again, "polled readings are journalled more than once"),
    ):
        if keys:
            yield f"{len(keys)} {what}, first {keys[0]}"


def _bits(value: float | None) -> str:
    return "none" if value is None or value != value else float(value).hex()  # NaN


def _of_decisions(history: History) -> Iterable[str]:
    if twice := list(_told_again(history.told)):
        yield f"{len(twice)} annunciations were made twice, first {twice[0]}"
    orders = [cause for cause, count in Counter(history.order_causes).items() if count > 1]
    if orders:
        yield f"{len(orders)} causes have more than one order, first {orders[0]}"
    for rule, at in _overlapping(history.occurrences):
        yield f"{rule}: raised again at {at} before it had returned"
    for fault, at in _overlapping(history.faults):
        yield f"{fault}: a second work order at {at} while the first was open"


def _told_again(told: Iterable[Told]) -> Iterator[tuple[str, int]]:
    """Annunciations of what people know: the alarm is not over and not more urgent than they heard (rules-alarms 17).

    One that is latched and not acknowledged is not over when its condition returns.
    """
    known: dict[str, int] = {}
    stands, acknowledged = dict[str, bool](), dict[str, bool]()
    for alarm, kind, at, priority, latched in told:
        if kind == "annunciated" and rank_of(priority) <= known.get(alarm, -1):
            yield alarm, at
        stands[alarm] = _STANDS.get(kind, stands.get(alarm, True))
        acknowledged[alarm] = _ACKNOWLEDGED.get(kind, acknowledged.get(alarm, False))
        over = not stands[alarm] and (acknowledged[alarm] or not latched)
        if kind == "reset" or (over and kind in ("returned", "acknowledged")):
            known.pop(alarm, None)
        elif kind == "annunciated" or (kind == "priority" and alarm in known):
            known[alarm] = rank_of(priority)


def _overlapping(rows: Iterable[tuple[str, int, int | None]]) -> Iterable[tuple[str, int]]:
    """Of rows (name, begin, end or None): each name with where it began again before its end."""
    spans: dict[str, list[tuple[int, int | None]]] = {}
    for name, begin, end in rows:
        spans.setdefault(name, []).append((begin, end))
    for name, of_name in spans.items():
        of_name.sort(key=lambda span: span[0])
        for (_, end), (begin, _) in pairwise(of_name):
            if end is None or end > begin:
                yield name, begin
