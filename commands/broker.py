"""`steward broker PLANT…`: the embedded MQTT broker as its own process; nothing anonymous, nothing default.

amqtt 0.12 enforces no keep-alive and acknowledges what it refuses: nothing in Steward relies on its will,
its session or its acknowledgement; equipment has nothing else than that one.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from amqtt.broker import Broker
from amqtt.errors import BrokerError, MQTTError
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session
from amqtt.utils import gen_client_id
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from collector.ports import Unavailable
from commands.access import make_secrets, write_secret
from commands.broker_topics import Rights, rights_of
from commands.serving import plant_of, run_until_asked, start_logging
from config.settings import read_settings

EXAMPLE = "broker config/plants/riverside"
CONNECT_S_MAX: Final = 10.0
"""So long somebody who connected may take to say who it is."""
END_S_MAX: Final = 5.0
"""So long the end waits for connections that were told to end: amqtt may miss it."""
HANDED_ON_S: Final = 0.01


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", nargs="+", help="folders of the plants whose agents may come in")


def run(arguments: argparse.Namespace) -> int:
    """Until asked to end."""
    settings = read_settings()
    start_logging(settings.log_level)
    plants = [plant_of(folder, settings) for folder in arguments.plant]
    passwords = settings.data / "broker" / "passwords"
    write_passwords(passwords, make_secrets(plants, settings))
    return run_until_asked(
        run_broker(settings.broker_host, settings.broker_port, passwords, rights_of(plants))
    )


def write_passwords(path: Path, users: Mapping[str, str]) -> None:
    """The broker's password file: each user with the hash of its password."""
    hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8192, parallelism=1),))
    write_secret(path, "\n".join(f"{user}:{hasher.hash(word)}" for user, word in users.items()))


