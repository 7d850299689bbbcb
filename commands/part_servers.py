"""Starts real servers (Mosquitto, NATS, InfluxDB, PostgreSQL) for tests, measurements and the demo, and ends them."""

import http.client
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commands import mosquitto_files, nats_files
from commands.broker_topics import Rights
from commands.mosquitto_files import ACL

HOST: Final = "127.0.0.1"
READY_S_MAX: Final = 30.0
STOP_S_MAX: Final = 15.0
KEEPS_PORTS: Final = sys.platform == "linux"
HELD_PORTS_MAX: Final = 200
_held: Final[deque[int]] = deque()
"""Descriptors of sockets that keep a port."""


class PartFailed(Exception):
    """A real part did not start; the message ends with what it said."""


@dataclass(frozen=True, slots=True)
class Running:
    """One server process of ours. Its output is in `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: int = signal.SIGTERM

    def stop(self) -> None:
        """End it and wait; may be called twice."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(timeout=STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """`kill -9`, and wait."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, slots=True)
class MosquittoServer:
    """A broker on 127.0.0.1. `users` are its names and passwords."""

    running: Running
    folder: Path
    host: str
    port: int
    users: Mapping[str, str]

    def stop(self) -> None:
        """End it; may be called twice."""
        self.running.stop()


@dataclass(frozen=True, slots=True)
class NatsServer:
    """NATS with JetStream on 127.0.0.1: `port` speaks MQTT, `url` NATS. `users` as of Mosquitto."""

    running: Running
    folder: Path
    host: str
    port: int
    url: str
    users: Mapping[str, str]

    def stop(self) -> None:
        """End it; may be called twice."""
        self.running.stop()


@dataclass(frozen=True, slots=True)
class InfluxServer:
    """A store on 127.0.0.1, set up. The token may do everything in `org`."""

    running: Running
    folder: Path
    url: str
    token: str
    org: str
    bucket: str

    def stop(self) -> None:
        """End it; may be called twice."""
        self.running.stop()


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A database server on a unix socket only, in `folder`, which goes when it stops."""

    running: Running
    folder: Path
    user: str

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's address of one database."""
        return f"postgresql+psycopg://{self.user}@/{database}?host={self.folder}"

    def stop(self) -> None:
        """End it and remove its data; may be called twice."""
        self.running.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A TCP port of 127.0.0.1 for one server of ours; see `free_ports`."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """So many different ones, which nobody else is given before our servers listen there, or between two of them.

    On Linux each is kept bound here, without listening, until `HELD_PORTS_MAX` more were asked for or this process
    ends: the kernel then gives it to no other's connection, and who connects is refused. A server that lets its
    address be reused, as asyncio's, Go's and Mosquitto do, listens beside it. Other systems refuse that server,
    and so nothing is kept there.
    """
    ports: list[int] = []
    for _ in range(count):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ports.append(probe.getsockname()[1])
            _held.append(probe.detach())
    while len(_held) > (max(HELD_PORTS_MAX, count) if KEEPS_PORTS else 0):
        os.close(_held.popleft())
    return ports


# --- Mosquitto -------------------------------------------------------------------------------------


def start_mosquitto(
    program: Path,
    folder: Path,
    *,
    users: Mapping[str, str] | None = None,
    acl: str | None = None,
    port: int | None = None,
) -> MosquittoServer:
    """Start the broker with `deploy/mosquitto/mosquitto.conf`; names, rights and port are included.

    Without `users`: `collector` and nobody else, with a random password. `acl` replaces the shipped rights.

    Raises:
        PartFailed: it did not listen within 30 s.
    """
    known = dict(users or {"collector": secrets.token_urlsafe(12)})
    port = port or free_port()
    rights = ACL.read_text(encoding="utf-8") if acl is None else acl
    files = {"passwords": mosquitto_files.passwords_file(known), "acl": rights}
    for name, text in files.items():
        path = folder / "secrets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    running = start_mosquitto_in(program, folder, port)
    return MosquittoServer(running, folder, HOST, port, known)


def start_mosquitto_in(program: Path, folder: Path, port: int) -> Running:
    """Start the broker on what compose mounts, in a folder that holds its `secrets`; only the port is another.

    Raises:
        PartFailed: it did not listen within 30 s.
    """
    running = _start("mosquitto", mosquitto_command(program, folder, port), folder)
    _until_ready(running, lambda: listens(port))
    return running


def mosquitto_command(program: Path, folder: Path, port: int) -> list[str]:
    """What starts the broker in `folder`, after its configuration was written there."""
    shipped = (mosquitto_files.FOLDER / "conf.d" / "local.conf").read_text(encoding="utf-8")
    local = shipped.replace("listener 1883", f"listener {port} {HOST}")
    if os.geteuid() == 0:
        local += "user root\n"  # it would give up root and could not read the files of a test
    (folder / "conf.d").mkdir(parents=True, exist_ok=True)
    (folder / "conf.d" / "local.conf").write_text(local, encoding="utf-8")
    return [str(program), "-c", str(mosquitto_files.FOLDER / "mosquitto.conf")]


# --- NATS ------------------------------------------------------------------------------------------


def start_nats(
    program: Path,
    folder: Path,
    *,
    users: Mapping[str, str],
    rights: Rights,
    ports: tuple[int, int] | None = None,
) -> NatsServer:
    """Start the broker with `deploy/nats/nats.conf`; users, rights, ports (NATS, MQTT) and folder are included.

    What an earlier server kept in `folder` is there again.

    Raises:
        PartFailed: it did not listen within 30 s.
    """
    port, mqtt = ports or free_ports(2)
    local = (nats_files.FOLDER / "local.conf").read_text(encoding="utf-8")
    for shipped, ours in (
        ("0.0.0.0:4222", f"{HOST}:{port}"),
        ("0.0.0.0:1883", f"{HOST}:{mqtt}"),
        ('"/data"', json.dumps(str(folder / "data"))),
    ):
        local = local.replace(shipped, ours)
    main = (nats_files.FOLDER / "nats.conf").read_text(encoding="utf-8")
    texts = {"nats.conf": main, "local.conf": local, "users.conf": nats_files.users_file(users, rights)}  # fmt: skip
    for name, text in texts.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    running = _start("nats-server", [str(program), "-c", str(folder / "nats.conf")], folder)
    _until_ready(running, lambda: listens(port) and listens(mqtt))
    return NatsServer(running, folder, HOST, mqtt, f"nats://{HOST}:{port}", dict(users))


# --- InfluxDB --------------------------------------------------------------------------------------


def start_influxd(
    program: Path,
    folder: Path,
    *,
    org: str = "steward",
    bucket: str = "steward",
    token: str = "",
    port: int | None = None,
) -> InfluxServer:
    """Start the store with its files in `folder` and set it up with this token, else a random one.

    Raises:
        PartFailed: it was not healthy within 30 s, or refused its setup.
    """
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    running = _start("influxd", influxd_command(program, folder, port), folder)
    _until_ready(running, lambda: is_healthy(port))
    wanted = {
        "username": "steward",
        "password": secrets.token_urlsafe(12),
        "org": org,
        "bucket": bucket,
        "token": token or secrets.token_urlsafe(24),
    }
    if _ask(port, "POST", "/api/v2/setup", wanted) is None:
        running.stop()
        raise PartFailed(f"influxd refused its setup; {_tail(running.log)}")
    return InfluxServer(running, folder, f"http://{HOST}:{port}", wanted["token"], org, bucket)


def influxd_command(program: Path, folder: Path, port: int) -> list[str]:
    """What starts the store with its files in `folder`."""
    return [
        str(program),
        *("--bolt-path", str(folder / "influxd.bolt")),
        *("--engine-path", str(folder / "engine")),
        *("--sqlite-path", str(folder / "influxd.sqlite")),
        *("--http-bind-address", f"{HOST}:{port}"),
        *("--log-level", "warn"),
        "--reporting-disabled",
    ]


def is_healthy(port: int) -> bool:
    """Whether an InfluxDB on this machine says that it can work."""
    return _ask(port, "GET", "/health") is not None


def _ask(port: int, method: str, path: str, body: object = None) -> bytes | None:
    """The answer to one HTTP request, None when there is none or it is a refusal."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        return content if answer.status < 300 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


