"""MQTT 3.1.1 as bytes: the few packets that a subscriber and a publisher need, without any I/O."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
PINGRESP_KIND: Final = 13
FRAME_BYTES_MAX: Final = 8 << 20
ID_MAX: Final = 65_535


class Unframed(Exception):
    """The bytes are not MQTT: this connection is of no more use."""


class Frame(msgspec.Struct, frozen=True):
    """One packet other than PUBLISH: its kind and its body after the fixed header."""

    kind: int
    body: bytes


class Published(msgspec.Struct, frozen=True):
    """One PUBLISH as it came; `id` is 0 at QoS 0."""

    topic: str
    payload: bytes
    id: int
    retained: bool


def cut(data: bytes) -> tuple[list[Published], list[Frame], int]:
    """Cut every whole packet out of `data`; returns publishes, others, and how many bytes were used.

    Raises:
        Unframed: a length, a topic or a QoS that MQTT does not have.
    """
    published: list[Published] = []
    others: list[Frame] = []
    at, end = 0, len(data)
    while at + 2 <= end:
        head, length, body = data[at], data[at + 1], at + 2
        if length > 127:
            length, body = _length(data, at + 1)
            if not body:
                break
        if length > FRAME_BYTES_MAX:
            raise Unframed(f"a packet of {length} bytes")
        if body + length > end:
            break
        at = body + length
        if head >> 4 == PUBLISH:
            published.append(_published(head, data, body, at))
        else:
            others.append(Frame(head >> 4, data[body:at]))
    return published, others, at


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The remaining length at `at` and where the body begins; (0, 0) while it is not all there."""
    length = 0
    for place, byte in enumerate(data[at : at + 4]):
        length |= (byte & 127) << (7 * place)
        if byte < 128:
            return length, at + place + 1
    if len(data) >= at + 4:
        raise Unframed("a length of more than four bytes")
    return 0, 0


def _published(head: int, data: bytes, body: int, end: int) -> Published:
    start = body + 2
    stop = start + (data[body] << 8) + data[body + 1] if start <= end else end + 1
    qos = (head >> 1) & 3
    payload = stop + 2 if qos else stop
    if payload > end or qos == 3:
        raise Unframed("a publish that is shorter than it says")
    number = (data[stop] << 8) + data[stop + 1] if qos else 0
    try:
        topic = data[start:stop].decode()
    except UnicodeDecodeError as error:
        raise Unframed("a topic that is not UTF-8") from error
    return Published(topic, data[payload:end], number, bool(head & 1))


def connect(
    client: str, *, keepalive_s: int, user: str = "", password: str = "", clean: bool = True
) -> bytes:
    """CONNECT; unless `clean` it asks for the session that the broker kept."""
    flags = (0x02 if clean else 0) | (0xC0 if user else 0)
    body = _text("MQTT") + bytes((4, flags)) + keepalive_s.to_bytes(2, "big") + _text(client)
    if user:
        body += _text(user) + _text(password)
    return _packet(CONNECT << 4, body)


def subscribe(number: int, filters: Sequence[str], qos: int = 1) -> bytes:
    """SUBSCRIBE to all filters."""
    wanted = b"".join(_text(text) + bytes((qos,)) for text in filters)
    return _packet(SUBSCRIBE << 4 | 2, number.to_bytes(2, "big") + wanted)


def publish(topic: str, payload: bytes, *, number: int = 0, retain: bool = False) -> bytes:
    """PUBLISH at QoS 1, at QoS 0 if `number` is 0."""
    head = PUBLISH << 4 | (2 if number else 0) | retain
    return _packet(head, _text(topic) + (number.to_bytes(2, "big") if number else b"") + payload)


def acknowledge(published: Iterable[Published]) -> bytes:
    """The PUBACKs of all that want one, together."""
    return b"".join([b"\x40\x02" + p.id.to_bytes(2, "big") for p in published if p.id])


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _packet(head: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    while True:
        length, byte = length >> 7, length & 127
        encoded.append(byte | (128 if length else 0))
        if not length:
            return bytes((head,)) + bytes(encoded) + body
