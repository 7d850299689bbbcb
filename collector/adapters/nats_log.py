"""One log in JetStream with one writer: whoever opens it last. What an earlier one still sends is refused."""

from dataclasses import dataclass
from typing import Any, Final

from nats.aio.msg import Msg
from nats.js.api import (
    DiscardPolicy,
    Header,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError
from nats.nuid import NUID

from collector.adapters.nats_link import NatsAt, NatsThread, have_stream
from collector.adapters.nats_reading import read_numbers
from collector.adapters.nats_values import TAKEN, NatsValues, have_values
from collector.ports import TakenOver, Unavailable

OWNER: Final = "Steward-Owner"
LAST: Final = "Steward-Last"
WRONG_LAST: Final = (10071, 10164)
FENCE: Final = b"\x90"
"""A group of no entries."""
RESERVE_BYTES: Final = 1 << 20
"""What the server takes beyond the cap: fences, so that a full log can be opened."""
AROUND_BYTES: Final = 512
"""Subject, headers and frame of one piece, at most."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of the log: its number, its writer, the journal position it reaches, its bytes."""

    seq: int
    owner: str
    last: int
    data: bytes


class NatsLog:
    """The stream `steward-journal-NAME`, and a bucket of that name for values which stand for what was cut off.

    Opening it puts an empty piece at its end, `fence`: who wrote before finds a number that it does not
    expect, and is refused by the server. A full log is opened too. `bytes` is what it takes, a little
    more between two looks. Calls block.

    Raises:
        Unavailable: NATS cannot be used.
    """

    def __init__(self, at: NatsAt, name: str, cap_bytes: int) -> None:
        self._stream = f"steward-journal-{name}"
        self._subject = f"steward.journal.{name}"
        self._owner = NUID().next().decode()
        self._cap_bytes = cap_bytes
        self._link = NatsThread(at)
        self.last = self.bytes = 0
        try:
            self._values = self._link.ask(
                "the journal cannot be opened", lambda js: self._make(js, at)
            )
            self.fence = self._append_fence()
        except BaseException:
            self._link.close()
            raise

    def append(self, data: bytes, last: int) -> None:
        """Put a piece at the end, durable on return; a repeat of one whose answer was lost finds it there.

        Raises:
            TakenOver: somebody else has the log.
            Unavailable: it is full, too large a piece, or cannot be reached; a repeat finds out.
        """
        if len(data) > self._link.payload_bytes_max:
            raise Unavailable(f"a group of {len(data)} bytes is above the server's max_payload of {self._link.payload_bytes_max}: raise it to 8MB")  # fmt: skip
        if self._is_full(len(data)):
            raise Unavailable(f"the journal is full ({self.bytes} of {self._cap_bytes} bytes): agents keep what is theirs until it is cut")  # fmt: skip
        self._append(data, last)

    def prove(self) -> None:
        """Return if nobody opened the log after us; else raises `TakenOver`. A full log can say it too."""
        self._append(FENCE, 0)

    def read(self, first: int, last: int) -> list[Piece]:
        """The pieces of the numbers `first` to `last` that are there, in order."""
        if first > last:
            return []
        found = self._link.ask(
            "the journal cannot be read",
            lambda _: read_numbers(self._link.client, self._stream, first, last),
        )
        return [_piece(message) for message in found]

    def state(self) -> tuple[int, int]:
        """First and last number; `bytes` is exact then."""
        info = self._link.ask("the journal cannot be read", lambda js: js.stream_info(self._stream))
        self.bytes = info.state.bytes
        return info.state.first_seq, info.state.last_seq

    def cut(self, number: int) -> None:
        """Drop the pieces up to this one."""
        self._link.ask(
            "the journal cannot be cut", lambda js: js.purge_stream(self._stream, seq=number + 1)
        )
        self.state()

    def kept(self, name: str) -> bytes | None:
        """What was kept last under this name, None if nothing was."""
        return self._link.ask("the journal cannot be read", lambda _: self._values.get(name))

    def all_kept(self, kind: str) -> dict[str, bytes]:
        """What was kept under the names `kind.…`, by the rest of the name."""
        return self._link.ask("the journal cannot be read", lambda _: self._values.get_all(kind))

    def keep(self, name: str, value: bytes) -> None:
        """Keep a value of any length. Raises `TakenOver` when somebody who opened the log after us wrote there."""
        self._link.ask(
            "the journal's state cannot be kept",
            lambda _: self._values.put(name, value, self.fence),
        )

    def close(self) -> None:
        """End the connection; may be called twice."""
        self._link.close()

    # --- inside

    async def _make(self, js: JetStreamContext, at: NatsAt) -> NatsValues:
        held_bytes = await _bytes_of(js, self._stream)
        await have_stream(
            js,
            StreamConfig(
                name=self._stream, subjects=[self._subject], retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE, num_replicas=at.replicas, discard=DiscardPolicy.NEW,
                max_bytes=max(self._cap_bytes, held_bytes) + RESERVE_BYTES, allow_direct=True,
            ),
        )  # fmt: skip
        info = await js.stream_info(self._stream)
        self.last, self.bytes = info.state.last_seq, info.state.bytes
        return await have_values(self._link.client, js, at, self._stream)

    def _append_fence(self) -> int:
        while not self._put(FENCE, 0):
            _, self.last = self.state()
        return self.last

    def _is_full(self, size: int) -> bool:
        """Not said of a log that went on without us: who asks the server then, is told that."""
        size += AROUND_BYTES
        if self.bytes + size <= self._cap_bytes:
            return False
        _, last = self.state()
        return last == self.last and self.bytes + size > self._cap_bytes

    def _append(self, data: bytes, last: int) -> None:
        if self._put(data, last):
            return
        landed = self.read(self.last + 1, self.last + 1)
        if not landed or landed[0].owner != self._owner:
            raise TakenOver(TAKEN)
        if landed[0].data != data:
            raise Unavailable("the group before was kept after all, though its answer was lost: repeat it, or open the journal anew")  # fmt: skip
        self.last += 1

    def _put(self, data: bytes, last: int) -> bool:
        headers = {
            OWNER: self._owner,
            LAST: str(last),
            Header.EXPECTED_LAST_SEQUENCE.value: str(self.last),
        }

        async def publish(js: JetStreamContext) -> int:
            try:
                ack = await js.publish(self._subject, data, stream=self._stream, headers=headers)
            except APIError as error:
                if error.err_code not in WRONG_LAST:
                    raise
                return 0
            return ack.seq

        found = self._link.ask("the journal cannot be written", publish)
        if found:
            self.last, self.bytes = found, self.bytes + len(data) + AROUND_BYTES
        return bool(found)


async def _bytes_of(js: JetStreamContext, stream: str) -> int:
    try:
        return (await js.stream_info(stream)).state.bytes
    except NotFoundError:
        return 0


def _piece(message: Msg) -> Piece:
    headers: dict[str, Any] = message.headers or {}
    return Piece(message.metadata.sequence.stream, headers[OWNER], int(headers[LAST]), message.data)
