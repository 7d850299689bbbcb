"""`steward prove away`: InfluxDB is away for ten minutes; alarms and live view go on, and the store catches up afterwards."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import numpy as np

from commands.installation import Installation, Stop
from commands.part_servers import free_ports
from commands.parts import NotHere, ensure
from commands.proving.counting_plant import LINE, SITE, CountingDevices, witness, write_plant
from commands.proving.history import problems
from commands.proving.kills import keep_journal, keep_last_of_journal, read_history
from commands.proving.real_parts import INFLUXD, with_influxd
from commands.proving.telling import tell
from commands.settling import NotSettled, settle
from config.clock import ScaledClock
from config.load import load_plant
from simulators.modbus_server import ModbusServer

WHO: Final = "steward prove away"
TIMES_LIVE_MIN: Final = 5.0
LATER_MS_MAX: Final = 500.0
"""So much older than before the outage may be what live view and alarms show meanwhile (99th percentile)."""
SEEN_PART_MIN: Final = 0.9
"""So many of the changes of alarms a second, against before, are seen meanwhile: a look takes its time."""
BEFORE_S_MAX: Final = 60.0
RETURN_S_MAX: Final = 120.0
LOOK_S: Final = 0.1
TOLD_EVERY_S: Final = 10.0


def run(arguments: argparse.Namespace) -> int:
    """0 when all holds, 1 when something does not, 3 when the site did not come up."""
    (program,) = ensure([INFLUXD], say=_say).values()
    if isinstance(program, NotHere):
        _say(f"{program.part} cannot be had: {program.reason}")
        return 3
    with tempfile.TemporaryDirectory(prefix="steward-away-") as folder:
        found = asyncio.run(prove_away(Path(folder), arguments.seconds, program))
    if found is None:
        return 3
    return tell(found, as_json=arguments.json)


def _say(text: str) -> None:
    print(f"{WHO}: {text}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Seen:
    """What people saw in one span: how old the newest live value and each change of an alarm were, ms."""

    seconds: float = 0.0
    live_ms: list[float] = field(default_factory=list)
    alarm_ms: list[float] = field(default_factory=list)
    looks_failed: int = 0

    def figures(self) -> dict[str, float]:
        """99th percentiles and the largest, and changes of alarms a second."""
        return {
            "live_p99_ms": _p99(self.live_ms),
            "live_max_ms": round(max(self.live_ms, default=0.0)),
            "alarm_p99_ms": _p99(self.alarm_ms),
            "alarm_changes_per_s": round(len(self.alarm_ms) / self.seconds, 2),
            "looks": len(self.live_ms),
            "looks_failed": self.looks_failed,
        }


def _p99(ages: list[float]) -> float:
    return round(float(np.percentile(ages, 99))) if ages else 0.0


def compare(before: Seen, away: Seen) -> list[str]:
    """What was not as before while InfluxDB was away."""
    was, now = before.figures(), away.figures()
    found = [
        f"{name} was {was[name]:.0f} ms, and {now[name]:.0f} ms meanwhile"
        for name in ("live_p99_ms", "alarm_p99_ms")
        if now[name] > was[name] + LATER_MS_MAX
    ]
    if not was["alarm_changes_per_s"]:
        found.append("no alarm changed before")
    if now["alarm_changes_per_s"] < SEEN_PART_MIN * was["alarm_changes_per_s"]:
        found.append(f"{was['alarm_changes_per_s']} changes of alarms a second were seen before, {now['alarm_changes_per_s']} meanwhile")  # fmt: skip
    if away.looks_failed:
        found.append(f"{away.looks_failed} looks at live view and alarms failed")
    if not was["looks"]:
        found.append("nothing was shown before")
    return found


async def prove_away(folder: Path, seconds: float, program: Path) -> dict[str, Any] | None:
    """One run with InfluxDB away for so long; what it came to, None if the site did not come up."""
    plant_folder = folder / "plant"
    write_plant(plant_folder)
    http, broker = free_ports(2)
    plants = {str(plant_folder): load_plant(plant_folder)}
    site = Installation(plants, folder / "data", http, who=WHO, broker_port=broker)
    devices = CountingDevices(ScaledClock().now)
    async with AsyncExitStack() as stack:
        server = ModbusServer(devices, ScaledClock())
        stack.push_async_callback(server.close)
        site.endpoints = {LINE: f"127.0.0.1:{await server.start()}"}
        stack.callback(site.children.stop)
        found = await asyncio.to_thread(_Run(site, seconds, program).run)
    if found is None:
        return None
    return await asyncio.to_thread(_with_history, site, devices, found)


def _with_history(
    site: Installation, devices: CountingDevices, found: dict[str, Any]
) -> dict[str, Any]:
    """With what was left behind: each answer of the devices is stored once."""
    keep_last_of_journal(site.data)
    history = read_history(site)
    witnessed = witness(devices.given, history.stored)
    found["problems"] += [*problems(history), *witnessed.problems]
    counts = {"answers": witnessed.given, "stored": len(history.stored), "alarms": len(history.occurrences)}  # fmt: skip
    return found | counts


class _Run:
    """One site from its start to its end, in real time."""

    def __init__(self, site: Installation, seconds: float, program: Path) -> None:
        self._site, self._seconds, self._program = site, seconds, program
        self._since: dict[str, str] = {}
        self._told = 0.0

    def run(self) -> dict[str, Any] | None:
        """Before, meanwhile, afterwards; None if the site did not come up."""
        site = self._site
        site.prepare()
        with_influxd(site, self._program)
        if not site.start(Stop(install=False)) or not self._until(RETURN_S_MAX, self._all_stored):
            return None
        before = self._watch("before", min(BEFORE_S_MAX, self._seconds))
        site.by_name[INFLUXD].signal(signal.SIGKILL)
        away = self._watch("away", self._seconds)
        refused = self._figure("steward_store_refused_total")
        figures, slow = self._return()
        found: dict[str, Any] = {
            "seconds": self._seconds, "before": before.figures(), "away": away.figures(),
            "writes_refused": round(refused), **figures, "problems": compare(before, away) + slow,
        }  # fmt: skip
        if not refused:
            found["problems"].append("the server did not notice that InfluxDB was away")
        try:
            settle(site, lambda: keep_journal(site.data))
        except NotSettled as error:
            found["problems"].append(str(error))
        return found

    # --- what people see

    def _watch(self, name: str, seconds: float) -> Seen:
        seen, begun = Seen(), time.monotonic()
        while (now := time.monotonic() - begun) < seconds:
            try:
                self._look(seen)
            except (OSError, ValueError, HTTPException):
                seen.looks_failed += 1
            self._keep(f"{name}: {now:.0f} of {seconds:.0f} s")
            time.sleep(LOOK_S)
        seen.seconds = time.monotonic() - begun
        return seen

    def _look(self, seen: Seen) -> None:
        site = self._site
        live = site.call(f"sites/{SITE}/live")
        seen.live_ms.append(_ms(live["now"]) - max(live["source_time"]))
        alarms = site.call(f"sites/{SITE}/alarms?state=all")
        for alarm in alarms["items"]:
            if self._since.get(alarm["id"]) != alarm["condition_since"]:
                self._since[alarm["id"]] = alarm["condition_since"]
                seen.alarm_ms.append(_ms(alarms["now"]) - _ms(alarm["condition_since"]))

    def _keep(self, progress: str) -> None:
        """Keep what the proof reads in the end, and say how far it is."""
        keep_journal(self._site.data)
        if time.monotonic() - self._told > TOLD_EVERY_S:
            self._told = time.monotonic()
            _say(progress)

    # --- the store

    def _return(self) -> tuple[dict[str, float], list[str]]:
        """Let InfluxDB come back, and see how fast the store catches up from when it takes the first."""
        first = stored = self._figure("steward_store_readings_total")
        moved = last = begun = time.monotonic()
        self._site.by_name[INFLUXD].restart()
        while (now := time.monotonic()) - begun < RETURN_S_MAX + self._seconds:
            stored = self._figure("steward_store_readings_total")
            if stored == first:
                moved = now
            elif self._all_stored():
                last, stored = time.monotonic(), self._figure("steward_store_readings_total")
                break
            self._keep(f"back: {stored - first:.0f} readings stored")
            time.sleep(LOOK_S / 10)
        else:
            return {}, ["the store did not catch up"]
        outage_s = last - begun + self._seconds
        live = (stored - first) / outage_s
        times = (stored - first) / (last - moved) / live if live else 0.0
        figures = {
            "live_per_s": round(live), "caught_up_readings": round(stored - first),
            "first_taken_after_s": round(moved - begun, 1), "caught_up_in_s": round(last - moved, 2),
            "times_live": round(times, 1),
        }  # fmt: skip
        slow = f"the store catches up at {times:.1f} times live only"
        return figures, [slow] if times < TIMES_LIVE_MIN else []

    def _all_stored(self) -> bool:
        """Whether something is stored, and no more waits than came just now."""
        return (
            self._figure("steward_store_readings_total") > 0
            and self._figure("steward_projecting_lag_seconds") < 1.0
        )

    def _figure(self, name: str) -> float:
        text = self._site.read("metrics").decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.split(" ")[0] == name)  # fmt: skip

    def _until(self, seconds: float, holds: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            keep_journal(self._site.data)
            if holds():
                return True
            time.sleep(LOOK_S)
        return False


def _ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000
