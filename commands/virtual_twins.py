"""What an edge of a virtual site asks instead of equipment: the simulated estate, without a wire."""

import asyncio
from collections.abc import Mapping

from commands.virtual_machine import EdgeClock
from config.clock import VirtualClock
from config.plant import Device, Line
from config.profile import Table
from edge.camera_reader import STREAM, Climb, Recorded, Snapshot, StreamStep, Told
from edge.device_messages import DeviceMessage, FeedDown, Waiting
from edge.modbus_transport import SILENCES_BEFORE_RECONNECT, LinkDown, NoAnswer, Refused
from edge.pictures import frame_of_cells
from simulators.estate import Estate

FUNCTION_OF: Mapping[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


class EstateTransport:
    """A `ModbusTransport` that asks the simulated line directly; silences open it anew, as the real one."""

    def __init__(self, estate: Estate, line: Line, clock: VirtualClock) -> None:
        self._estate = estate
        self._words = estate.words(line.id)
        self._timeout_s = line.timeout_s
        self._clock = clock
        self._connected_ms: int | None = None
        self._silences = 0

    async def request(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        """One request with the delay, silence or refusal that the simulator's faults say."""
        self._estate.advance(self._clock.now())
        if not self._words.up:
            self._connected_ms = None
            raise LinkDown("the line does not answer")
        if self._connected_ms is None:
            self._connected_ms = self._clock.now()
        delay_s = self._words.delay_s(unit)
        await asyncio.sleep(min(delay_s, self._timeout_s))
        answer = self._words.answer(unit, FUNCTION_OF[table], address, count, self._connected_ms)
        if answer is None or delay_s > self._timeout_s:
            await asyncio.sleep(max(0.0, self._timeout_s - delay_s))
            self._silences += 1
            if self._silences >= SILENCES_BEFORE_RECONNECT:
                await self.close()
            raise NoAnswer("no answer in time")
        self._silences = 0
        if isinstance(answer, int):
            raise Refused(answer)
        return list(answer)

    async def close(self) -> None:
        """Nothing is kept open."""
        self._connected_ms = None
        self._silences = 0


class EstateFeed:
    """A `DeviceFeed` of what the estate's MQTT devices publish on one line."""

    def __init__(self, estate: Estate, line: Line, clock: VirtualClock, edge: EdgeClock) -> None:
        self._estate = estate
        self._line = line.id
        self._clock = clock
        self._edge = edge
        self._waiting = Waiting()

    async def open(self, filters: frozenset[str]) -> frozenset[str]:
        """Always connected while the broker is up; refused are the topics of devices that nobody may hear.

        What was published since the last call waits now; while the broker is away it is gone.
        """
        now, at = self._clock.now(), self._clock.monotonic()
        self._estate.advance(now)
        said = self._estate.publications(now, self._line)
        if self._is_lost():
            raise FeedDown("the broker is away")
        for topic, payload in said:
            self._waiting.add(DeviceMessage(topic, payload, False, self._edge.now(), at))
        refused = {
            device.unit
            for device in self._estate.plant.devices.values()
            if device.line == self._line
            and "filter_refused" in self._estate.faults_of_device(device.id)
        }
        return frozenset(one for one in filters if refused & {*one.split("/")})

    def take(self) -> DeviceMessage | None:
        return self._waiting.take()

    def _is_lost(self) -> bool:
        return "broker_lost" in self._estate.faults_of_line(self._line)

    async def close(self) -> None:
        """Nothing is kept open."""


class EstateProbe:
    """A `CameraProbe` that looks at the estate's cameras."""

    def __init__(self, estate: Estate, clock: VirtualClock, edge: EdgeClock) -> None:
        self._estate = estate
        self._clock = clock
        self._edge = edge

    async def climb(self, device: Device, highest: StreamStep) -> Climb:
        """The rungs up to the first that fails."""
        self._estate.advance(self._clock.now())
        state = self._estate.camera(device.asset)
        held: dict[StreamStep, bool] = {
            "tcp": state.reachable,
            "describe": state.describes,
            "media": state.media,
        }
        rungs: dict[StreamStep, bool] = {}
        for step in STREAM[: STREAM.index(highest) + 1]:
            rungs[step] = held[step]
            if not held[step]:
                break
        return Climb(rungs)

    async def look(self, device: Device) -> Snapshot:
        """The picture as it is drawn."""
        self._estate.advance(self._clock.now())
        if not self._estate.camera(device.asset).picture:
            return Snapshot(None, "no picture")
        return Snapshot(frame_of_cells(self._estate.picture(device.asset)))

    async def recorded(self, device: Device) -> Recorded:
        """How long ago the last was recorded."""
        self._estate.advance(self._clock.now())
        state = self._estate.camera(device.asset)
        silent_ms = 0 if state.recorded_ms is None else self._clock.now() - state.recorded_ms
        return Recorded(answered=state.recorder, age_s=silent_ms / 1000)

    async def clock(self, device: Device) -> Told:
        """How far its clock is ahead."""
        self._estate.advance(self._clock.now())
        state = self._estate.camera(device.asset)
        return Told(
            state.clock_offset_s - self._edge.ahead_s if state.reachable else None,
            "" if state.reachable else "no answer",
        )
