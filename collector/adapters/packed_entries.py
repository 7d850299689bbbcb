"""Journal entries as bytes: one group in one piece, with its checksum."""

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from collector.ports import Entry

SEALED: Final = b"\xc1"
"""The one byte that begins nothing in MessagePack: a checksum follows. Earlier pieces have none."""
HEAD: Final = 5

_encoder = msgspec.msgpack.Encoder()
_rows = msgspec.msgpack.Decoder(
    list[tuple[int, str, str, str, str, str, int, int, bytes, int, str, int]]
)


class Damaged(ValueError):
    """What was read is not what was written."""


def pack(entries: Sequence[Entry]) -> bytes:
    """A group's entries in order."""
    body = _encoder.encode(
        [
            (e.received, e.kind, e.site, e.agent, e.lane, e.epoch, e.seq, e.until,
             e.payload, e.clock_error, e.reason, e.readings)
            for e in entries
        ]
    )  # fmt: skip
    return SEALED + zlib.crc32(body).to_bytes(HEAD - 1, "little") + body


def unpack(blob: object) -> list[Entry]:
    """What `pack` was given. Raises `Damaged` for anything else."""
    if not isinstance(blob, bytes):
        raise Damaged("no bytes where a group must be")
    body = blob
    if blob.startswith(SEALED):
        body = blob[HEAD:]
        if zlib.crc32(body).to_bytes(HEAD - 1, "little") != blob[1:HEAD]:
            raise Damaged("its checksum does not fit")
    try:
        return [Entry(*row) for row in _rows.decode(body)]  # type: ignore[arg-type]  # kind and lane are what we wrote
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(str(error)) from error
