"""A connection to NATS JetStream: made, looked at, and for callers that block kept by a thread of its own."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError
from nats.js.kv import KeyValue

from collector.ports import Unavailable

T = TypeVar("T")
log = logging.getLogger("steward.nats")

SERVER_MIN: Final = (2, 10)
ANSWER_S_MAX: Final = 10.0
RECONNECT_S: Final = 1
DUPLICATES_S: Final = 120.0
OTHER_CONFIGURATION: Final = 10058
"""JetStream's number for: a stream of this name is there, and it is made otherwise."""


@dataclass(frozen=True, slots=True)
class NatsAt:
    """Where NATS is (`nats://host:4222`, or several with commas between), as whom we come, how many keep a copy.

    With `ca_file`, or where one of them is `tls://…`, over TLS only, name and certificate checked.
    """

    url: str
    user: str = ""
    password: str = ""
    replicas: int = 1
    ca_file: str = ""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What is checked of who answers; None: it is spoken to without TLS."""
        if not self.ca_file and "tls://" not in self.url:
            return None
        return ssl.create_default_context(cafile=self.ca_file or None)


@contextmanager
def unavailable(what: str) -> Iterator[None]:
    """What NATS or the way to it refuses is `Unavailable`, with what could not be done."""
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        said = str(error) or type(error).__name__
        raise Unavailable(f"{what}: {said}") from error


async def connect(at: NatsAt) -> Client:
    """A connection that comes back by itself for ever once it stood.

    Raises:
        Unavailable: nobody answers there, it has no TLS and should, we are not let in, it is older than 2.10, or it
            keeps no streams.
    """
    tls = at.tls
    client = Client() if tls is None else _OnlyTlsClient()
    said = _Said(client)
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            await client.connect(
                at.url.split(","), user=at.user or None, password=at.password or None, name="steward",
                error_cb=said.error, disconnected_cb=said.lost, reconnected_cb=said.back,
                max_reconnect_attempts=-1, reconnect_time_wait=RECONNECT_S, connect_timeout=RECONNECT_S, tls=tls,
            )  # fmt: skip
        said.stands = True
        await _look_at(client)
    except (NatsError, OSError, TimeoutError) as error:
        await close(client)
        reason = said.first or str(error) or f"no answer within {ANSWER_S_MAX:.0f} s"
        raise Unavailable(f"NATS at {at.url} cannot be used: {reason}") from error
    except Unavailable as error:
        await close(client)
        raise Unavailable(f"NATS at {at.url} cannot be used: {error}") from error
    return client


async def _look_at(client: Client) -> None:
    version = client.connected_server_version
    if (version.major, version.minor) < SERVER_MIN:
        wanted = ".".join(map(str, SERVER_MIN))
        raise Unavailable(f"it is {version}, and {wanted} or later is needed: upgrade it")
    try:
        await client.jetstream().account_info()
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"it keeps no streams for us ({error}): give it a `jetstream` block, and us the right to $JS.API.>") from error  # fmt: skip


async def close(client: Client) -> None:
    """Give the connection back; may be called twice, and whatever state it is in."""
    with suppress(NatsError, OSError, TimeoutError):
        await client.close()


async def have_stream(js: JetStreamContext, wanted: StreamConfig) -> None:
    """Make the stream, or bring the one that is there to what is wanted; copies that somebody gave it stay."""
    try:
        await js.add_stream(wanted)
    except APIError as error:
        if error.err_code != OTHER_CONFIGURATION:
            raise
        found = (await js.stream_info(wanted.name or "")).config
        await js.update_stream(wanted, num_replicas=_copies(found, wanted.num_replicas))


async def have_bucket(js: JetStreamContext, wanted: KeyValueConfig) -> KeyValue:
    """Make the key-value bucket, or bring the one that is there to the wanted life of its keys; copies stay as above."""
    try:
        return await js.create_key_value(wanted)
    except APIError as error:
        if error.err_code != OTHER_CONFIGURATION:
            raise
    found = (await js.stream_info(f"KV_{wanted.bucket}")).config
    window = min(wanted.ttl or DUPLICATES_S, DUPLICATES_S)
    await js.update_stream(
        found, max_age=wanted.ttl or 0, duplicate_window=window,
        num_replicas=_copies(found, wanted.replicas),
    )  # fmt: skip
    return await js.key_value(wanted.bucket)


def _copies(found: StreamConfig, wanted: int | None) -> int:
    return max(found.num_replicas or 1, wanted or 1)


class _OnlyTlsClient(Client):
    """Tells nothing, and no password, to a server that does not go over to TLS: the library would, in clear."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and not info.get("tls_required"):
            raise NatsError("it does not ask for TLS, and is told nothing without: give it a `tls` block, or see who answers there")  # fmt: skip
        await super()._process_info(info, initial_connection)


class _Said:
    """Logs a connection lost once and back once; `first` is why the first one did not come about."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.first = ""
        self.stands = False

    async def error(self, error: Exception) -> None:
        if not self.stands and not self.first:
            self.first = str(error) or type(error).__name__
        log.debug("NATS: %s", error)

    async def lost(self) -> None:
        if self.stands and not self._client.is_closed:
            log.warning("no connection to NATS; trying on")

    async def back(self) -> None:
        log.info("connected to NATS again")


class NatsThread:
    """A connection for callers that block: its loop runs in a thread, which ends with `close`.

    Raises:
        Unavailable: as `connect`.
    """

    def __init__(self, at: NatsAt) -> None:
        self._ending = False
        self._beginning = threading.Lock()
        """What begins while the thread ends would never be run, and whoever waits for it would wait for ever."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        self._client: Client | None = None
        try:
            self._client = self._run(connect(at))
        except BaseException:
            self.close()
            raise
        self.client: Client = self._client
        """To be used in the thread only."""
        self._js = self._client.jetstream(timeout=ANSWER_S_MAX)
        self.payload_bytes_max: int = self._client.max_payload

    def ask(self, what: str, work: Callable[[JetStreamContext], Coroutine[Any, Any, T]]) -> T:
        """Do this in the thread and wait for it. Raises `Unavailable` saying `what` could not be done."""
        with unavailable(what):
            return self.begin(work).result()

    def begin(self, work: Callable[[JetStreamContext], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start this in the thread. Raises `Unavailable` once closed."""
        with self._beginning:
            if self._ending:
                raise Unavailable("the connection to NATS was closed")
            return asyncio.run_coroutine_threadsafe(work(self._js), self._loop)

    def close(self) -> None:
        """End connection and thread; may be called twice."""
        with self._beginning:
            if self._ending:
                return
            self._ending = True
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        begun = asyncio.all_tasks() - {asyncio.current_task()}
        if self._client is not None:
            await close(self._client)
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
