"""`steward prove outage`: days without a link, a full disk, a damaged file; every reading made against every one journalled."""

import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from commands.proving.outage_site import PERIOD_MS, START_MS, OutageSite
from commands.virtual_machine import full_disk
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.links import PERIOD_S as DIAGNOSTICS_S
from edge.agent import PENDING_READINGS_MAX
from edge.outbox import OutboxLimits

DAYS_MIN: Final = 7.0
TIMES_LIVE_MIN: Final = 5.0
EVENT_LATER_MS_MAX: Final = 150.0
QUIET_S: Final = 600.0
CATCH_UP_S_MAX: Final = 6 * 3600.0
SLACK_H: Final = 8.0
"""Beside the outage itself: before it, and until everything has arrived."""
FULL_S: Final = 3600.0
SEEN_AFTER_S: Final = 60.0
"""A catch-up that lasts so long sees something urgent: there is one every two seconds."""
KILLS: Final = 6
TOLD_EVERY_S: Final = 10.0
TOLD_MS_OFF_MAX: Final = 10_000
"""Times of making are those of the flush: later than those of the readings where the disk was full."""
Say = Callable[[str], None]


@dataclass(slots=True)
class Episode:
    """What one outage came to: figures by name, and what was not as it must be."""

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def hold(self, holds: object, problem: str) -> None:
        """Note a problem where something does not hold."""
        if not holds:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class Outage:
    """How long, how many points every 10 s, which seed."""

    hours: float = 72.0
    points: int = 200
    seed: int = 1


Play = Callable[[OutageSite, Episode, Outage], Awaitable[None]]


def prove_outage(outage: Outage, say: Say) -> list[Episode]:
    """All three episodes, each over a fresh disk."""
    third_mb = outage.hours * 3600 * outage.points * 20 / (PERIOD_MS / 1000) / 3e6
    return [
        prove_long(outage, say),
        run_episode("cap", _capped, outage, OutboxLimits(mb_max=third_mb), say),
        run_episode("damaged", _damaged, outage, OutboxLimits(), say),
    ]


def prove_long(outage: Outage, say: Say) -> Episode:
    """The one whose outbox holds everything: nothing may be lost or doubled."""
    return run_episode("long", _long, outage, OutboxLimits(), say)


def run_episode(name: str, play: Play, outage: Outage, limits: OutboxLimits, say: Say) -> Episode:
    """One episode in virtual time, its outbox on a real disk."""
    episode = Episode(name)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="steward-outage-") as folder:
        (disk := Path(folder) / "disk").mkdir()
        loop = VirtualLoop()
        site = OutageSite(
            disk, VirtualClock(loop, START_MS), np.random.default_rng(outage.seed), outage.points,
            outage.hours + SLACK_H, limits,
        )  # fmt: skip
        run_virtual(_played(site, partial(play, site, episode, outage), say, name), loop=loop)
    episode.figures |= {
        "made": int(site.made.sum()) * outage.points + len(site.events),
        "journalled": int(site.tally.cells.sum()) + len(site.tally.events),
        "kills": site.kills,
        "took_s": round(time.monotonic() - begun, 1),
    }
    episode.hold(
        not site.tally.wrong, f"{site.tally.wrong} readings hold another value than was made"
    )
    episode.hold(not site.tally.again, f"{site.tally.again} readings are journalled twice")
    strange = site.tally.cells.any(1) & (site.made == 0)
    episode.hold(not strange.any(), f"readings of {strange.sum()} cycles were never made")
    return episode


async def _played(
    site: OutageSite, play: Callable[[], Awaitable[None]], say: Say, name: str
) -> None:
    told = begun = time.monotonic()

    def tell() -> None:
        nonlocal told
        if time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            with contextlib.suppress(OSError):  # the disk may just be full
                say(f"{name}: hour {site.clock.monotonic() / 3600:.0f} in {told - begun:.0f} s")

    site.tell = tell
    site.begin()
    try:
        await play()
    finally:
        await site.end()


# --- what happens ---------------------------------------------------------------------------------


