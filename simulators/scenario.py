"""Scenarios: what happens to a plant, when, and what must follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from config.mistakes import Mistakes
from config.plant import Plant
from config.reading import read_file
from simulators.estate import Estate, UnknownFault
from simulators.faults import WIRE_FAULTS
from simulators.scenario_text import (
    START,
    VERBS,
    AtText,
    ExpectText,
    Level,
    RepairText,
    ScenarioFile,
    Verb,
)

FOLDER = Path(__file__).parent / "scenarios"
"""Where the scenarios stand that come with Steward."""
AFTERWARDS_S = 420.0
"""How long a scenario goes on behind the last time that it names: five healthy minutes close an order."""

AGENT_VERBS = ("restart", "cut", "mend", "deafen", "stall", "take", "damage", "clock", "reload")
Window = tuple[float, float]
"""Seconds since the scenario's start: not before, not after."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that happens, `t` seconds after the start.

    fault: `subject` an asset, `kind`, `options`. repair: `subject`, `kind` ("" = all). done: `subject`
    an asset, `kind` the duty, `options` {"by"}. restart, cut (agent from broker), mend: `subject` an
    agent. deafen: `subject` an agent, to which its connection brings nothing any more. stall: `subject` an
    agent, `options` {"seconds"} for which nothing gets through by its connection; all arrives then.
    take: `subject` an agent whose session somebody of its name takes. broker: `subject` is what it
    does: stops, starts, loses (one in twenty of what it acknowledges), carries. server (collector and
    desk): stops, starts. disk (of all agents): fills, empties. damage: `subject` an agent, whose
    process is killed, its outbox's file spoilt, and started again. clock: `subject` an agent, `options`
    {"seconds"} by which its machine's clock is set. reload: `subject` an agent that reads its files
    anew, `kind` a device of it that they have changed in.
    """

    t: float
    verb: Verb
    subject: str
    kind: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlarmExpected:
    """An alarm, named `asset words`; windows in seconds, None = not asked. `count` = times raised."""

    alarm: str
    raised: Window | None = None
    returned: Window | None = None
    never_returns: bool = False
    unknown: Window | None = None
    priority: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class OrderExpected:
    """`count` work orders of a cause, named `asset words` (of its alarm, or of its duty)."""

    cause: str
    kind: str = ""
    count: int = 1
    closed_by: str = ""


@dataclass(frozen=True, slots=True)
class OccurrenceExpected:
    """A verdict on an occurrence of a duty of an asset."""

    duty: str
    asset: str
    verdict: str


@dataclass(frozen=True, slots=True)
class ReadingExpected:
    """Every stored reading of a point that was made in a window has this quality, and there is one.

    With `gap_max_s` no two of them, nor the window's ends, lie further apart.
    """

    point: str
    quality: str
    during: Window
    gap_max_s: float | None = None


@dataclass(frozen=True, slots=True)
class LogExpected:
    """Exactly one line that an edge logs in a window has these words, and is of this level.

    None at another time has them, unless that is expected too.
    """

    says: str
    during: Window
    level: Level = "warning"


Expected = AlarmExpected | OrderExpected | OccurrenceExpected | ReadingExpected | LogExpected


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario, its actions in order of time. `start` is local ISO time; `lasts_s` seconds.

    With `wires` every byte to and from Modbus and fire devices goes over a network in virtual time.
    """

    name: str
    about: str
    plant: str
    seed: int
    start: str
    lasts_s: float
    actions: tuple[Action, ...]
    expected: tuple[Expected, ...]
    no_other_alarms: bool = False
    no_other_orders: bool = False
    wires: bool = False
    no_other_log: bool = False

    def start_ms(self, time_zone: str) -> int:
        """The start as UTC ms at a site of this time zone."""
        local = datetime.fromisoformat(self.start).replace(tzinfo=ZoneInfo(time_zone))
        return round(local.timestamp() * 1000)


