"""Runs one scenario over a virtual site and holds what followed against what must follow."""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.ordering import ORDER, Ordering
from api.ports import Desk
from collector.ports import Decisions, LedgerEvent
from commands.virtual import VirtualSite
from commands.virtual_package import installed
from commands.virtual_readers import TWINNED
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.load import load_plant
from config.plant import Plant
from edge.readings import QUALITY_NAMES
from simulators.estate import Estate
from simulators.scenario import FOLDER, Action, ReadingExpected, Scenario
from simulators.serving import check_simulated
from simulators.verdict import Event, History, Row, judge, passed
from simulators.wires import WiredLoop

ON_DISK = ("disk", "damage")
"""What can only befall an outbox that is a file."""
PLANTS = Path(__file__).parent.parent / "config" / "plants"


def scenario_plant(name: str) -> Plant:
    """A plant that scenarios name: one that comes with them, with what it needs installed, or with Steward.

    Raises:
        ConfigErrors: every mistake of its files.
    """
    own = FOLDER / "plants" / name
    with installed():
        return load_plant(own if own.is_dir() else PLANTS / name)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One run: its rows, and whether all of them hold."""

    scenario: str
    seed: int
    rows: Sequence[Row]

    @property
    def ok(self) -> bool:
        """Whether everything followed that must, and nothing else."""
        return passed(self.rows)


def run_scenario(scenario: Scenario, plant: Plant, seed: int | None = None) -> Verdict:
    """Play it to its end in virtual time.

    Raises:
        ConfigErrors: a line that it cannot play.
    """
    if scenario.wires:
        check_simulated(plant, (*TWINNED, "fire"), "in a scenario")
    else:
        check_simulated(plant, TWINNED, "in a scenario without wires = true")
    wires = WiredLoop() if scenario.wires else None
    loop = wires or VirtualLoop()
    clock = VirtualClock(loop, scenario.start_ms(plant.time_zone))
    used = scenario.seed if seed is None else seed
    with ExitStack() as stack:
        folder = None
        if any(action.verb in ON_DISK for action in scenario.actions):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(installed())
        site = VirtualSite(plant, clock, used, wires, folder)
        history = run_virtual(_play(scenario, site), loop=loop)
    return Verdict(scenario.name, used, judge(scenario, history))


async def _play(scenario: Scenario, site: VirtualSite) -> History:
    start = site.clock.now()
    async with site.running():
        with _logged(site.clock) as log:
            await _act_all(scenario, site)
        return replace(
            history_of(site.plant, site.decisions, site.desk, site.ordering, start),
            readings=tuple(_readings(scenario, site, start)),
            log=tuple(log),
        )


async def _act_all(scenario: Scenario, site: VirtualSite) -> None:
    for action in scenario.actions:
        await site.clock.sleep_until(action.t)
        await _act(site, action)
    await site.clock.sleep_until(scenario.lasts_s)


class _Noting(logging.Handler):
    """Keeps what an edge logs, with the time of its site."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[Event] = []
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        """Called by the logger, with every line of every edge."""
        at, level = self._clock.monotonic(), record.levelname.lower()
        self.lines.append({"t": at, "level": level, "text": record.getMessage()})


@contextmanager
def _logged(clock: VirtualClock) -> Iterator[list[Event]]:
    noting, logger = _Noting(clock), logging.getLogger("edge")
    logger.addHandler(noting)
    try:
        yield noting.lines
    finally:
        logger.removeHandler(noting)