async def _long(site: OutageSite, episode: Episode, outage: Outage) -> None:
    """Within the cap: kills, an hour of full disk, and a disk that turns out to be an old copy."""
    await site.sleep(QUIET_S)
    copy = site.folder.with_name("copy")
    await _restarted(site, lambda: site.copy(copy))
    await site.sleep(QUIET_S)
    quiet = _delays(site, 0, site.clock.now())
    epoch = site.outbox.epoch
    while site.outbox.batches:
        await site.sleep(0.1)
    site.unlink()
    await site.kill()
    site.put_back(copy)
    site.start()
    await _offline(site, outage.hours / 2)
    with full_disk():
        await site.sleep(min(FULL_S, outage.hours * 450))
    await _offline(site, outage.hours / 2)
    await _restarted(site, lambda: _keeps(site, episode, outage))
    await _caught_up(site, episode, quiet)
    episode.hold(site.outbox.epoch != epoch, "the old copy did not begin a new epoch")
    episode.hold(site.refusals, "the full disk refused nothing")
    lost = _lost(site)
    episode.hold(not lost.any(), f"{lost.sum()} readings are lost")
    late = [at for at in site.events if at not in site.tally.events]
    episode.hold(not late, f"{len(late)} urgent readings are lost")


async def _capped(site: OutageSite, episode: Episode, outage: Outage) -> None:
    """The cap holds a third of it, and the disk is full for longer than memory lasts, if there is time."""
    await site.sleep(QUIET_S)
    await site.between_readings()
    quiet = _delays(site, 0, site.clock.now())
    site.unlink()
    cycle = _next_cycle(site)
    await _offline(site, outage.hours / 2)
    full_s = 1.25 * PENDING_READINGS_MAX / outage.points * PERIOD_MS / 1000
    with full_disk():
        await site.sleep(min(full_s, outage.hours * 900))
    await site.sleep(outage.hours * 900)
    await _caught_up(site, episode, quiet)
    await site.sleep(2 * DIAGNOSTICS_S)
    _gap(site, episode, cycle)


async def _damaged(site: OutageSite, episode: Episode, outage: Outage) -> None:
    """The file is damaged while no agent runs, then under the running one; it goes on each time.

    Of the second damage SQLite knows when it reads there: at the latest when the link is back, unless
    it had all of it in memory and nothing was harmed.
    """
    await site.sleep(QUIET_S)
    site.unlink()
    await site.sleep(outage.hours * 600)
    await _restarted(site, site.damage)
    found = _next_cycle(site)
    episode.hold(len(site.set_aside()) == 1, "the damaged file is not set aside")
    await site.sleep(outage.hours * 600)
    await _restarted(site, lambda: None)
    site.damage()
    await site.sleep(outage.hours * 600)
    site.link()
    end = site.clock.monotonic() + CATCH_UP_S_MAX
    while len(site.set_aside()) < 2 and site.outbox.batches and site.clock.monotonic() < end:
        await site.sleep(1.0)
    if len(site.set_aside()) > 1:
        found = _next_cycle(site)
    await site.sleep(QUIET_S)
    await site.read_no_more()
    await site.sleep(PERIOD_MS / 1000)
    lost = _lost(site)
    episode.figures |= {
        "set_aside": len(site.set_aside()),
        "lost_with_files": int(lost[:found].sum()),
    }
    episode.hold(not site.outbox.batches, f"{site.outbox.batches} batches are stuck")
    after = lost[found:].sum()
    episode.hold(not after, f"{after} readings are lost that were made after the damage was found")
    episode.hold(site.tally.cells[found:].any(), "the agent did not go on")


