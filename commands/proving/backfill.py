"""`steward prove backfill`: hours of history arrive at once, with faults in them: nobody is paged, and nothing of it is missing."""

import argparse
import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from api.ordering import ORDER
from collector.ports import LedgerEvent
from commands.proving.telling import tell
from commands.virtual import VirtualSite
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.load import load_plant
from config.plant import STEWARD

PLANT: Final = Path(__file__).parents[2] / "config" / "plants" / "riverside"
START_MS: Final = 1_773_532_800_000
FAULTS: Final = (
    ("generator", "low_fuel", "fuel-low"),
    ("camera-1", "no_stream", "no-stream"),
    ("camera-2", "unreachable", "unreachable"),
    ("camera-3", "clock_off", "clock-off"),
)
"""What shows on points that are not urgent alone, and the rule that it breaks: what is urgent is never history."""
QUIET_S: Final = 300.0
LASTS_S_MIN: Final = 300.0
OLD_S: Final = 90.0
"""After that all that an outbox holds is history."""
AFTER_S: Final = 330.0
EMPTIED_S_MAX: Final = 6 * 3600.0
OWN: Final = ("agent-silent", "outbox-behind")
"""Rules of the link itself: what they say when it is back is news."""
EVERYTHING: Final = 1_000_000
SLACK_S: Final = 10.0


@dataclass(slots=True)
class Found:
    """What a run came to: figures by name, and what was not as it must be."""

    figures: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def hold(self, holds: object, problem: str) -> None:
        """Note a problem where something does not hold."""
        if not holds:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class Seen:
    """One rule's word after the link was back; `at` is its instant (UTC ms)."""

    kind: str
    rule: str
    at: int


def run(arguments: argparse.Namespace) -> int:
    """0 when the proof holds, 1 when it does not."""
    logging.disable(logging.CRITICAL)  # hours of it in seconds
    found = prove_backfill(arguments.hours, arguments.seed)
    return tell({**found.figures, "problems": found.problems}, as_json=arguments.json)


def prove_backfill(hours: float, seed: int) -> Found:
    """One outage of so many hours of a whole site in virtual time, with faults that nobody saw, and their history."""
    found, begun, loop = Found(), time.monotonic(), VirtualLoop()
    site = VirtualSite(load_plant(PLANT), VirtualClock(loop, START_MS), seed)
    run_virtual(_played(site, hours * 3600, found), loop=loop)
    found.figures["took_s"] = round(time.monotonic() - begun, 1)
    return found


async def _played(site: VirtualSite, lasts_s: float, found: Found) -> None:
    async with site.running():
        await site.clock.sleep_until(QUIET_S)
        for agent in site.plant.agents:
            site.cut(agent)
        cut = site.clock.now()
        await _faults(site, lasts_s)
        events, orders = _last(site), len(site.desk.rows(ORDER, site.plant.site))
        await _drained(site, found)
        await _read_again(site, found)
        _whole(site, found)
        await site.projecting.drain()
        seen = [_seen(event) for event in site.decisions.since(events, EVERYTHING) if event.stream == "alarm"]  # fmt: skip
        judge_news(seen, [rule for *_, rule in FAULTS], found)
        _no_orders(site, orders, found)
        _stored(site, (cut, cut + round(lasts_s * 1000)), found)


async def _faults(site: VirtualSite, lasts_s: float) -> None:
    """Each fault once, some time in the first half of the outage, and the last one to its end."""
    rng = np.random.default_rng(site.seed)
    fault_s = max(LASTS_S_MIN, lasts_s / 36)
    begins = QUIET_S + rng.uniform(60.0, max(61.0, lasts_s / 2), len(FAULTS))
    acts = [(at, asset, kind, True) for at, (asset, kind, _) in zip(begins, FAULTS, strict=True)]
    acts += [(at + fault_s, asset, kind, False) for at, asset, kind, _ in acts[:-1]]
    begun = time.monotonic()
    for at, asset, kind, begin in sorted(acts):
        await site.clock.sleep_until(float(at))
        site.estate.advance(site.clock.now())
        if begin:
            site.estate.fault(asset, kind)
        else:
            site.estate.repair(asset, kind)
        _say(f"{asset} {kind} {'begins' if begin else 'ends'} at {at / 3600:.2f} h, {time.monotonic() - begun:.0f} s on")  # fmt: skip
    await site.clock.sleep_until(QUIET_S + lasts_s)


