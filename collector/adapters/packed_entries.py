"""Journal entries as bytes: one group in one piece."""

from collections.abc import Sequence

import msgspec

from collector.ports import Entry

_encoder = msgspec.msgpack.Encoder()
_rows = msgspec.msgpack.Decoder(
    list[tuple[int, str, str, str, str, str, int, int, bytes, int, str, int]]
)


def pack(entries: Sequence[Entry]) -> bytes:
    """A group's entries in order."""
    return _encoder.encode(
        [
            (e.received, e.kind, e.site, e.agent, e.lane, e.epoch, e.seq, e.until,
             e.payload, e.clock_error, e.reason, e.readings)
            for e in entries
        ]
    )  # fmt: skip


def unpack(blob: bytes) -> list[Entry]:
    """What `pack` was given. Raises `msgspec.MsgspecError` for anything else."""
    return [Entry(*row) for row in _rows.decode(blob)]  # type: ignore[arg-type]  # kind and lane are what we wrote
