"""`steward simulate replay FILE…`: recordings played as devices through the real edge, broker, journal and store."""

import argparse
import asyncio
import contextlib
import json
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from collector.adapters.store_duckdb import DuckDbStore
from collector.ports import Raw
from commands.access import device_user, password
from commands.delivering import outbox_counts
from commands.installation import Installation, Stop
from commands.part_servers import free_port
from commands.proving.recorded_plant import SITE, WAYS, By, Part, part_of, player_of, write_plant
from commands.proving.rows import Comparison, compare
from commands.reconciling import proven, whole_report
from commands.settling import NotSettled, settle
from config.clock import ScaledClock
from config.load import load_plant
from edge.readings import QUALITIES
from simulators.mqtt_device import MqttDevices
from simulators.playing import play_mqtt, playing_modbus
from simulators.replay import NotARecording, Player, Recording, ReplayModbus, read_recording

EXAMPLE = "simulate replay recording.csv --speed 20"
WHO = "steward simulate replay"
STARTING_S_MAX = 60.0
ARRIVING_S_MAX = 30.0
FLUSHED_S = 1.0
"""By then the edge has taken up what was read last."""
TOLD_EVERY_S = 10.0
LOOK_S = 0.2
EVER = 2**60


class NotPlayed(Exception):
    """The recordings could not be played to their end; the message says why."""


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("file", nargs="+", help="recordings: delimited text with one header line")
    parser.add_argument("--speed", type=float, default=20.0, help="faster than recorded (default 20)")  # fmt: skip
    parser.add_argument("--by", choices=WAYS, help="as which device (default: both ways)")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0 when every recording came through as it is, 1 when not, 2 for what is no recording."""
    if not (arguments.speed > 0 and math.isfinite(arguments.speed)):
        print(f"{WHO}: --speed {arguments.speed:g} is not above 0", file=sys.stderr)
        return 2
    ways = (arguments.by,) if arguments.by else WAYS
    files = [Path(file) for file in arguments.file]
    return play_and_tell(
        files, ways, lambda recording: float(arguments.speed), as_json=arguments.json
    )


def play_and_tell(
    files: Sequence[Path],
    ways: Sequence[By],
    speed_of: Callable[[Recording], float],
    *,
    as_json: bool,
) -> int:
    """Play all files at once, each by all ways at its own speed; print the verdicts."""
    try:
        parts = make_parts(files, ways, speed_of)
        outcome = play(parts)
    except NotARecording as error:
        print(f"{WHO}: {error}", file=sys.stderr)
        return 2
    except NotPlayed as error:
        print(f"{WHO}: {error}", file=sys.stderr)
        return 3
    print(json.dumps(outcome.as_json(), ensure_ascii=False) if as_json else "\n".join(outcome.told()))  # fmt: skip
    return 0 if outcome.ok else 1


def make_parts(
    files: Sequence[Path], ways: Sequence[By], speed_of: Callable[[Recording], float]
) -> list[Part]:
    """One part for each file and way. Raises `NotARecording`."""
    parts = []
    for number, path in enumerate(files, start=1):
        recording = read_recording(path)
        speed = speed_of(recording)
        parts += [part_of(f"{by}-{number}", by, path, recording, speed) for by in ways]
    return parts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the parts, and the delivery report of the run."""

    parts: Sequence[Part]
    found: Sequence[Comparison]
    delivery: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether every part came through and nothing on the way was lost or doubled."""
        return all(found.ok for found in self.found) and proven(self.delivery["readings"])

    def as_json(self) -> dict[str, Any]:
        """The whole outcome as one object."""
        rows = [
            {
                "file": f"{part.path.parent.name}/{part.path.name}", "speed": part.speed, "profile": part.library or "made from its columns",
                "left_out": part.left_out, **asdict(found), "share": found.share,
                "verdict": "yes" if found.ok else "no",
            }
            for part, found in zip(self.parts, self.found, strict=True)
        ]  # fmt: skip
        readings = self.delivery["readings"]
        return {"verdict": "yes" if self.ok else "no", "played": rows, "readings": readings}

    def told(self) -> list[str]:
        """The outcome in lines for people."""
        lines = []
        for part, found in zip(self.parts, self.found, strict=True):
            kept = f"{found.stored_rows} of {found.rows} rows ({100 * found.share:.2f} %)"
            cells = f"{found.cells} cells, {found.missing} of them empty, {found.wrongs} wrong"
            lines.append(f"{'yes' if found.ok else 'NO '}  {part.path.parent.name}/{part.path.name} by {part.by}, speed {part.speed:g}: {kept}, {cells}")  # fmt: skip
            lines += [f"       {said}" for said in found.wrong]
        shown = ("made", "journalled", "stored", "lost", "doubled")
        readings = self.delivery["readings"]
        told = ", ".join(f"{name} {readings[name]}" for name in shown if readings[name] is not None)
        if readings.get("derived"):
            told += f"; {readings['derived']} of those journalled are the server's own"
        held = (
            f", {readings['held_batches']} batches still in an outbox"
            if readings["held_batches"]
            else ""
        )
        return [*lines, f"readings: {told}{held}"]


def play(parts: Sequence[Part]) -> Outcome:
    """Play every part at once through an installation of its own, in a folder that is removed.

    Raises:
        NotPlayed: something did not start, or the run was stopped.
    """
    with tempfile.TemporaryDirectory(prefix="steward-replay-", ignore_cleanup_errors=True) as name:
        return asyncio.run(_Run(parts, Path(name), Stop()).play())


@dataclass(slots=True)
class _Run:
    """One run over one folder."""

    parts: Sequence[Part]
    folder: Path
    stop: Stop
    clock: ScaledClock = field(default_factory=ScaledClock)
    players: dict[str, Player] = field(default_factory=dict)
    modbus: dict[str, ReplayModbus] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    async def play(self) -> Outcome:
        plant_folder = self.folder / "plant"
        write_plant(plant_folder, self.parts)
        plant = load_plant(plant_folder)
        self.players = {part.id: player_of(part, plant) for part in self.parts}
        async with AsyncExitStack() as stack:
            ports = await self._serve(stack)
            site = Installation({str(plant_folder): plant}, self.folder / "data", free_port(), who=WHO, endpoints=ports)  # fmt: skip
            site.prepare()
            stack.push_async_callback(asyncio.to_thread, site.children.stop)
            if not await asyncio.to_thread(site.start, self.stop):
                raise NotPlayed("stopped" if self.stop.asked else "the server did not start")
            await self._all_rows(site, stack)
            await self._settled(site)
            delivery = whole_report(site.call("delivery"), outbox_counts(site.data))
        return self._compared(site, delivery)

    async def _serve(self, stack: AsyncExitStack) -> dict[str, str]:
        ports = {}
        for part in self.parts:
            if part.by == "modbus":
                serving = playing_modbus(self.players[part.id], self.clock)
                self.modbus[part.id], _, port = await stack.enter_async_context(serving)
                ports[part.id] = f"127.0.0.1:{port}"
        return ports

    async def _all_rows(self, site: Installation, stack: AsyncExitStack) -> None:
        lasts_s = max(player.lasts_s for player in self.players.values())
        site.say(f"{len(self.parts)} parts, {lasts_s:.0f} s")
        said = [part.id for part in self.parts if part.by == "mqtt"]
        await self._heard(site, said)
        async with _publishing(site, said) as devices:
            try:
                async with asyncio.TaskGroup() as group:
                    for id, device in devices.items():
                        group.create_task(play_mqtt(self.players[id], self.clock, device))
                    group.create_task(self._read(site, lasts_s))
                    group.create_task(self._arrived(site, said, lasts_s))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from failed

    async def _heard(self, site: Installation, said: Sequence[str]) -> None:
        """Until the edge listens to every MQTT device: it says then that they are silent."""
        deadline = time.monotonic() + STARTING_S_MAX
        wanted = {f"{id}/row_number" for id in said}
        while wanted:
            self._look(site, deadline, f"the edge does not listen to {', '.join(sorted(wanted))}")
            wanted -= {p for p, _, q in await _live(site) if q == QUALITIES["no_answer"]}
            await asyncio.sleep(LOOK_S)

    async def _arrived(self, site: Installation, said: Sequence[str], lasts_s: float) -> None:
        """Until the last row of every MQTT device was shown: the broker acknowledges before it hands on.

        A row that still has not come `ARRIVING_S_MAX` after it is due is not waited for: it will be missing.
        """
        deadline = time.monotonic() + lasts_s + ARRIVING_S_MAX
        wanted = {(f"{id}/row_number", float(len(self.players[id]))) for id in said}
        while wanted and time.monotonic() < deadline:
            self._look(site, math.inf, "")
            wanted -= {(point, value) for point, value, _ in await _live(site)}
            await asyncio.sleep(LOOK_S)
        if wanted:
            site.say(f"the last row was not seen of {', '.join(sorted(point for point, _ in wanted))}")  # fmt: skip

    async def _read(self, site: Installation, lasts_s: float) -> None:
        """Until the edge has read every row, with half as much time again at most."""
        told = time.monotonic()
        deadline = told + 1.5 * lasts_s + STARTING_S_MAX
        while waiting := [id for id, device in self.modbus.items() if not device.finished]:
            self._look(site, deadline, f"{', '.join(waiting)} was not read to its end")
            if time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                site.say(f"{told - self.started:.0f} s, {len(waiting)} recordings still run")
            await asyncio.sleep(LOOK_S)

    def _look(self, site: Installation, deadline: float, late: str) -> None:
        for said in site.children.look():
            site.say(said)
        if wrong := [child for child in site.children.rows if child.told]:
            raise NotPlayed(f"{wrong[0].name}: {wrong[0].told}")
        if self.stop.asked:
            raise NotPlayed("stopped")
        if time.monotonic() > deadline:
            raise NotPlayed(late)

    async def _settled(self, site: Installation) -> None:
        """The edges end, what they hold is sent, and all of it is stored."""
        await asyncio.sleep(FLUSHED_S)
        try:
            await asyncio.to_thread(settle, site, lambda: self._look(site, math.inf, ""))
        except NotSettled as error:
            raise NotPlayed(str(error)) from error

    def _compared(self, site: Installation, delivery: Mapping[str, Any]) -> Outcome:
        store = DuckDbStore(site.data / "store")
        try:
            found = [compare(self.players[part.id], part.by, _raw_of(store)) for part in self.parts]
        finally:
            store.close()
        return Outcome(self.parts, found, delivery)


async def _live(site: Installation) -> list[tuple[str, float | None, int]]:
    """Point, value and quality of all that the server shows; nothing while it does not answer."""
    with contextlib.suppress(OSError, ValueError):
        live = await asyncio.to_thread(site.call, f"sites/{SITE}/live")
        return list(zip(live["points"], live["value"], live["quality"], strict=True))
    return []


def _raw_of(store: DuckDbStore) -> Callable[[str], Raw]:
    return lambda point: store.raw(SITE, point, 0, EVER)


@asynccontextmanager
async def _publishing(
    site: Installation, lines: Sequence[str]
) -> AsyncIterator[dict[str, MqttDevices]]:
    """A connection to the broker for the device of each line."""
    users = {line: device_user(SITE, line) for line in lines}
    devices = {
        line: MqttDevices(
            "127.0.0.1", site.broker_port, client_id=f"devices-{line}", user=user,
            password=password(user, site.settings),
        )
        for line, user in users.items()
    }  # fmt: skip
    for device in devices.values():
        device.start()
    try:
        yield devices
    finally:
        for device in devices.values():
            await device.close()
