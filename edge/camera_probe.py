"""A camera asked over the network: its stream by RTSP, its pictures, clock and recordings by HTTP."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from config.clock import Clock
from config.plant import Device, Line
from config.profile import CameraModel
from edge import rtsp
from edge.camera_facts import ASK_TIME, Unclear, date_ms, newest_ms, onvif_time_ms
from edge.camera_reader import Climb, Recorded, Snapshot, StreamStep, Told
from edge.camera_web import Address, NotHttp, Question, ask
from edge.rtsp_probe import RtspProbe
from edge.snapshots import NoPicture, frame_of

HTTP_S_MIN: Final = 3.0
"""A camera may take its time for a picture."""
AHEAD_S_MAX: Final = 60.0
"""A segment that ends later than this from now has a wrong time."""
_FAULTS: Final = (OSError, EOFError, NotHttp, NoPicture, Unclear)


class NetworkProbe:
    """A `CameraProbe` over real sockets. Redirects are not followed; questions change nothing.

    HTTP has `HTTP_S_MIN` real seconds, or three times the line's timeout. The recorder is asked as
    itself; where the camera is its own recorder, as the camera. `passwords` say the camera's and
    the recorder's, and are asked each time: a changed one is taken without a restart.
    """

    def __init__(
        self,
        line: Line,
        passwords: tuple[Callable[[], str], Callable[[], str]],
        model_of: Callable[[str], CameraModel],
        clock: Clock,
    ) -> None:
        self._line = line
        self._passwords = passwords
        self._model_of = model_of
        self._clock = clock
        self._stream = RtspProbe(line, passwords[0])
        self._within_s = max(HTTP_S_MIN, 3 * line.timeout_s)
        self._tls: ssl.SSLContext | None = None

    async def climb(self, device: Device, highest: StreamStep) -> Climb:
        return await self._stream.climb(device, highest)

    async def look(self, device: Device) -> Snapshot:
        path = self._model_of(device.profile).snapshot
        try:
            data = (await self._ask(self._camera(device), Question(path))).body
            return Snapshot(await asyncio.to_thread(frame_of, data))
        except _FAULTS as error:
            return Snapshot(None, _said(error))

    async def recorded(self, device: Device) -> Recorded:
        """By the recorder's own clock where it tells it: a wrong clock is no missing recording."""
        model = self._model_of(device.profile)
        path = model.recordings.replace("{unit}", device.unit)
        try:
            answer = await self._ask(self._recorder(device), Question(path))
            now_ms = date_ms(answer.header("date")) if answer.header("date") else self._clock.now()
            newest = await asyncio.to_thread(newest_ms, answer.body, model.newest, device.unit)
            age_s = None if newest is None else (now_ms - newest) / 1000
            if age_s is not None and age_s < -AHEAD_S_MAX:
                raise Unclear(f"the newest segment ends {-age_s:.0f} s from now")
        except _FAULTS as error:
            return Recorded(answered=False, detail=_said(error))
        return Recorded(answered=True, age_s=None if age_s is None else max(0.0, age_s))

    async def clock(self, device: Device) -> Told:
        """By ONVIF, which needs no login; else by the date that every HTTP answer carries."""
        model, said = self._model_of(device.profile), ""
        if model.onvif:
            try:
                return await self._onvif(device, model.onvif)
            except _FAULTS as error:
                said = f"ONVIF: {_said(error)}; "
        try:
            question = Question(model.snapshot or "/", whole=False)
            began = self._clock.now()
            answer = await ask(self._camera(device), question, self._within_s)
            return self._told(began, date_ms(answer.header("date")))
        except _FAULTS as error:
            return Told(None, said + _said(error))

    async def _onvif(self, device: Device, path: str) -> Told:
        began = self._clock.now()
        answer = await self._ask(self._camera(device), Question(path, ASK_TIME))
        return self._told(began, onvif_time_ms(answer.body))

    def _told(self, began: int, camera_ms: int) -> Told:
        """The camera read its clock somewhere between question and answer: in the middle, at best."""
        return Told((camera_ms - (began + self._clock.now()) / 2) / 1000)

    async def _ask(self, address: Address, question: Question) -> rtsp.Response:
        answer = await ask(address, question, self._within_s)
        if answer.status != 200:
            raise NotHttp(f"{question.path} was answered {answer.status}")
        return answer

    # --- whom

    def _camera(self, device: Device) -> Address:
        line, model = self._line, self._model_of(device.profile)
        user = device.user or line.user
        return Address(
            line.host, device.http_port or model.http_port or line.port,
            rtsp.Login(user, self._passwords[0]()) if user else None,
            self._context() if model.https else None, line.tls.server_name if line.tls else "",
        )  # fmt: skip

    def _recorder(self, device: Device) -> Address:
        own = device.recorder
        if own is None:
            return self._camera(device)
        login = rtsp.Login(own.user, self._passwords[1]()) if own.user else None
        return Address(own.host, own.port, login, self._context() if own.https else None)

    def _context(self) -> ssl.SSLContext:
        """Believes the line's authority and nobody else."""
        if self._tls is None:
            ca = self._line.tls.ca if self._line.tls else ""
            self._tls = ssl.create_default_context(cafile=ca)
        return self._tls


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
