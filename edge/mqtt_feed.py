"""Brings what MQTT devices publish, by paho."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from config.clock import Clock
from config.plant import Line
from edge.device_messages import DeviceMessage, FeedDown, Waiting
from edge.payloads import PAYLOAD_BYTES_MAX

log = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 20
"""A broker that says nothing to a ping after this long without a word is gone when it is over again."""


class PahoFeed:
    """A `DeviceFeed` over paho; the client object lives for one connection and never reconnects.

    The password is asked for with each connection: one that was changed is taken without a restart.
    With the `tls` of a line the broker must prove that it is the line's host.

    `timeout_s` of the line holds for connecting and subscribing, in real seconds. A topic filter that
    the broker refuses is asked for again after the longest back-off of the line.
    """

    def __init__(self, line: Line, password_of: Callable[[], str], clock: Clock) -> None:
        self._line = line
        self._password_of = password_of
        self._clock = clock
        self._client: paho.Client | None = None
        self._wanted: frozenset[str] = frozenset()
        self._filters: frozenset[str] = frozenset()
        """Subscribed to."""
        self._refused: frozenset[str] = frozenset()
        self._ask_again_s = 0.0
        self._down = ""
        self._told_dropped = False
        self.waiting = Waiting()

    async def open(self, filters: frozenset[str]) -> frozenset[str]:
        if self._client is not None and self._down:
            await self.close()
            raise FeedDown(self._down)
        if self._client is None:
            await self._connect()
        again = self._refused and self._clock.monotonic() >= self._ask_again_s
        if again or (filters is not self._wanted and filters != self._wanted):
            await self._subscribe(filters)
        return self._refused

    def take(self) -> DeviceMessage | None:
        if self.waiting.dropped_messages and not self._told_dropped:
            self._told_dropped = True
            log.warning(
                "devices of line %s publish more than is read: the oldest go, counted",
                self._line.id,
            )
        return self.waiting.take()

    async def close(self) -> None:
        client, self._client = self._client, None
        self._wanted = self._filters = self._refused = frozenset()
        if client is not None:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    async def _connect(self) -> None:
        self._down = ""
        client = self._client = self._new_client()
        ready = _Ready()
        client.on_connect = lambda _c, _u, _f, reason, _p: ready.set(_failure(reason))
        client.on_disconnect = lambda _c, _u, _f, reason, _p: self._lost(str(reason), ready)
        try:
            await asyncio.to_thread(self._dial, client)
            client.loop_start()
            await ready.wait(self._line.timeout_s)
        except (OSError, ValueError) as error:  # a TimeoutError; a UnicodeError of a host's name
            await self.close()
            raise FeedDown(
                f"{self._line.host}:{self._line.port}: {str(error) or 'no answer'}"
            ) from error
        except BaseException:  # else what is half made would be taken for a connection
            await self.close()
            raise

    def _dial(self, client: paho.Client) -> None:
        """Waits for names, addresses and TLS."""
        if tls := self._line.tls:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=tls.ca))
            except OSError as error:
                raise OSError(f"CA file {tls.ca}: {error}") from error
        client.connect(self._line.host, self._line.port, KEEP_ALIVE_S)

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._line.timeout_s
        client.on_message = self._received
        if self._line.user:
            client.username_pw_set(self._line.user, self._password_of())
        return client

    async def _subscribe(self, filters: frozenset[str]) -> None:
        client = self._client
        if client is None:
            raise FeedDown("closed")
        if gone := sorted(self._filters - filters):
            client.unsubscribe(gone)
        new = sorted(filters - self._filters)
        self._filters &= filters
        refused = await self._refused_of(client, new) if new else frozenset()
        self._filters |= filters - refused
        self._wanted = filters
        self._ask_again_s = self._clock.monotonic() + self._line.backoff_s_max
        if unsaid := sorted(refused - self._refused):
            log.warning("line %s: the broker refuses topic filter %s", self._line.id, ", ".join(unsaid))  # fmt: skip
        self._refused = refused

    async def _refused_of(self, client: paho.Client, filters: Sequence[str]) -> frozenset[str]:
        """Subscribe to these, at least one: which of them the broker refuses."""
        ready, answers = _Ready(), list[ReasonCode]()

        def answered(_c: object, _u: object, _m: object, reasons: list[ReasonCode], _p: object) -> None:  # fmt: skip
            answers.extend(reasons)
            ready.set("")

        client.on_subscribe = answered
        client.subscribe([(topic_filter, 1) for topic_filter in filters])
        try:
            await ready.wait(self._line.timeout_s)
        except OSError as error:
            await self.close()
            raise FeedDown(f"subscribing: {str(error) or 'no answer'}") from error
        taken = {topic_filter for topic_filter, reason in zip(filters, answers, strict=False) if not reason.is_failure}  # fmt: skip
        return frozenset(filters) - taken

    def _lost(self, reason: str, ready: "_Ready") -> None:
        self._down = reason or "disconnected"
        ready.set(self._down)

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self.waiting.add(
            DeviceMessage(
                topic,
                bytes(
                    message.payload[: PAYLOAD_BYTES_MAX + 1]
                ),  # one too many is seen to be too long
                bool(message.retain),
                self._clock.now(),
                self._clock.monotonic(),
            )
        )


class _Ready:
    """An outcome that paho's thread gives and a coroutine waits for; "" is success."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[str] = self._loop.create_future()

    def set(self, outcome: str) -> None:
        self._loop.call_soon_threadsafe(self._set, outcome)

    def _set(self, outcome: str) -> None:
        if not self._future.done():
            self._future.set_result(outcome)

    async def wait(self, timeout_s: float) -> None:
        """Raises OSError with what went wrong (TimeoutError after `timeout_s`)."""
        async with asyncio.timeout(timeout_s):
            if outcome := await self._future:
                raise ConnectionError(outcome)


def _failure(reason: ReasonCode) -> str:
    return str(reason) if reason.is_failure else ""