def scenarios(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of the scenarios in a folder, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def read_scenario(path: Path, plant: Plant | None = None) -> Scenario:
    """Read one scenario; with its plant, also assets, kinds of fault, duties and agents are checked.

    Raises:
        ConfigErrors: every mistake of the file at once.
    """
    mistakes = Mistakes()
    file = read_file(path, ScenarioFile, path.name, mistakes)
    mistakes.raise_if_any()
    assert file is not None  # noqa: S101  # read_file gives None only with a mistake
    _check_file(file, path.name, mistakes)
    mistakes.raise_if_any()
    scenario = _scenario(path.stem, file)
    if plant is not None:
        _check_against(scenario, plant, path.name, mistakes)
        mistakes.raise_if_any()
    return scenario


def _check_file(file: ScenarioFile, shown: str, mistakes: Mistakes) -> None:
    """Mistakes that the form alone does not show."""
    try:
        datetime.fromisoformat(file.start)
    except ValueError:
        mistakes.add(shown, "start", f"{file.start!r} is not a time such as {START}")
    for place, at in enumerate(file.at or []):
        if sum(getattr(at, verb) is not None for verb in VERBS) != 1:
            mistakes.add(shown, f"at[{place}]", f"needs exactly one of {', '.join(VERBS)}")
    for place, one in enumerate(file.expect):
        _check_expectation(one, shown, f"expect[{place}]", mistakes)


def _check_expectation(one: ExpectText, shown: str, path: str, mistakes: Mistakes) -> None:
    kinds = ("alarm", "work_order", "occurrence", "reading", "log")
    if sum(getattr(one, kind) is not None for kind in kinds) != 1:
        mistakes.add(shown, path, f"needs exactly one of {', '.join(kinds)}")
    cause = one.work_order.cause if one.work_order else None
    for name, text in (("alarm", one.alarm), ("work_order.cause", cause)):
        if text is not None and len(text.split()) < 2:
            mistakes.add(shown, f"{path}.{name}", f"{text!r} needs an asset and words: 'a-booster/pump-1 tripped'")  # fmt: skip
    windows = {key: getattr(one, key) for key in ("raised", "returned", "unknown")}
    windows["reading.during"] = one.reading.during if one.reading else None
    windows["log.during"] = one.log.during if one.log else None
    for key, window in windows.items():
        if isinstance(window, list) and (len(window) != 2 or window[0] > window[1]):
            mistakes.add(shown, f"{path}.{key}", 'needs two times in order, such as ["10s", "14s"]')


def _scenario(name: str, file: ScenarioFile) -> Scenario:
    actions = tuple(sorted((_action(at) for at in file.at or []), key=lambda action: action.t))
    expected = tuple(_expected(one) for one in file.expect)
    windows = [w for one in expected if isinstance(one, AlarmExpected) for w in (one.raised, one.returned, one.unknown) if w]  # fmt: skip
    windows += [one.during for one in expected if isinstance(one, ReadingExpected | LogExpected)]
    last = max([0.0, *(a.t for a in actions), *(w[1] for w in windows)])
    return Scenario(
        name, file.about, file.plant, file.seed, file.start,
        file.lasts if file.lasts is not None else last + AFTERWARDS_S, actions, expected,
        file.expect_nothing_else.alarms, file.expect_nothing_else.work_orders, file.wires,
        file.expect_nothing_else.log,
    )  # fmt: skip


def _action(at: AtText) -> Action:
    if at.fault is not None:
        options = at.fault.model_dump(exclude_none=True, exclude={"asset", "kind"})
        return Action(at.t, "fault", at.fault.asset, at.fault.kind, options)
    if isinstance(at.repair, RepairText):
        return Action(at.t, "repair", at.repair.asset, at.repair.kind)
    if at.done is not None:
        return Action(at.t, "done", at.done.asset, at.done.duty, {"by": at.done.by})
    if at.clock is not None:
        return Action(at.t, "clock", at.clock.agent, options={"seconds": at.clock.seconds})
    if at.stall is not None:
        return Action(at.t, "stall", at.stall.agent, options={"seconds": at.stall.seconds})
    if at.reload is not None:
        return Action(at.t, "reload", at.reload.agent, at.reload.device)
    verb = next(verb for verb in VERBS if getattr(at, verb) is not None)
    return Action(at.t, verb, str(getattr(at, verb)))


def _expected(one: ExpectText) -> Expected:
    if one.work_order is not None:
        order = one.work_order
        return OrderExpected(order.cause, order.kind or "", order.count, order.closed_by or "")
    if one.occurrence is not None:
        wanted = one.occurrence
        return OccurrenceExpected(wanted.duty, wanted.asset, wanted.verdict)
    if one.reading is not None:
        seen = one.reading
        return ReadingExpected(seen.point, seen.quality, (seen.during[0], seen.during[1]), seen.gap_max)  # fmt: skip
    if one.log is not None:
        return LogExpected(one.log.says, (one.log.during[0], one.log.during[1]), one.log.level)
    returned = None if one.returned == "never" else one.returned
    return AlarmExpected(
        one.alarm or "", _window(one.raised), _window(returned), one.returned == "never",
        _window(one.unknown), one.priority or "", one.count,
    )  # fmt: skip


def _window(times: list[float] | None) -> Window | None:
    return (times[0], times[1]) if times else None


def _check_against(scenario: Scenario, plant: Plant, shown: str, mistakes: Mistakes) -> None:
    """Mistakes that only the plant shows: names that nothing there has."""
    estate = Estate(plant, scenario.seed)
    duties = {plan.duty.id for plan in plant.plans.values()}
    for place, action in enumerate(scenario.actions):
        path = f"at[{place}].{action.verb}"
        if action.verb in AGENT_VERBS and action.subject not in plant.agents:
            mistakes.unknown(shown, path, action.subject, plant.agents)
        elif action.verb == "done" and action.kind not in duties:
            mistakes.unknown(shown, f"{path}.duty", action.kind, sorted(duties))
        elif action.verb == "reload" and action.kind not in (
            own := {d.id for d in plant.devices_of(action.subject)}
        ):
            mistakes.unknown(shown, f"{path}.device", action.kind, sorted(own))
        elif action.verb in ("fault", "repair"):
            _try(estate, action, shown, path, mistakes)
        if action.kind in WIRE_FAULTS and not scenario.wires:
            mistakes.add(shown, f"{path}.kind", f"{action.kind} needs a scenario with wires = true")
    for place, one in enumerate(scenario.expected):
        _check_names(one, plant, shown, f"expect[{place}]", mistakes)


def _check_names(one: Expected, plant: Plant, shown: str, path: str, mistakes: Mistakes) -> None:
    known = plant.points if isinstance(one, ReadingExpected) else plant.assets
    if not isinstance(one, LogExpected) and (name := _named(one)) not in known:
        mistakes.unknown(shown, path, name, sorted(known))


def _try(estate: Estate, action: Action, shown: str, path: str, mistakes: Mistakes) -> None:
    try:
        if action.verb == "fault":
            estate.fault(action.subject, action.kind, **action.options)
        else:
            estate.repair(action.subject)
    except UnknownFault as error:
        mistakes.add(shown, path, str(error))


def _named(one: AlarmExpected | OrderExpected | OccurrenceExpected | ReadingExpected) -> str:
    """The asset or point that an expectation is about."""
    match one:
        case ReadingExpected():
            return one.point
        case OccurrenceExpected():
            return one.asset
        case AlarmExpected():
            return one.alarm.split()[0]
        case OrderExpected():
            return one.cause.split()[0]
