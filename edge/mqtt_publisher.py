"""One agent's connection to the broker over paho; the client object lives for one connection."""

import asyncio
import contextlib
import math
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.fencing import in_thread
from edge.ports import Connect, LinkLost
from edge.readings import topic

KEEP_ALIVE_S: Final = 20
CONNECT_S_MAX: Final = 10.0
INBOX_MESSAGES_MAX: Final = 1000
"""Marks and requests kept unread; older ones go first, counted: a newer mark says all that they say."""
MISC_S: Final = 4.0
"""How often paho looks whether the keep-alive is due or has run out."""
SEND_BUFFER_BYTES: Final = 16_384
"""Of the kernel, which else takes megabytes: what it takes shows what the line carries."""
CLOSE_S_MAX: Final = 1.0
"""So long what was published last may take to be written."""
DOWN: Final = ("committed", "request")


def paho_connect(  # noqa: PLR0913  # where, as whom, for whom
    host: str, port: int, user: str, password: str, site: str, agent: str, *, ca_file: str = ""
) -> Connect:
    """Opens connections of one agent, from within the loop; with `ca_file` over TLS, name and certificate checked."""

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
        return PahoConnection(client, (host, port), (site, agent), ca_file)

    return connect


class PahoConnection:
    """`async with` is the connection's life; it is its own `Publisher`.

    paho has no thread: the loop tells it when its socket can be read or written, and what it has to say it is told
    at once. A thread of its own was woken for each packet either way, and woke the loop for it (decision 147).
    """

    def __init__(
        self, client: paho.Client, where: tuple[str, int], name: tuple[str, str], ca_file: str = ""
    ) -> None:
        self._client = client
        client.on_socket_register_write = _hold_back
        self._where = where
        self._name = name
        self._ca_file = ca_file
        self._inbox: deque[tuple[str, bytes]] = deque(maxlen=INBOX_MESSAGES_MAX)
        self.dropped_messages = 0
        self._news = asyncio.Event()
        self._lost = ""
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()
        """Subscribed, or lost."""
        self._socket: Any = None
        """Of paho, as long as the loop looks after it."""
        self._closed = asyncio.Event()
        self._misc: asyncio.TimerHandle | None = None
        self._drained = -math.inf
        """When the socket, full before, last took something."""

    async def __aenter__(self) -> "PahoConnection":
        client = self._client
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_message, client.on_disconnect = self._on_message, self._on_disconnect
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                _, failed = await in_thread(self._dial)
                if failed is not None:
                    raise OSError(str(failed)) from failed
                self._look_after()
                await self._settled.wait()
                if self._lost:
                    raise OSError(self._lost)
        except OSError as error:
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

    def queued(self) -> bool:
        return self._client.want_write()

    async def received(self) -> tuple[str, bytes]:
        while not self._inbox:
            if self._lost:
                raise LinkLost(self._lost)
            self._news.clear()
            await self._news.wait()
        return self._inbox.popleft()

    async def close(self) -> None:
        self._end("closed")
        client = self._client
        client.disconnect()
        try:
            self._write()
            if self._socket is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_S_MAX):
                        await self._closed.wait()
        finally:
            self._leave()
            # holds us by these, and its sockets as long as it is held
            client.on_connect = client.on_subscribe = None
            client.on_message = client.on_disconnect = client.on_socket_close = None
            client.on_socket_register_write = _hold_back

    # --- paho's socket

    def _dial(self) -> None:
        """Waits for names, addresses and TLS. An attempt given up meanwhile says no CONNECT: that is the loop's to say."""
        client = self._client
        if self._ca_file:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=self._ca_file))
            except OSError as error:
                raise OSError(f"CA file {self._ca_file}: {error}") from error
        client.connect(*self._where, KEEP_ALIVE_S)

    def _look_after(self) -> None:
        client = self._client
        self._socket = client.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        client.on_socket_close = lambda *_: self._leave()
        client.on_socket_register_write = self._write_soon
        self._loop.add_reader(self._socket, self._read)
        self._write()
        self._look_at_the_time()

    def _leave(self) -> None:
        """The loop looks after it no more, and it is closed."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        if self._misc is not None:
            self._misc.cancel()
        self._socket = self._misc = None
        self._closed.set()

    def _read(self) -> None:
        self._do(self._client.loop_read)
        while (pending := getattr(self._socket, "pending", None)) and pending():
            self._do(self._client.loop_read)  # TLS had more in one piece than one packet

    def _write_soon(self, *_: object) -> None:
        self._loop.call_soon(self._write)

    def _write(self) -> None:
        if self._socket is None:
            return
        self._do(self._client.loop_write)
        if self._socket is None:
            return
        if self._client.want_write():  # the other side takes no more for now
            self._loop.add_writer(self._socket, self._write_on)
        else:
            self._loop.remove_writer(self._socket)

    def _write_on(self) -> None:
        self._drained = self._loop.time()
        self._write()

    def _look_at_the_time(self) -> None:
        """A ping stands behind all that waits to be sent: while that drains, it is not overdue."""
        if self._loop.time() - self._drained >= KEEP_ALIVE_S:
            self._do(self._client.loop_misc)
        if self._socket is not None:
            self._misc = self._loop.call_later(MISC_S, self._look_at_the_time)

    def _do(self, work: Callable[[], object]) -> None:
        """What paho cannot make sense of ends the connection, as its thread's end did."""
        try:
            work()
        except Exception as error:  # noqa: BLE001  # told to whoever waits for the connection
            self._end(f"{type(error).__name__}: {error}")
            self._leave()

    # --- called by paho

    def _on_connect(self, client: paho.Client, *rest: Any) -> None:
        reason = rest[2]
        if reason.is_failure:
            self._end(f"refused: {reason}")
            return
        client.subscribe([(topic(*self._name, what), 1) for what in DOWN])

    def _on_subscribe(self, *rest: Any) -> None:
        refused = [code for code in rest[3] if code.is_failure]
        if refused:
            self._end("the broker lets us hear neither marks nor requests")
        else:
            self._settled.set()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._take(message.topic.rsplit("/", 1)[1], bytes(message.payload))

    def _on_disconnect(self, *rest: Any) -> None:
        reason = str(rest[3])
        cut = reason == "Unspecified error"  # paho's words for an end without a word
        self._end("the connection is cut" if cut else f"connection lost: {reason}")

    def _take(self, what: str, payload: bytes) -> None:
        self.dropped_messages += len(self._inbox) == INBOX_MESSAGES_MAX
        self._inbox.append((what, payload))
        self._news.set()

    def _end(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._settled.set()
        self._news.set()


def _hold_back(*_: object) -> None:
    """What is told by paho that it has something to write; without one it writes at once, in whatever thread."""
