"""The one reader of the environment and of what a process is told at its start."""

import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from config.clock import ScaledClock
from config.plant import Secret


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every Steward process may be told by `STEWARD_<NAME>` variables.

    `keep_…_days` say how long readings and their roll-ups of minutes and hours are kept, 0: for ever.
    `outbox_mb` and `outbox_days` are what an edge agent keeps of what the server does not have yet.
    `deadman_url` is asked every minute as long as all is well, empty: nothing is.
    With `…_ca_file`, a file of the authorities that are trusted, broker and InfluxDB are spoken to over TLS.
    `store` is `duckdb` or `influxdb`; `ledger` an SQLAlchemy URL or empty for SQLite in `data`.
    `journal` is `files`, or `nats`: then servers of the same plants stand by for each other, each with a name of
    its own as `collector`, and `nats_url` is where NATS is, or several with commas between.
    `clock_origin_ms`, `clock_factor` and `clock_start_ms` are the same for all processes of one run.
    """

    data: Path = Path("steward-data")
    broker_host: str = "127.0.0.1"
    broker_port: int = 1883
    broker_user: str = ""
    broker_password_file: str = ""
    broker_ca_file: str = ""
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    store: str = "duckdb"
    keep_raw_days: int = 90
    keep_minute_days: int = 730
    keep_hour_days: int = 0
    outbox_mb: float = 512.0
    outbox_days: float = 7.0
    ledger: str = ""
    influx_url: str = "http://127.0.0.1:8086"
    influx_org: str = "steward"
    influx_bucket: str = "steward"
    influx_token_file: str = ""
    influx_ca_file: str = ""
    journal: str = "files"
    collector: str = ""
    nats_url: str = "nats://127.0.0.1:4222"
    nats_user: str = "collector"
    nats_password_file: str = ""
    nats_ca_file: str = ""
    clock_origin_ms: int = 0
    clock_factor: float = 1.0
    clock_start_ms: int = 0
    deadman_url: str = ""
    secrets: Path = field(default_factory=lambda: Path("secrets"))
    log_level: str = "INFO"

    @property
    def address(self) -> str:
        """Where people on this machine open the console, also when the server listens everywhere."""
        host = "127.0.0.1" if self.http_host in ("0.0.0.0", "::", "") else self.http_host  # noqa: S104  # compared, not bound
        return f"http://{host}:{self.http_port}"

    def clock(self) -> ScaledClock:
        """The clock that all processes of this run share."""
        return ScaledClock(
            origin_ms=self.clock_origin_ms, factor=self.clock_factor, start_ms=self.clock_start_ms
        )


KNOWN = frozenset(f"STEWARD_{f.name.upper()}" for f in fields(Settings))
"""Every environment variable that Steward processes know."""

BOUNDS = {
    "http_port": (1, 65_535),
    "broker_port": (1, 65_535),
    "keep_raw_days": (0, 100_000),
    "keep_minute_days": (0, 100_000),
    "keep_hour_days": (0, 100_000),
    "clock_origin_ms": (0, 4_102_444_800_000),
    "clock_start_ms": (0, 4_102_444_800_000),
}
"""Setting to the lowest and highest whole number that it may be; the clock's end is the year 2100."""
RETENTION = ("keep_raw_days", "keep_minute_days", "keep_hour_days")
"""From readings to the widest of their roll-ups."""
CHOICES = {
    "store": ("duckdb", "influxdb"),
    "journal": ("files", "nats"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
}


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read `STEWARD_*` variables over the defaults.

    Raises:
        SettingsError: naming every variable that is wrong, and what is allowed.
    """
    env = os.environ if environment is None else environment
    values: dict[str, object] = {}
    mistakes: list[str] = []
    for item in fields(Settings):
        name = f"STEWARD_{item.name.upper()}"
        if name not in env:
            continue
        try:
            values[item.name] = _parse(item.name, str(item.type), env[name])
        except ValueError as error:
            mistakes.append(f"{name}: {error}")
    if not mistakes:
        settings = _with_roll_ups(Settings(**values), values)  # type: ignore[arg-type]  # each value was parsed by its field's type
        mistakes = [*_retention_mistakes(settings, values), *_sharing_mistakes(settings)]
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings


def _with_roll_ups(settings: Settings, told: Collection[str]) -> Settings:
    """Where nothing is told of roll-ups, they are kept no shorter than what they are made of."""
    for finer, wider in pairwise(RETENTION):
        if wider not in told and _is_shorter(settings, wider, finer):
            settings = replace(settings, **{wider: getattr(settings, finer)})
    return settings


def _retention_mistakes(settings: Settings, told: Collection[str]) -> list[str]:
    """Roll-ups that are kept shorter than what they are made of."""
    return [
        f"STEWARD_{wider.upper()}: {getattr(settings, wider)} is fewer days than "
        f"STEWARD_{finer.upper()} {'says' if finer in told else 'is where it is not set'} "
        f"({getattr(settings, finer)}; 0 is for ever)"
        for finer, wider in pairwise(RETENTION)
        if _is_shorter(settings, wider, finer)
    ]


def _sharing_mistakes(settings: Settings) -> list[str]:
    """What servers that stand by for each other lack: a name each, and what both of them reach."""
    if settings.journal != "nats":
        return []
    wanted = {
        "STEWARD_COLLECTOR: is missing: a name of its own for each server": settings.collector,
        "STEWARD_STORE: duckdb is one server's own; with STEWARD_JOURNAL=nats it must be influxdb": settings.store == "influxdb",
        "STEWARD_LEDGER: SQLite is one server's own; with STEWARD_JOURNAL=nats it must be PostgreSQL's URL": settings.ledger and not settings.ledger.startswith("sqlite"),
    }  # fmt: skip
    return [mistake for mistake, is_there in wanted.items() if not is_there]


def _is_shorter(settings: Settings, one: str, other: str) -> bool:
    return bool((getattr(settings, one) or math.inf) < (getattr(settings, other) or math.inf))


def _parse(name: str, kind: str, text: str) -> object:
    if "\0" in text:
        raise ValueError("holds a NUL")
    if name in CHOICES and text not in CHOICES[name]:
        raise ValueError(f"{_short(text)} is not one of {', '.join(CHOICES[name])}")
    if name == "deadman_url":
        return _address(text)
    if name == "nats_url":
        return _addresses(text)
    if name == "collector" and not re.fullmatch(r"[a-z0-9-]{1,40}", text):
        raise ValueError(f"{_short(text)} is not of 1 to 40 small letters, digits and -")
    if "Path" in kind:
        return _folder(text)
    if "int" in kind:
        return _whole(text, *BOUNDS.get(name, (0, 2**63 - 1)))
    return _positive(text) if "float" in kind else text


def _folder(text: str) -> Path:
    if not text:
        raise ValueError("is empty; write . for this folder")
    return Path(text)


def _address(text: str) -> str:
    parts = urlsplit(text)  # raises ValueError for half an IPv6 address
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(f"{_short(text)} is not an address of http:// or https://")
    return text


def _addresses(text: str) -> str:
    if "@" in text:  # looked at first: what is wrong otherwise is shown, and this holds a password
        raise ValueError("holds a user or a password (not shown): they belong in STEWARD_NATS_USER and the file of STEWARD_NATS_PASSWORD_FILE")  # fmt: skip
    for one in text.split(","):
        parts = urlsplit(one)
        if parts.scheme not in ("nats", "tls") or not parts.hostname:
            raise ValueError(f"{_short(one)} is not an address of nats:// or tls://")
    return text


def _whole(text: str, low: int, high: int) -> int:
    digits = text.removeprefix("-")
    if not digits.isdecimal() or len(digits) > 19 or not low <= int(text) <= high:
        raise ValueError(f"{_short(text)} is not a whole number in {low}..{high}")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{_short(text)} is not a number above 0")
    return number


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def read_secret(secret: Secret, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """The secret of that name from `STEWARD_SECRET_<NAME>` or from the file `folder/<name>`.

    Raises:
        SettingsError: neither is there, or what is there is no secret: one line of text.
    """
    env = os.environ if environment is None else environment
    variable = "STEWARD_SECRET_" + secret.name.upper().replace("-", "_")
    if variable in env:
        return env[variable]
    path = folder / secret.name
    if path.is_file():
        return _one_line(path)
    raise SettingsError(f"secret {secret.name!r} is missing: write it to {path} or set {variable}")


def _one_line(path: Path) -> str:
    try:
        text = path.read_bytes().decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"secret {path.name!r} cannot be read from {path}: {error}") from error
    if not text or not text.isprintable():
        raise SettingsError(f"secret {path.name!r} is not one line of text: write it to {path}")
    return text


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where Steward keeps what it built or fetched: `STEWARD_CACHE`, else `~/.cache/steward`."""
    env = os.environ if environment is None else environment
    return Path(env.get("STEWARD_CACHE") or Path.home() / ".cache" / "steward").expanduser()


def part_path(part: str, environment: Mapping[str, str] | None = None) -> Path | None:
    """The program of a real part that somebody named by `STEWARD_<PART>`, if so."""
    env = os.environ if environment is None else environment
    text = env.get(f"STEWARD_{part.upper()}", "")
    return Path(text).expanduser() if text else None


def in_ci(environment: Mapping[str, str] | None = None) -> bool:
    """Whether `CI` says that nothing may be left out."""
    env = os.environ if environment is None else environment
    return env.get("CI", "").lower() in ("1", "true", "yes")


def environment_with(**variables: str) -> dict[str, str]:
    """This process's environment with some variables set, for a child process."""
    return {**os.environ, **variables}