def _next_cycle(site: OutageSite) -> int:
    return int(site.clock.monotonic() * 1000 // PERIOD_MS) + 1


async def _restarted(site: OutageSite, meanwhile: Callable[[], object]) -> None:
    await site.between_readings()
    await site.kill()
    meanwhile()
    site.start()


async def _offline(site: OutageSite, hours: float) -> None:
    """So long without a link; the agent is killed a few times."""
    end = site.clock.monotonic() + hours * 3600
    for _ in range(KILLS):
        await site.sleep(float(site.rng.uniform(0.1, 1.0)) * hours * 3600 / KILLS)
        await _restarted(site, lambda: None)
    await site.sleep(max(0.0, end - site.clock.monotonic()))
    await site.between_readings()


async def _caught_up(site: OutageSite, episode: Episode, quiet: list[int]) -> None:
    """The link is back: how fast history comes, and whether what is live waits for it."""
    before = site.tally.lanes.get("backfill", 0)
    linked, begun = site.clock.now(), time.monotonic()
    held = site.outbox.batches
    site.link()
    while site.outbox.batches and site.clock.now() - linked < CATCH_UP_S_MAX * 1000:
        await site.sleep(1.0)
    lasted_s, real_s = (site.clock.now() - linked) / 1000, time.monotonic() - begun
    history = site.tally.lanes.get("backfill", 0) - before
    live = site.points * 1000 / PERIOD_MS
    kept = max(
        (site.tally.events.get(at, linked) for at in site.events if at < linked), default=linked
    )
    busy = _delays(site, kept, site.clock.now())
    episode.figures |= {
        "batches_held": held,
        "catch_up_s": lasted_s,
        "times_live": round(history / lasted_s / live, 1),
        "times_live_of_this_machine": round(history / real_s / live, 1),
        "kept_events_first_s": round((kept - linked) / 1000, 1),
        "event_ms_quiet_p99": _p99(quiet),
        "event_ms_catch_up_p99": _p99(busy),
        "events_in_catch_up": len(busy),
    }
    await site.read_no_more()
    await site.sleep(PERIOD_MS / 1000)
    episode.hold(not site.outbox.batches, f"{site.outbox.batches} batches are stuck")
    slow = history < TIMES_LIVE_MIN * live * lasted_s
    episode.hold(not slow, f"history comes at {history / lasted_s:.0f} readings/s only")
    seen = busy or lasted_s < SEEN_AFTER_S
    episode.hold(seen, f"nothing urgent was made in {lasted_s:.0f} s of catch-up")
    later = _p99(busy) - _p99(quiet)
    episode.hold(
        later <= EVENT_LATER_MS_MAX, f"what is urgent comes {later:.0f} ms later in the catch-up"
    )


# --- what came of it ------------------------------------------------------------------------------


def _keeps(site: OutageSite, episode: Episode, outage: Outage) -> None:
    """Nothing was thinned, and by what it takes on disk there is room for a week."""
    size = site.size_mb()
    days = site.limits.mb_max / size * outage.hours / 24
    episode.figures |= {"outbox_mb": round(size, 1), "days_of_room": round(days, 1)}
    dropped = site.outbox.dropped.readings
    episode.hold(not dropped, f"{dropped} readings were thinned below the cap")
    episode.hold(days >= DAYS_MIN, f"the cap holds {days:.1f} days only")


def _gap(site: OutageSite, episode: Episode, cycle: int) -> None:
    """What is lost is what the agent said: so much, the oldest first, from then to then, nothing urgent."""
    lost = _lost(site)
    said = dict(site.tally.told)
    thinned = site.outbox.dropped.readings
    episode.figures |= {
        "lost": int(lost.sum()), "told": int(said.get("outbox_dropped", 0)), "thinned": thinned,
        "refused_by_disk_and_memory": int(lost.sum()) - thinned,
    }  # fmt: skip
    episode.hold(thinned, "nothing was thinned")
    episode.hold(lost.sum() == said.get("outbox_dropped"), f"{lost.sum()} are lost, told were {said.get('outbox_dropped')}")  # fmt: skip
    first = lost.ravel()[cycle * site.points :][:thinned]
    episode.hold(first.all(), "what was thinned is not the oldest")
    gone = np.flatnonzero(lost.any(1)) * PERIOD_MS + START_MS
    for name, at in (("from", gone[:1]), ("until", gone[-1:])):
        off = abs(said.get(f"outbox_dropped_{name}", 0) * 1000 - at)
        episode.hold((off <= TOLD_MS_OFF_MAX).all(), f"the gap's `{name}` is {off} ms off")
    urgent = [at for at in site.events if at not in site.tally.events]
    episode.hold(not urgent, f"{len(urgent)} urgent readings are lost")


def _lost(site: OutageSite) -> Any:
    """By cycle and point: made and not journalled."""
    return (site.made[:, None] == 1) & (site.tally.cells == 0)


def _delays(site: OutageSite, since: int, until: int) -> list[int]:
    """From making to journal, of urgent readings made then; ms."""
    came = site.tally.events
    return [came[at] - at for at in site.events if since <= at < until and at in came]


def _p99(delays: Sequence[int]) -> float:
    return float(np.percentile(delays, 99)) if delays else 0.0
