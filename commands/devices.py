"""The simulated estate on real sockets, with its day of honest faults and a technician who repairs them."""

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from commands.access import device_user, password, token_of
from commands.local_http import open_local
from commands.serving import plant_of, run_until_asked, start_logging
from commands.virtual import NEXT_MOVE
from config.clock import Clock
from config.plant import Plant
from config.settings import Settings, SettingsError, read_secret, read_settings
from simulators.camera_server import Login
from simulators.day import honest_faults
from simulators.estate import Estate, Step
from simulators.serving import Access, serving

log = logging.getLogger("steward.devices")
LOOK_S = 2.0
WALK_S = {"accepted": 15.0, "departed": 20.0, "in_progress": 30.0}
"""How long the simulated technician is on the way, and at work, in seconds of the run's clock."""


def run_devices(folder: str, seed: int, *, faults: bool, host: str = "127.0.0.1") -> int:
    """Serve the plant's devices until asked to end."""
    settings = read_settings()
    start_logging(settings.log_level)
    plant = plant_of(folder, settings)
    return run_until_asked(_serve(plant, settings, seed, faults=faults, host=host))


async def _serve(plant: Plant, settings: Settings, seed: int, *, faults: bool, host: str) -> None:
    clock = settings.clock()
    estate = Estate(plant, seed)
    access = Access(
        host=host,
        password_of=lambda secret: read_secret(secret, settings.data / "secrets"),
        brokers={
            line.id: Login(device_user(plant.site, line.id), password(device_user(plant.site, line.id), settings))
            for line in plant.lines.values()
            if line.kind == "mqtt"
        },
    )  # fmt: skip
    async with serving(estate, clock, access):
        if not faults:
            await asyncio.get_running_loop().create_future()
        day = honest_faults(plant, seed, clock.now())
        estate.schedule(_unrepaired(day))
        await Technician(plant, estate, clock, settings).run()


def _unrepaired(day: tuple[Step, ...]) -> list[Step]:
    """The day's faults without their repairs: those are the technician's."""
    return [step for step in day if step.verb == "fault"]


@dataclass(slots=True)
class Technician:
    """Does over HTTP what a technician does: takes each fault order, walks there, repairs, says done."""

    plant: Plant
    estate: Estate
    clock: Clock
    settings: Settings
    repairs: bool = True
    """Whether this one repairs what is broken, or only says so once the readings look well."""
    _since: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look at the orders for ever; a server that is away is tried again."""
        while True:
            with suppress(OSError, ValueError, KeyError, SettingsError):
                for order in (await self._get("orders?state=open"))["items"]:
                    if order["kind"] == "fault":
                        await self._attend(order)
            await self.clock.sleep_until(self.clock.monotonic() + LOOK_S)

    async def _attend(self, order: Mapping[str, Any]) -> None:
        number, state = order["number"], order["state"]
        move = NEXT_MOVE.get(state)
        now = self.clock.monotonic()
        if self._since.get(number, ("", 0.0))[0] != state:
            self._since[number] = (state, now)
        if move is None or now - self._since[number][1] < WALK_S.get(state, 3.0):
            return
        if move == "complete" and not self.repairs and not await self._looks_well(order):
            return
        if move == "complete" and self.repairs:
            self.estate.advance(self.clock.now())
            self.estate.repair(order["asset"])
        said = {"move": move} | ({"assignee": "technician"} if move == "dispatch" else {})
        await self._post(f"orders/{number}/moves", said, str(order["version"]))

    async def _looks_well(self, order: Mapping[str, Any]) -> bool:
        alarm = await self._get(f"alarms/{order['alarm']}")
        return bool(alarm["condition"] == "NORMAL")

    async def _get(self, path: str) -> Any:
        return await asyncio.to_thread(self._call, path, None, "")

    async def _post(self, path: str, body: Mapping[str, Any], version: str) -> Any:
        return await asyncio.to_thread(self._call, path, body, version)

    def _call(self, path: str, body: Mapping[str, Any] | None, version: str) -> Any:
        base = f"http://{self.settings.http_host}:{self.settings.http_port}/api/v1/sites/{self.plant.site}"
        headers = {
            "Authorization": f"Bearer {token_of('technician', self.settings)}",
            "Content-Type": "application/json",
        }
        if version:
            headers["If-Match"] = f'"{version}"'
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{base}/{path}", data=data, headers=headers)  # noqa: S310  # our own server
        try:
            with open_local(request, 10) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            log.info("technician: %s %s: %s", path, error.code, error.read()[:200])
            raise
