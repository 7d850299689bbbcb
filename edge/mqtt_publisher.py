"""One agent's connection to the broker over paho; the client object lives for one connection."""

import asyncio
import contextlib
import ssl
from collections import deque
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.ports import Connect, LinkLost
from edge.readings import topic

KEEP_ALIVE_S: Final = 20
CONNECT_S_MAX: Final = 10.0
INBOX_MESSAGES_MAX: Final = 1000
"""Marks and requests kept unread; older ones go first, counted: a newer mark says all that they say."""
DOWN: Final = ("committed", "request")


def paho_connect(  # noqa: PLR0913  # where, as whom, for whom
    host: str, port: int, user: str, password: str, site: str, agent: str, *, ca_file: str = ""
) -> Connect:
    """Opens connections of one agent; with `ca_file` over TLS, name and certificate checked."""

    def connect(will: bytes) -> "PahoConnection":
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{site}-{agent}",
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.username_pw_set(user, password)
        client.will_set(topic(site, agent, "state"), will, qos=1, retain=True)
        client.max_inflight_messages_set(0)
        if ca_file:
            client.tls_set_context(ssl.create_default_context(cafile=ca_file))
        return PahoConnection(client, (host, port), (site, agent))

    return connect


class PahoConnection:
    """`async with` is the connection's life; it is its own `Publisher`.

    paho's thread ends here: its callbacks hand what came to the loop and return.
    """

    def __init__(self, client: paho.Client, where: tuple[str, int], name: tuple[str, str]) -> None:
        self._client = client
        self._where = where
        self._name = name
        self._inbox: deque[tuple[str, bytes]] = deque(maxlen=INBOX_MESSAGES_MAX)
        self.dropped_messages = 0
        self._news = asyncio.Event()
        self._lost = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribed: asyncio.Future[None] | None = None

    async def __aenter__(self) -> "PahoConnection":
        self._loop = asyncio.get_running_loop()
        self._subscribed = self._loop.create_future()
        client = self._client
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_message, client.on_disconnect = self._on_message, self._on_disconnect
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await asyncio.to_thread(client.connect, *self._where, KEEP_ALIVE_S)
                client.loop_start()
                await self._subscribed
        except (OSError, ValueError) as error:
            await self.close()
            raise LinkLost(f"{self._where[0]}:{self._where[1]}: {str(error) or 'no answer in time'}") from error  # fmt: skip
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def publish(self, what: str, payload: bytes, *, retain: bool = False) -> None:
        if self._lost:
            raise LinkLost(self._lost)
        self._client.publish(topic(*self._name, what), payload, qos=1, retain=retain)

    async def received(self) -> tuple[str, bytes]:
        while not self._inbox:
            if self._lost:
                raise LinkLost(self._lost)
            self._news.clear()
            await self._news.wait()
        return self._inbox.popleft()

    async def close(self) -> None:
        if self._subscribed is not None:
            self._subscribed.cancel()  # nobody waits for it any more
            self._subscribed = None  # its error holds us, too
        self._end("closed")
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        client = self._client  # holds us by these, and its sockets as long as it is held
        client.on_connect = client.on_subscribe = client.on_message = client.on_disconnect = None

    # --- on paho's thread

    def _on_connect(self, client: paho.Client, *rest: Any) -> None:
        reason = rest[2]
        if reason.is_failure:
            self._hand_over(self._end, f"refused: {reason}")
            return
        client.subscribe([(topic(*self._name, what), 1) for what in DOWN])

    def _on_subscribe(self, *rest: Any) -> None:
        refused = [code for code in rest[3] if code.is_failure]
        if refused:
            self._hand_over(self._end, "the broker lets us hear neither marks nor requests")
        else:
            self._hand_over(self._ready)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._hand_over(self._take, message.topic.rsplit("/", 1)[1], bytes(message.payload))

    def _on_disconnect(self, *rest: Any) -> None:
        reason = str(rest[3])
        cut = reason == "Unspecified error"  # paho's words for an end without a word
        self._hand_over(self._end, "the connection is cut" if cut else f"connection lost: {reason}")

    def _hand_over(self, call: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call, *arguments)

    # --- on the loop

    def _ready(self) -> None:
        if self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_result(None)

    def _take(self, what: str, payload: bytes) -> None:
        self.dropped_messages += len(self._inbox) == INBOX_MESSAGES_MAX
        self._inbox.append((what, payload))
        self._news.set()

    def _end(self, reason: str) -> None:
        self._lost = self._lost or reason
        if self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_exception(OSError(reason))
        self._news.set()