async def _act(site: VirtualSite, action: Action) -> None:
    site.estate.advance(site.clock.now())
    if action.verb in ("fault", "repair"):
        _befall(site.estate, action)
    elif action.verb == "done":
        site.claim_done(action.kind, action.subject, str(action.options.get("by", "technician")))
    elif action.verb in ("restart", "damage"):
        begin_again = {"restart": site.restart_agent, "damage": site.damage}
        await begin_again[action.verb](action.subject)
    elif action.verb in ("clock", "stall"):
        by_seconds = {"clock": site.set_clock, "stall": site.stall}
        by_seconds[action.verb](action.subject, float(str(action.options["seconds"])))
    elif action.verb == "reload":
        await site.reload(action.subject, action.kind)
    elif action.verb == "server" and action.subject == "stops":
        await site.stop_server()
    elif action.verb == "server":
        site.start_server()
    else:
        verbs = {"cut": site.cut, "mend": site.mend, "deafen": site.deafen, "take": site.take, "broker": site.broker, "disk": site.disk}  # fmt: skip
        verbs[action.verb](action.subject)


def _befall(estate: Estate, action: Action) -> None:
    if action.verb == "fault":
        estate.fault(action.subject, action.kind, **dict(action.options))
    else:
        estate.repair(action.subject, action.kind or None)


def _readings(scenario: Scenario, site: VirtualSite, start: int) -> Iterator[dict[str, Any]]:
    """What is stored of the points that the scenario asks for."""
    points = {one.point for one in scenario.expected if isinstance(one, ReadingExpected)}
    for point in sorted(points):
        raw = site.store.raw(site.plant.site, point, start, site.clock.now() + 1)
        for time, quality in zip(raw.time.tolist(), raw.quality.tolist(), strict=True):
            yield {"t": (time - start) / 1000, "point": point, "quality": QUALITY_NAMES[quality]}


def history_of(
    plant: Plant, decisions: Decisions, desk: Desk, ordering: Ordering, start: int
) -> History:
    """What ledger and desk say happened since `start` (UTC ms); what began before it is left out."""
    events = decisions.since(0, 1_000_000)
    return History(
        alarms=_begun_since(_alarms(plant, events, start), "alarm"),
        orders=_begun_since(_orders(plant, desk, ordering, start), "order"),
        occurrences=tuple(_occurrences(events, start)),
    )


def _begun_since(events: Iterable[Event], id: str) -> tuple[Event, ...]:
    """Without the whole story of each alarm or order whose first event lies before the start."""
    told = tuple(events)
    before = {event[id] for event in told if event["t"] < 0}
    return tuple(event for event in told if event[id] not in before)


def _alarms(plant: Plant, events: Sequence[LedgerEvent], start: int) -> Iterator[dict[str, Any]]:
    for event in events:
        if event.stream != "alarm":
            continue
        rule = plant.rules[str(event.data["rule"])]
        unknown = event.kind == "condition" and event.data.get("condition") == "UNKNOWN"
        yield {
            "t": (event.at - start) / 1000,
            "kind": "unknown" if unknown else event.kind,
            "alarm": event.subject,
            "rule": rule.id,
            "asset": rule.asset,
            "name": rule.name["en"],
            "priority": event.data.get("priority", rule.priority),
        }


def _orders(plant: Plant, desk: Desk, ordering: Ordering, start: int) -> Iterator[dict[str, Any]]:
    for row in reversed(desk.rows(ORDER, plant.site)):
        order = ordering.find(plant.site, row.id).order
        about = {"order": row.id, "order_kind": order.kind, "asset": order.asset}
        about |= {
            "rule": order.rules[0] if order.rules else str(order.cause),
            "name": order.title["en"],
        }
        for event in desk.history(ORDER, plant.site, row.id):
            kind = {"raised": "opened", "close": "closed"}.get(event.kind, event.kind)
            closed = "readings" if event.by == "readings" else "people"
            yield about | {"t": (event.at - start) / 1000, "kind": kind, "closed_by": closed}


def _occurrences(events: Sequence[LedgerEvent], start: int) -> Iterator[dict[str, Any]]:
    for event in events:
        if event.stream == "occurrence" and event.kind.startswith("verdict_"):
            yield {
                "t": (event.at - start) / 1000,
                "duty": event.data["duty"],
                "asset": event.data["asset"],
                "verdict": event.data["verdict"],
            }
