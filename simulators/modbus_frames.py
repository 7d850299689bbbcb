"""How Modbus travels: numbered frames over TCP, or a bus's frames with their checksum."""

import asyncio
import struct
from dataclasses import dataclass
from typing import Protocol

HEADER = struct.Struct(">HHHB")
"""Transaction, protocol (0), length of what follows including the unit, unit."""
LONGEST = 254
"""Of unit and PDU, by the specification."""
RTU_REQUEST_BYTES = 8
"""Of a request with function 1 to 4: unit, function, address, count, checksum."""


@dataclass(frozen=True, slots=True)
class Adu:
    """A message to or from a unit; `number` is its transaction, 0 on a bus."""

    number: int
    unit: int
    pdu: bytes


class Framing(Protocol):
    """Takes requests from a stream and makes the bytes of answers."""

    async def request(self, reader: asyncio.StreamReader) -> Adu | None:
        """The next request; None when the stream is no Modbus. Raises IncompleteReadError at its end."""
        ...

    def frame(self, answer: Adu) -> bytes:
        """The bytes of an answer."""
        ...


class TcpFraming:
    """Modbus TCP."""

    async def request(self, reader: asyncio.StreamReader) -> Adu | None:
        number, protocol, length, unit = HEADER.unpack(await reader.readexactly(HEADER.size))
        if protocol != 0 or not 2 <= length <= LONGEST:
            return None
        return Adu(number, unit, await reader.readexactly(length - 1))

    def frame(self, answer: Adu) -> bytes:
        return HEADER.pack(answer.number, 0, len(answer.pdu) + 1, answer.unit) + answer.pdu


class RtuFraming:
    """The frames of a serial bus, as a gateway passes them on; only reads are understood."""

    async def request(self, reader: asyncio.StreamReader) -> Adu | None:
        raw = await reader.readexactly(RTU_REQUEST_BYTES)
        if crc(raw[:-2]) != raw[-2:]:
            return None
        return Adu(0, raw[0], raw[1:-2])

    def frame(self, answer: Adu) -> bytes:
        body = bytes([answer.unit]) + answer.pdu
        return body + crc(body)


def crc(body: bytes) -> bytes:
    """The checksum of a serial frame as it stands behind it: CRC-16 of the Modbus specification."""
    value = 0xFFFF
    for byte in body:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")
