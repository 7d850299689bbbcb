"""Values that belong to a log in JetStream, of any length, written by its owner alone."""

from typing import Any, Final

import msgspec
from nats.aio.client import Client
from nats.js.api import KeyValueConfig, StorageType
from nats.js.client import JetStreamContext
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from collector.adapters.nats_link import NatsAt, have_bucket
from collector.adapters.nats_reading import read_newest
from collector.ports import TakenOver, Unavailable

PART_BYTES: Final = 1 << 20
TRIES_MAX: Final = 5
TAKEN: Final = "another collector has taken this journal over"


class _Head(msgspec.Struct, array_like=True, frozen=True):
    """What stands under a name: the fence of who wrote it, and the value, or where its parts are."""

    fence: int = 0
    value: bytes = b""
    turn: int = 0
    parts: int = 0


_encoder = msgspec.msgpack.Encoder()
_heads = msgspec.msgpack.Decoder(_Head)


class NatsValues:
    """A bucket. A long value is in parts beside its name, and is there when the name says so: whole or not at all."""

    def __init__(self, client: Client, js: JetStreamContext, bucket: KeyValue, name: str) -> None:
        self._client = client
        self._js = js
        self._bucket = bucket
        self._name = name
        self._turn = 0

    async def get(self, name: str) -> bytes | None:
        """What was put last under this name, None if nothing was. Raises `Unavailable`."""
        for _ in range(TRIES_MAX):
            revision, head = await self._head(name)
            if not revision:
                return None
            try:
                return await self._whole(name, head)
            except KeyNotFoundError:  # another one was put in its place meanwhile
                continue
        raise Unavailable("the journal's state is being written by somebody else: try again")

    async def get_all(self, kind: str) -> dict[str, bytes]:
        """What was put under the names `kind.…`, by the rest of the name."""
        subjects = f"$KV.{self._name}.{kind}.*"
        found = await read_newest(self._client, f"KV_{self._name}", subjects)
        heads = {m.subject.rpartition(".")[2]: _heads.decode(m.data) for m in found}
        return {name: await self._whole(f"{kind}.{name}", head) for name, head in heads.items()}

    async def put(self, name: str, value: bytes, fence: int) -> None:
        """Put a value. Raises `TakenOver` where somebody with a higher fence did, `Unavailable`."""
        head = _Head(fence, value)
        if len(value) > PART_BYTES:
            head = await self._put_parts(name, value, fence)
        for _ in range(TRIES_MAX):
            revision, before = await self._head(name)
            if before.fence > fence:
                raise TakenOver(TAKEN)
            try:
                await self._bucket.update(name, _encoder.encode(head), last=revision)
            except KeyWrongLastSequenceError:  # an earlier owner's last word came between
                continue
            if head.parts or before.parts:
                await self._tidy(name, head)
            return
        raise Unavailable("the journal's state is being written by somebody else: try again")

    # --- inside

    async def _head(self, name: str) -> tuple[int, _Head]:
        try:
            entry = await self._bucket.get(name)
        except KeyNotFoundError:
            return 0, _Head()
        return entry.revision or 0, _heads.decode(entry.value or b"")

    async def _whole(self, name: str, head: _Head) -> bytes:
        parts = [
            (await self._bucket.get(f"{name}.{head.fence}.{head.turn}.{n}")).value or b""
            for n in range(head.parts)
        ]
        return b"".join(parts) if parts else head.value

    async def _put_parts(self, name: str, value: bytes, fence: int) -> _Head:
        self._turn += 1
        starts = range(0, len(value), PART_BYTES)
        for n, start in enumerate(starts):
            part = value[start : start + PART_BYTES]
            await self._bucket.put(f"{name}.{fence}.{self._turn}.{n}", part)
        return _Head(fence, b"", self._turn, len(starts))

    async def _tidy(self, name: str, head: _Head) -> None:
        """Drop parts of other turns, of earlier owners too; of later ones none."""
        stream, prefix = f"KV_{self._name}", f"$KV.{self._name}.{name}."
        info = await self._js.stream_info(stream, subjects_filter=f"{prefix}*.*.*")
        subjects: dict[str, Any] = info.state.subjects or {}
        turns = {tuple(map(int, s.removeprefix(prefix).split(".")[:2])) for s in subjects}
        for fence, turn in turns:
            if fence <= head.fence and (fence, turn) != (head.fence, head.turn):
                await self._js.purge_stream(stream, subject=f"{prefix}{fence}.{turn}.*")


async def have_values(client: Client, js: JetStreamContext, at: NatsAt, name: str) -> NatsValues:
    """The bucket of this name, made if it is not there."""
    wanted = KeyValueConfig(name, replicas=at.replicas, storage=StorageType.FILE)
    return NatsValues(client, js, await have_bucket(js, wanted), name)
