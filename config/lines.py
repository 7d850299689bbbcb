"""A line as written, checked: exactly one way to reach it, and nothing said that this way does not know."""

from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Final, cast, get_args

from config.files import LineText
from config.plant import ROUND_TRIP_S, Line, LineKind, Parity, Secret, Serial, Tls
from config.profile import PROTOCOLS
from config.readers import installed_readers

Wrong = Callable[[str, str], None]
"""Takes a mistake: the path below `lines`, and what is wrong with it."""

KINDS: Final[tuple[LineKind, ...]] = get_args(LineKind)
SERIAL: Final = frozenset({"rtu", "rtu_over_tcp"})
ONLY_FOR: Final[Mapping[str, frozenset[str]]] = {
    "baud": SERIAL, "parity": SERIAL, "stop_bits": SERIAL, "turnaround": SERIAL,
    "round_trip": frozenset({"tcp", "tls", "rtu_over_tcp"}),
    "server_name": frozenset({"tls", "rtsp"}), "ca": frozenset({"tls", "rtsp", "mqtt"}),
    "certificate": frozenset({"tls"}), "key": frozenset({"tls"}),
    "user": frozenset({"mqtt", "reader"}), "password": frozenset({"mqtt", "rtsp", "reader"}),
    "at": frozenset({"reader"}),
}  # fmt: skip
"""Member to the kinds of line that know it; the others are known to all."""


def refused_of_line(file: Mapping[str, object], location: Sequence[int | str]) -> Set[str]:
    """Keys that would be refused of a line of a plant as it is written: not to be offered there."""
    lines = file.get("lines")
    if location[:1] != ("lines",) or len(location) != 2 or not isinstance(lines, dict):
        return frozenset()
    line = lines.get(location[1])
    given = [kind for kind in KINDS if isinstance(line, dict) and kind in line]
    if not given:
        return frozenset()
    others = {kind for kind in KINDS if kind not in given}
    return others | {key for key, kinds in ONLY_FOR.items() if kinds.isdisjoint(given)}


NOWHERE: Final = "127.0.0.1:502"


def make_line(key: str, text: LineText, elsewhere: str | None, folder: Path, wrong: Wrong) -> Line:
    """One line, at `elsewhere` if given; files it names are looked for in the plant's folder."""
    kind, endpoint = _way(key, text, wrong)
    for name, kinds in ONLY_FOR.items():
        if name in text.model_fields_set and kind not in kinds:
            wrong(f"{key}.{name}", f"means nothing for {kind}; only for {', '.join(sorted(kinds))}")
    host, port = "", 0
    if kind == "reader":
        endpoint = _at(key, text, wrong)
    elif kind != "rtu":
        host, port = _endpoint(key, kind, elsewhere or endpoint, wrong)
    return Line(
        id=key, agent=text.agent, kind=kind, host=host, port=port,
        timeout_s=text.timeout, backoff_s_max=text.backoff_max, user=text.user,
        secret=Secret(text.password.secret) if text.password else None,
        path=(elsewhere or endpoint) if kind in ("rtu", "reader") else "",
        reader=text.reader or "",
        serial=serial_of(text.baud, text.parity, text.stop_bits, text.turnaround) if kind in SERIAL else None,
        tls=_tls(key, text, host, folder, wrong) if kind == "tls" or (text.ca is not None and kind in ONLY_FOR["ca"]) else None,
        round_trip_s=text.round_trip or ROUND_TRIP_S,
    )  # fmt: skip


def _way(key: str, text: LineText, wrong: Wrong) -> tuple[LineKind, str]:
    given = [kind for kind in KINDS if getattr(text, kind) is not None]
    if len(given) != 1:
        wrong(key, f"needs exactly one of {', '.join(KINDS)}")
        return "tcp", NOWHERE
    return given[0], cast("str", getattr(text, given[0]))


def _at(key: str, text: LineText, wrong: Wrong) -> str:
    """What a reader that is not ours is told; it must be there."""
    known = sorted(set(installed_readers()) - set(PROTOCOLS))
    if text.reader not in known:
        allowed = ", ".join(known) or "none, for no package that brings a reader is installed"
        wrong(f"{key}.reader", f"{text.reader!r} is unknown; allowed: {allowed}")
    return text.at or ""


def _endpoint(key: str, kind: str, endpoint: str, wrong: Wrong) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    if not 1 <= int(port) <= 65535:
        wrong(f"{key}.{kind}", f"port {port} is not in 1..65535")
    return host.strip("[]"), int(port)


def serial_of(
    baud: int | None,
    parity: Parity | None,
    stop_bits: int | None,
    turnaround_s: float | None = None,
) -> Serial:
    """As the standard has it where nothing is said: even parity, and a second stop bit without parity."""
    usual = Serial()
    parity = parity or usual.parity
    return Serial(
        baud=baud or usual.baud,
        parity=parity,
        stop_bits=stop_bits or (2 if parity == "none" else 1),
        turnaround_s=usual.turnaround_s if turnaround_s is None else turnaround_s,
    )


def _tls(key: str, text: LineText, host: str, folder: Path, wrong: Wrong) -> Tls:
    if not text.ca:
        wrong(f"{key}.ca", "is missing: the file, beside plant.toml, of the authority that signed the device's certificate")  # fmt: skip
    if bool(text.certificate) != (text.key is not None):
        wrong(f"{key}.certificate", "certificate and key go together")
    for name in ("ca", "certificate"):
        file = getattr(text, name)
        if file and not (folder / file).is_file():
            wrong(f"{key}.{name}", f"there is no file {file!r} in the plant's folder")
    return Tls(
        server_name=text.server_name or host,
        ca=str(folder / text.ca) if text.ca else "",
        certificate=str(folder / text.certificate) if text.certificate else "",
        secret=Secret(text.key.secret) if text.key else None,
    )