class Subscriptions(dict[str, list[Any]]):
    """Iterated over as they were at the beginning: amqtt waits inside such loops, and others come and go meanwhile."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.keys()))

    def items(self) -> Any:
        return [(wanted, list(rows)) for wanted, rows in super().items()]


class Patient(BrokerProtocolHandler):  # type: ignore[misc]  # amqtt ships no types
    """One client's side of the broker; its end is told once all that it was acknowledged for is handed on.

    By itself amqtt drops what waits to be handed on when its sender goes. `served` is False once nobody hands on any more.
    """

    served = True

    async def wait_disconnect(self) -> Any:
        """The last word of the client, None if it went without one."""
        last = await super().wait_disconnect()
        if self._waits():
            while self._waits():  # noqa: ASYNC110  # no event tells of it
                await asyncio.sleep(HANDED_ON_S)
            await asyncio.sleep(HANDED_ON_S)  # the last one is under way: a will comes behind it
        return last

    def _waits(self) -> bool:
        return self.served and self.session is not None and not self.session.delivered_message_queue.empty()  # fmt: skip


class OneConnectionEach(Broker):  # type: ignore[misc]  # amqtt ships no types
    """amqtt, with the connection ended whose session is taken over, and nobody told what it did not ask for.

    By itself it forgets a session as soon as anybody, known or not, asks for its name, and leaves the
    older connection open: that one may go on speaking and hears nothing any more, for ever. It keeps
    a session of everybody that it refuses, and lets those speak on that it meant to send away. It
    waits for ever for who says nothing. And to whoever comes in it tells everything retained that
    anybody subscribed to.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._subscriptions = Subscriptions()
        self.connect_s_max = CONNECT_S_MAX
        self._serving: set[asyncio.Task[Any]] = set()
        """The tasks of connections."""

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Who is no client any more, or never was, has no connection."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a stream's callback always runs in a task
        self._serving.add(task)
        try:
            # who is gone already has no address, and amqtt would count its connection for ever
            if writer.get_extra_info("peername"):
                with contextlib.suppress(OSError):
                    await super().stream_connected(reader, writer, listener_name)
        finally:
            writer.transport.abort()
            self._serving.discard(task)

    async def shutdown(self) -> None:
        """End it; whoever left while that went on, and was still being handed on, is served no more either."""
        try:
            await super().shutdown()
        finally:
            left = list(self._serving)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=END_S_MAX)

    async def _initialize_client_session(
        self, reader: Any, writer: Any, *_: Any
    ) -> tuple[Patient, Session]:
        """Everybody begins anew: whoever asks for a kept session would be written into it before it is known who asks."""
        try:
            async with asyncio.timeout(self.connect_s_max):
                handler, session = await Patient.init_from_connect(
                    reader, writer, self.plugins_manager
                )
        except OSError as error:  # amqtt would count its connection for ever
            raise MQTTError(f"no greeting: {error!r}") from error
        session.clean_session = True
        return handler, session

    async def _handle_client_session(
        self, reader: Any, writer: Any, session: Session, handler: Patient, *others: Any
    ) -> None:
        """Of a session nothing is left at its end, however it ends."""
        try:
            await super()._handle_client_session(reader, writer, session, handler, *others)
        finally:
            handler.served = False
            self._forget(session)
            session.clear_queues()

    async def _authenticate(self, session: Session, listener: Any) -> bool:
        """Only the same user may take a session; who is refused, or lost one, has none of that name."""
        known = await super()._authenticate(session, listener)
        # not looked for before: while that was waited for, another may have come in under this name
        older, handler = self._sessions.get(session.client_id, (None, None))
        if known and older is not None and older.username != session.username:
            known = not older.transitions.is_connected()
        if not known:
            session.client_id = gen_client_id()
        elif older is not None:
            # amqtt's own end waits for its reader, which misses in Python 3.11 that it is cancelled
            # when something arrives at that moment; by this it comes to the end of what it reads
            handler.writer._writer.transport.abort()  # noqa: SLF001  # there is no other way to it
            handler.writer.is_closed = (
                True  # or what is under way to it is written, and complained of
            )
            self._forget(older)
            # handed on by the new one, before all that it says itself
            while not older.delivered_message_queue.empty():
                said = older.delivered_message_queue.get_nowait()
                session.delivered_message_queue.put_nowait(said)
            # what it still asks for is not to be taken for a wish of the new one
            older.client_id = gen_client_id()
        return bool(known)

    def _forget(self, session: Session) -> None:
        """Drop all that is kept of a session, and nothing of another that has its name."""
        if self._sessions.get(session.client_id, (None,))[0] is session:
            del self._sessions[session.client_id]
        for wanted, rows in self._subscriptions.items():
            kept = [row for row in rows if row[0] is not session]
            if kept:
                self._subscriptions[wanted] = kept
            else:
                del self._subscriptions[wanted]

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Only of what this session itself subscribed to."""
        if any(of is session for of, _ in self._subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)


def broker_at(host: str, port: int, password_file: Path, rights: Rights) -> OneConnectionEach:
    """A broker that is not started yet."""
    return OneConnectionEach(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}", "max_connections": 2000}},
            "timeout_disconnect_delay": 0,
            "plugins": {
                "commands.broker_topics.KnownUsers": {"password_file": str(password_file), "rights": rights},
                "commands.broker_topics.OwnTopics": {"rights": rights},
            },
        }
    )  # fmt: skip


async def run_broker(host: str, port: int, password_file: Path, rights: Rights) -> None:
    """Serve until cancelled. Raises `Unavailable` when the port is taken."""
    broker = broker_at(host, port, password_file, rights)
    try:
        await broker.start()
    except BrokerError as error:
        raise Unavailable(f"the broker cannot listen at {host}:{port} ({error.__cause__ or error}): end what listens there, or set STEWARD_BROKER_PORT") from error  # fmt: skip
    print(f"steward broker: ready, listens at {host}:{port}", file=sys.stderr, flush=True)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await broker.shutdown()
