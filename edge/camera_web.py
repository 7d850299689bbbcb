"""One question to a camera or recorder by HTTP: bounded in bytes and time, and to that address only."""

import asyncio
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge import rtsp

BODY_BYTES_MAX: Final = 8 * 1024 * 1024
CHUNK_LINE_BYTES_MAX: Final = 200


class NotHttp(Exception):
    """What came is not what the protocol says, or more than is taken."""


@dataclass(frozen=True, slots=True)
class Address:
    """Whom to ask, and as whom. With `tls` it must prove to be `server_name`."""

    host: str
    port: int
    login: rtsp.Login | None = None
    tls: ssl.SSLContext | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A path to be read; a `body` (SOAP) is sent as POST. Without `whole` the answer's head is enough."""

    path: str
    body: bytes = b""
    whole: bool = True


async def ask(address: Address, question: Question, within_s: float) -> rtsp.Response:
    """The answer, whatever its status; a challenge is answered once. Nobody is followed elsewhere.

    Raises:
        NotHttp: no HTTP, or more than `BODY_BYTES_MAX`.
        OSError: the link, or no host can have that name (TimeoutError: `within_s` real seconds for all of it).
        EOFError: it ended too early.
    """
    async with asyncio.timeout(within_s):
        answer = await _exchange(address, question, {})
        challenges = answer.headers.get("www-authenticate", ())
        if answer.status != 401 or address.login is None or not question.whole:
            return answer
        proof = rtsp.authorization(
            address.login, challenges, method=_method(question), url=question.path,
            nonce_count=1, cnonce=secrets.token_hex(8),
        )  # fmt: skip
        if proof is None:
            return answer
        return await _exchange(address, question, {"Authorization": proof})


def _method(question: Question) -> str:
    return "POST" if question.body else "GET"


async def _exchange(address: Address, question: Question, more: Mapping[str, str]) -> rtsp.Response:
    try:
        reader, writer = await asyncio.open_connection(
            address.host, address.port, limit=rtsp.HEADER_BYTES_MAX,
            ssl=address.tls, server_hostname=(address.server_name or address.host) if address.tls else None,
        )  # fmt: skip
    except ValueError as error:  # a UnicodeError of a host's name
        raise OSError(f"{address.host}: {error}") from error
    try:
        writer.write(_request(address, question, more))
        await writer.drain()
        return await _answer(reader, whole=question.whole)
    except (rtsp.NotRtsp, ValueError, asyncio.LimitOverrunError) as error:
        raise NotHttp(str(error)) from error
    finally:
        writer.transport.abort()


def _request(address: Address, question: Question, more: Mapping[str, str]) -> bytes:
    host = f"[{address.host}]" if ":" in address.host else address.host
    rows = {
        "Host": f"{host}:{address.port}",
        "User-Agent": "steward",
        "Connection": "close",
        **more,
    }
    if question.body:
        rows |= {"Content-Type": "application/soap+xml; charset=utf-8", "Content-Length": str(len(question.body))}  # fmt: skip
    lines = [
        f"{_method(question)} {question.path} HTTP/1.1",
        *(f"{n}: {t}" for n, t in rows.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + question.body


async def _answer(reader: asyncio.StreamReader, *, whole: bool) -> rtsp.Response:
    head = rtsp.parse_head(await reader.readuntil(b"\r\n\r\n"), "HTTP")
    if not whole:
        return head
    if "chunked" in head.header("transfer-encoding").lower():
        body = await _chunks(reader)
    elif length := head.header("content-length"):
        body = await reader.readexactly(_size(length, 10))
    else:
        body = await _to_the_end(reader)
    return rtsp.Response(head.status, head.headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        if len(line) > CHUNK_LINE_BYTES_MAX:
            raise NotHttp("a chunk's head is too long")
        size = _size(line.split(b";")[0].strip().decode("ascii"), 16)
        if size == 0:
            return bytes(body)
        _size(str(len(body) + size), 10)
        body += await reader.readexactly(size)
        await reader.readexactly(2)


async def _to_the_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while piece := await reader.read(65536):
        body += piece
        _size(str(len(body)), 10)
    return bytes(body)


def _size(text: str, base: int) -> int:
    number = text.isascii() and text.isalnum() and len(text) <= rtsp.LENGTH_DIGITS_MAX
    if not number or int(text, base) > BODY_BYTES_MAX:
        raise NotHttp(f"{text[:20]} bytes; at most {BODY_BYTES_MAX} are taken")
    return int(text, base)
