"""One log in JetStream with one writer: whoever opens it last. What an earlier one still sends is refused."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from nats.js.api import (
    DiscardPolicy,
    Header,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError
from nats.nuid import NUID

from collector.adapters.nats_link import NatsAt, NatsThread, have_bucket, have_stream
from collector.ports import Unavailable

OWNER: Final = "Steward-Owner"
LAST: Final = "Steward-Last"
WRONG_LAST: Final = (10071, 10164)
CARRY: Final = "carry"
READ_AT_ONCE: Final = 64
TAKEN: Final = "another collector has taken this journal over"
_carries = msgspec.msgpack.Encoder()
_carry = msgspec.msgpack.Decoder(tuple[int, bytes])


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of the log: its number, its writer, the journal position it reaches, its bytes."""

    seq: int
    owner: str
    last: int
    data: bytes


class TakenOver(Unavailable):
    """Somebody else opened the log after us: nothing of ours is taken any more, whatever is tried."""


class NatsLog:
    """The stream `steward-journal-NAME` and its carry, a value which stands for what was cut off.

    Opening it puts an empty piece at its end, `fence`: who wrote before finds a number that it does not
    expect, and is refused by the server. Calls block.

    Raises:
        Unavailable: NATS cannot be used.
    """

    def __init__(self, at: NatsAt, name: str, cap_bytes: int) -> None:
        self._stream = f"steward-journal-{name}"
        self._subject = f"steward.journal.{name}"
        self._owner = NUID().next().decode()
        self._link = NatsThread(at)
        self._revision = 0
        self.last = 0
        try:
            self._link.ask("the journal cannot be opened", lambda js: self._make(js, at, cap_bytes))
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
        if self._put(data, last):
            return
        landed = self.read([self.last + 1])
        if not landed or landed[0].owner != self._owner:
            raise TakenOver(TAKEN)
        if landed[0].data != data:
            raise Unavailable("the group before was kept after all, though its answer was lost: repeat it, or open the journal anew")  # fmt: skip
        self.last += 1

    def read(self, numbers: Sequence[int]) -> list[Piece]:
        """The pieces of these numbers that are there, in order."""
        found: list[Piece] = []
        for at in range(0, len(numbers), READ_AT_ONCE):
            some = numbers[at : at + READ_AT_ONCE]
            pieces = self._link.ask("the journal cannot be read", lambda js: self._read(js, some))  # noqa: B023  # done before the next turn
            found += [piece for piece in pieces if piece is not None]
        return found

    def state(self) -> tuple[int, int, int]:
        """First and last number, and bytes on disk."""
        info = self._link.ask("the journal cannot be read", lambda js: js.stream_info(self._stream))
        return info.state.first_seq, info.state.last_seq, info.state.bytes

    def cut(self, number: int) -> None:
        """Drop the pieces up to this one."""
        self._link.ask(
            "the journal cannot be cut", lambda js: js.purge_stream(self._stream, seq=number + 1)
        )

    def carry(self) -> bytes:
        """What was kept last by `keep`, empty if nothing."""
        return self._link.ask("the journal cannot be read", self._carry)

    def keep(self, value: bytes) -> None:
        """Keep the carry. Raises `TakenOver` when somebody who opened the log after us wrote it."""
        packed = _carries.encode((self.fence, value))
        self._link.ask("the journal's state cannot be kept", lambda js: self._keep(js, packed))

    def close(self) -> None:
        """End the connection; may be called twice."""
        self._link.close()

    # --- inside

    async def _make(self, js: JetStreamContext, at: NatsAt, cap_bytes: int) -> None:
        await have_stream(
            js,
            StreamConfig(
                name=self._stream, subjects=[self._subject], retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE, num_replicas=at.replicas, max_bytes=cap_bytes,
                discard=DiscardPolicy.NEW, allow_direct=True,
            ),
        )  # fmt: skip
        await have_bucket(
            js, KeyValueConfig(self._stream, replicas=at.replicas, storage=StorageType.FILE)
        )
        info = await js.stream_info(self._stream)
        self.last = info.state.last_seq

    def _append_fence(self) -> int:
        while not self._put(b"\x90", 0):  # a group of no entries
            self.last = self.state()[1]
        return self.last

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
        self.last = found or self.last
        return bool(found)

    async def _read(self, js: JetStreamContext, numbers: Sequence[int]) -> list[Piece | None]:
        return await asyncio.gather(*(self._read_one(js, number) for number in numbers))

    async def _read_one(self, js: JetStreamContext, number: int) -> Piece | None:
        try:
            raw = await js.get_msg(self._stream, number, direct=True)
        except NotFoundError:
            return None
        headers: dict[str, Any] = raw.headers or {}
        return Piece(number, headers[OWNER], int(headers[LAST]), raw.data or b"")

    async def _carry(self, js: JetStreamContext) -> bytes:
        return (await self._kept(js))[1]

    async def _kept(self, js: JetStreamContext) -> tuple[int, bytes]:
        """The fence of who wrote the carry, and the carry."""
        try:
            entry = await (await js.key_value(self._stream)).get(CARRY)
        except KeyNotFoundError:
            return 0, b""
        self._revision = entry.revision or 0
        return _carry.decode(entry.value or b"")

    async def _keep(self, js: JetStreamContext, packed: bytes) -> None:
        bucket = await js.key_value(self._stream)
        try:
            self._revision = await bucket.update(CARRY, packed, last=self._revision)
        except KeyWrongLastSequenceError:
            fence, _ = await self._kept(
                js
            )  # an earlier owner's last word, unless we are the earlier one
            if fence > self.fence:
                raise TakenOver(TAKEN) from None
            self._revision = await bucket.update(CARRY, packed, last=self._revision)