# --- PostgreSQL ------------------------------------------------------------------------------------


def start_postgres(program: Path) -> PostgresServer:
    """Start a database server of its own in a new folder, as somebody who is not root.

    Raises:
        PartFailed: no such user, `initdb` failed, or it did not answer within 30 s.
    """
    programs = program.resolve().parent
    if not (programs / "initdb").exists():
        raise PartFailed(f"initdb is not beside {program.resolve()}")
    owner = _not_root()
    folder = Path(tempfile.mkdtemp(prefix="steward-pg-"))
    if owner is not None:
        shutil.chown(folder, owner)
    data = folder / "data"
    make = [str(programs / "initdb"), "-D", str(data), "-U", "steward", "-A", "trust"]
    made = subprocess.run(
        [*make, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        capture_output=True, check=False, user=owner, cwd=folder,
    )  # fmt: skip
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise PartFailed(f"initdb failed: {made.stderr.decode(errors='replace').strip()}")
    command = [
        str(program.resolve()),
        "-D",
        str(data),
        "-k",
        str(folder),
        "-c",
        "listen_addresses=",
    ]
    running = _start("postgres", command, folder, user=owner, stop_signal=signal.SIGINT)
    ask = [str(programs / "pg_isready"), "-h", str(folder), "-U", "steward", "-d", "postgres"]
    _until_ready(
        running, lambda: subprocess.run(ask, capture_output=True, check=False).returncode == 0
    )
    return PostgresServer(running, folder, "steward")


def _not_root() -> str | None:
    """Whom PostgreSQL runs as when we are root: it refuses root. None: ourselves."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise PartFailed("postgres refuses to run as root, and there is no user postgres or nobody")


# --- processes -------------------------------------------------------------------------------------


def _start(
    name: str, command: Sequence[str], folder: Path, *, user: str | None = None, stop_signal: int = signal.SIGTERM
) -> Running:  # fmt: skip
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, user=user
        )  # fmt: skip
    return Running(name, process, log, stop_signal)


def _until_ready(running: Running, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while not ready():
        ended = running.process.poll()
        if ended is not None or time.monotonic() > deadline:
            running.stop()
            why = "was not ready in time" if ended is None else f"ended with {ended}"
            raise PartFailed(f"{running.name} {why}; {_tail(running.log)}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody takes connections there, on this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-5:]
    return "it said: " + " | ".join(lines)