async def _drained(site: VirtualSite, found: Found) -> None:
    """Agents that read nothing send what the outboxes hold: all of it is history, and the newest that there is."""
    for agent in site.plant.agents:
        await site.restart_agent(agent, reads=False)
    await _sleep(site, OLD_S)
    for agent in site.plant.agents:
        site.mend(agent)
    begun = site.clock.monotonic()
    await _emptied(site, found)
    found.figures["caught_up_s"] = round(site.clock.monotonic() - begun, 1)
    await _sleep(site, AFTER_S)


async def _read_again(site: VirtualSite, found: Found) -> None:
    """The last fault is repaired, and the agents read again: what they say now is news, and well."""
    asset, kind, _ = FAULTS[-1]
    site.estate.advance(site.clock.now())
    site.estate.repair(asset, kind)
    for agent in site.plant.agents:
        await site.restart_agent(agent)
    await _sleep(site, AFTER_S)
    await _emptied(site, found)


async def _emptied(site: VirtualSite, found: Found) -> None:
    until = site.clock.monotonic() + EMPTIED_S_MAX
    while any(outbox.batches for outbox in site.outboxes.values()):
        if site.clock.monotonic() > until:
            found.hold(holds=False, problem="the outboxes are never empty")
            return
        await _sleep(site, 0.1)


async def _sleep(site: VirtualSite, seconds: float) -> None:
    await site.clock.sleep_until(site.clock.monotonic() + seconds)


def _last(site: VirtualSite) -> int:
    return max((event.seq for event in site.decisions.since(0, EVERYTHING)), default=0)


def _seen(event: LedgerEvent) -> Seen:
    return Seen(event.kind, str(event.data.get("rule", "")), event.at)


def judge_news(seen: list[Seen], wanted: list[str], found: Found) -> None:
    """Of what the ledger took since the link was back: history opens nothing but what is counted apart."""
    raised = [one for one in seen if one.kind == "raised" and not one.rule.startswith(OWN)]
    past = Counter(one.rule.partition("@")[0] for one in seen if one.kind == "retrospective")
    found.figures |= {"paged": len(raised), "retrospective": past.total()}
    found.hold(not raised, f"history paged: {', '.join(sorted(one.rule for one in raised))}")
    for rule in wanted:
        found.hold(past[rule] == 1, f"{past[rule]} retrospective occurrences of {rule}, not 1")


def _no_orders(site: VirtualSite, before: int, found: Found) -> None:
    orders = len(site.desk.rows(ORDER, site.plant.site))
    found.figures["orders_of_history"] = orders - before
    found.hold(orders == before, f"history made {orders - before} orders")


def _whole(site: VirtualSite, found: Found) -> None:
    """What the agents made by now is journalled, each once, most of it as history."""
    made = sum(hour.made for outbox in site.outboxes.values() for hour in outbox.counts())
    lanes: Counter[str] = Counter()
    for (_, agent, lane, _), counts in site.journal.counts().items():
        lanes[lane] += counts.readings if agent != STEWARD else 0
    journalled, history = lanes.total(), lanes["backfill"]
    found.figures |= {"made": made, "journalled": journalled, "of_it_history": history}
    found.hold(made == journalled, f"{made} were made and {journalled} journalled")
    found.hold(history > made / 4, f"only {history} readings came as history")


def _stored(site: VirtualSite, outage: tuple[int, int], found: Found) -> None:
    """The store was given all that is journalled, and no point has a hole in the outage."""
    due = sum(counts.readings - counts.aside for counts in site.journal.counts().values())
    found.figures["stored"] = site.store.count()
    found.hold(site.store.taken() == due, f"the store was given {site.store.taken()} of {due}")
    for point in site.plant.points.values():
        if (
            point.device in site.plant.devices and not point.spec.derived
        ):  # of itself an agent says nothing meanwhile
            gap = _gap_s(site, point.id, outage)
            most = point.longest_silence_s + point.period_s + SLACK_S
            found.hold(gap <= most, f"{point.id} has a hole of {gap:.0f} s")


def _gap_s(site: VirtualSite, point: str, span: tuple[int, int]) -> float:
    """The longest time without a reading within a span (UTC ms)."""
    time = site.store.raw(site.plant.site, point, *span).time
    return float(np.diff([span[0], *time.tolist(), span[1]]).max()) / 1000


def _say(text: str) -> None:
    print(f"steward prove: {text}", file=sys.stderr, flush=True)
