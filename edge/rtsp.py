"""The part of RTSP 1.0 (RFC 2326), digest (RFC 2617) and RTP (RFC 3550) that a look at a camera needs."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

HEADER_BYTES_MAX: Final = 64 * 1024
BODY_BYTES_MAX: Final = 1024 * 1024
LENGTH_DIGITS_MAX: Final = 12
_HASHES: Final = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class NotRtsp(Exception):
    """What came is not what the protocol says."""


@dataclass(frozen=True, slots=True)
class Response:
    """One RTSP response; header names in lower case, each with all its values in order."""

    status: int
    headers: Mapping[str, tuple[str, ...]]
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first value of a header, "" if there is none."""
        return self.headers.get(name, ("",))[0]


def build_request(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    """One request without a body."""
    lines = [f"{method} {url} RTSP/1.0", *(f"{name}: {text}" for name, text in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def parse_head(head: bytes, protocol: str = "RTSP") -> Response:
    """Status line and headers of a response (HTTP's are alike), up to and without the empty line.

    Raises:
        NotRtsp: it is something else.
    """
    lines = head.decode("utf-8", "replace").splitlines()
    match = re.fullmatch(rf"{protocol}/\d\.\d (\d{{3}})( .*)?", lines[0].strip()) if lines else None
    if match is None:
        raise NotRtsp(f"no {protocol} response: {head[:40]!r}")
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines[1:]:
        name, colon, text = line.partition(":")
        if colon:
            key = name.strip().lower()
            headers[key] = (*headers.get(key, ()), text.strip())
    return Response(int(match[1]), headers)


def body_length(response: Response) -> int:
    """The declared length of the body.

    Raises:
        NotRtsp: it is no number or too large.
    """
    text = response.header("content-length") or "0"
    number = text.isascii() and text.isdigit() and len(text) <= LENGTH_DIGITS_MAX
    if not number or int(text) > BODY_BYTES_MAX:
        raise NotRtsp(f"content-length {text[:20]}")
    return int(text)


# --- who we are ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Login:
    """A user of a camera."""

    user: str
    password: str


def authorization(
    login: Login, challenges: Sequence[str], *, method: str, url: str, nonce_count: int, cnonce: str
) -> str | None:
    """The Authorization header for the best challenge that is understood, None for none.

    Digest with MD5 or SHA-256 (and their -sess), with `qop` auth or without, goes before Basic.
    """
    for text in sorted(challenges, key=lambda text: not text.lower().startswith("digest")):
        scheme, _, rest = text.strip().partition(" ")
        if scheme.lower() == "digest":
            fields = _fields(rest)
            answer = _digest(login, fields, method, url, f"{nonce_count:08x}", cnonce)
            if answer is not None:
                return answer
        if scheme.lower() == "basic":
            token = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
            return f"Basic {token}"
    return None


def _fields(text: str) -> dict[str, str]:
    found = re.findall(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', text)
    return {name.lower(): quoted or plain for name, quoted, plain in found}


def _digest(
    login: Login, fields: Mapping[str, str], method: str, url: str, nc: str, cnonce: str
) -> str | None:
    """RFC 2617 3.2.2."""
    algorithm = fields.get("algorithm", "MD5")
    per_session = algorithm.upper().endswith("-SESS")
    name = algorithm.upper().removesuffix("-SESS")
    offered = [part.strip().lower() for part in fields.get("qop", "").split(",") if part.strip()]
    if name not in _HASHES or (offered and "auth" not in offered):
        return None

    def digest(*parts: str) -> str:
        return _HASHES[name](":".join(parts).encode()).hexdigest()

    realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
    secret = digest(login.user, realm, login.password)
    if per_session:
        secret = digest(secret, nonce, cnonce)
    action = digest(method, url)
    middle = (nonce, nc, cnonce, "auth") if offered else (nonce,)
    rows = {"username": login.user, "realm": realm, "nonce": nonce, "uri": url}
    rows["response"] = digest(secret, *middle, action)
    quoted = [f'{key}="{text}"' for key, text in rows.items()]
    if "opaque" in fields:
        quoted.append(f'opaque="{fields["opaque"]}"')
    if "algorithm" in fields:
        quoted.append(f"algorithm={algorithm}")
    if offered or per_session:
        quoted.append(f'cnonce="{cnonce}"')
    if offered:
        quoted += ["qop=auth", f"nc={nc}"]
    return "Digest " + ", ".join(quoted)


# --- what it offers --------------------------------------------------------------------------------


def media_control(sdp: bytes, base: str) -> str | None:
    """URL to SETUP the first video of a description; None without any: sound is no picture."""
    media: list[tuple[str, str]] = []
    for line in sdp.decode("utf-8", "replace").splitlines():
        if line.startswith("m="):
            media.append((line[2:].split(" ")[0], ""))
        elif line.startswith("a=control:") and media and not media[-1][1]:
            media[-1] = (media[-1][0], line.removeprefix("a=control:").strip())
    video = next((control for kind, control in media if kind == "video"), None)
    return None if video is None else resolve(base, video)


def resolve(base: str, control: str) -> str:
    """A control attribute as a URL, as cameras mean it: appended to the base."""
    if control.lower().startswith("rtsp://"):
        return control
    if control in ("", "*"):
        return base
    return base.rstrip("/") + "/" + control.lstrip("/")


def interleaved_channel(transport: str) -> int:
    """The channel of the RTP packets in a Transport header of a SETUP response.

    Raises:
        NotRtsp: the camera did not agree to send inside this connection.
    """
    match = re.search(r"interleaved\s*=\s*(\d{1,3})", transport)
    if match is None or int(match[1]) > 255:
        raise NotRtsp(f"no interleaved transport: {transport[:80]}")
    return int(match[1])


# --- whether it moves ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Packet:
    """What an RTP header says."""

    sequence: int
    timestamp: int
    source: int


def parse_rtp(data: bytes) -> Packet | None:
    """The header of one RTP packet with something in it, None for anything else."""
    if len(data) <= 12 or data[0] >> 6 != 2 or 72 <= data[1] & 0x7F <= 76:
        return None
    return Packet(
        int.from_bytes(data[2:4], "big"),
        int.from_bytes(data[4:8], "big"),
        int.from_bytes(data[8:12], "big"),
    )


def advances(first: Packet, later: Packet) -> bool:
    """Whether the same source went on from `first` to `later`, in number and in time (both wrap)."""
    number = (later.sequence - first.sequence) % 2**16
    time = (later.timestamp - first.timestamp) % 2**32
    return first.source == later.source and 0 < number < 2**15 and 0 < time < 2**31
