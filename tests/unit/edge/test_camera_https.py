"""A camera by HTTPS: its picture is taken, and its password sent, only once it has proved who it is."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from config.clock import SteppedClock
from config.plant import Device, Line, Recorder, Tls
from config.profile import CameraModel
from edge.camera_probe import NetworkProbe
from tests.unit.edge.test_snapshots import jpeg

NAME = "camera.example.org"
BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
MODEL = CameraModel(
    snapshot="/snapshot.jpg", https=True, recordings="/recordings", newest=("[*]", "end")
)
DEVICE = Device("cam", "p", "l", "c", user="steward")
CHALLENGE = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="r"\r\nContent-Length: 0\r\n\r\n'


@asynccontextmanager
async def camera(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Wants a login, then gives its picture; its port, and all that it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            body = jpeg()
            picture = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            writer.write(picture if b"Authorization" in asked[-1] else CHALLENGE)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def signed(ca: trustme.CA, name: str = NAME, until: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    not_before = BEFORE if until else None
    ca.issue_cert(name, not_before=not_before, not_after=until).configure_cert(context)
    return context


def probe(port: int, ca: Path, name: str = NAME) -> NetworkProbe:
    line = Line("l", "e", "rtsp", "127.0.0.1", port, tls=Tls(name, str(ca)))
    return NetworkProbe(
        line, (lambda: "right", lambda: "recorder's"), lambda _: MODEL, SteppedClock()
    )


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


async def test_a_camera_that_proves_its_name_gives_its_picture(ca: trustme.CA, file: Path) -> None:
    async with camera(signed(ca)) as (port, asked):
        shot = await probe(port, file).look(DEVICE)
    assert (shot.frame is not None, shot.detail) == (True, "")
    assert ["Authorization: Basic" in one.decode() for one in asked] == [False, True]


Made = Callable[[trustme.CA], ssl.SSLContext]
IMPOSTORS: dict[str, tuple[Made, str]] = {
    "of another authority": (lambda _: signed(trustme.CA()), "unable to get local issuer"),
    "of another name": (lambda ca: signed(ca, "other.example.org"), f"Hostname mismatch.*{NAME}"),
    "expired": (lambda ca: signed(ca, until=BEFORE + timedelta(days=1)), "certificate has expired"),
}


@pytest.mark.parametrize("name", IMPOSTORS)
async def test_a_camera_that_proves_nothing_is_asked_nothing(
    name: str, ca: trustme.CA, file: Path
) -> None:
    made, said = IMPOSTORS[name]
    async with camera(made(ca)) as (port, asked):
        one = probe(port, file)
        shot, kept, told = (
            await one.look(DEVICE),
            await one.recorded(DEVICE),
            await one.clock(DEVICE),
        )
    assert shot.frame is None
    assert [bool(re.search(said, one.detail)) for one in (shot, kept, told)] == [True] * 3
    assert (kept.answered, told.offset_s, asked) == (False, None, [])


async def test_a_camera_without_tls_is_no_answer(ca: trustme.CA, file: Path) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHALLENGE)
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        shot = await probe(server.sockets[0].getsockname()[1], file).look(DEVICE)
    assert shot.frame is None


async def test_a_recorder_proves_its_own_name_to_the_authority_of_the_line(
    ca: trustme.CA, file: Path
) -> None:
    """It is reached by its address, so that is what its certificate must say."""
    for name, answered in (("127.0.0.1", True), (NAME, False)):
        async with camera(signed(ca, name)) as (port, asked):
            own = Device("cam", "p", "l", "c", recorder=Recorder("127.0.0.1", port, https=True))
            kept = await probe(1, file).recorded(own)
        assert ("401" in kept.detail, len(asked)) == (answered, int(answered))


async def test_an_authority_that_cannot_be_read_is_said(tmp_path: Path, ca: trustme.CA) -> None:
    async with camera(signed(ca)) as (port, asked):
        shot = await probe(port, tmp_path / "none.pem").look(DEVICE)
    assert "No such file" in shot.detail
    assert asked == []


async def test_a_cameras_own_certificate_may_stand_for_its_authority(tmp_path: Path) -> None:
    """Most make their own: `check` says that the file may be the certificate itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEFORE).not_valid_after(BEFORE + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file, secret = tmp_path / "camera.pem", tmp_path / "camera.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    async with camera(context) as (port, _):
        assert (await probe(port, file).look(DEVICE)).frame is not None
    async with camera(signed(trustme.CA())) as (port, asked):
        assert (await probe(port, file).look(DEVICE)).frame is None
        assert asked == []
