"""Where each real part comes from: named by a variable, on PATH, in our cache, or obtained once.

`python -m commands.parts mosquitto influxd` obtains the named parts (all without a name) and says where
each is, or what would make it available.
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.settings import cache_folder, environment_with, in_ci, part_path

Say = Callable[[str], None]
PLACES: Final = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/sbin")
POSTGRES_PLACES: Final = "/usr/lib/postgresql/*/bin"
TOOL_PLACES: Final = ("/usr/local/go/bin", "~/go/bin", "~/.cargo/bin")
OBTAIN_S_MAX: Final = 1500
TELL_EVERY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class NotHere:
    """A part that this machine does not have; `reason` says why and what would make it available."""

    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class GoBuild:
    """A program built from the Go module proxy. `helpers` are modules installed into the cache first."""

    module: str
    version: str
    package: str
    tags: str
    minutes: str
    tools: tuple[str, ...] = ("go",)
    helpers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One real part: its programs, any of which will do, and where they come from."""

    name: str
    purpose: str
    programs: tuple[str, ...]
    packages: tuple[str, ...] = ()
    build: GoBuild | None = None


INFLUXD: Final = GoBuild(
    module="github.com/influxdata/influxdb/v2",
    version="v2.7.12",
    package="github.com/influxdata/influxdb/v2/cmd/influxd",
    tags="sqlite_foreign_keys,sqlite_json",
    minutes="about 4 minutes on two cores",
    tools=("go", "cargo", "rustc", "cc"),
    helpers=("github.com/influxdata/pkg-config@v0.3.0",),
)
TELEGRAF: Final = GoBuild(
    module="github.com/influxdata/telegraf",
    version="v1.37.2",
    package="github.com/influxdata/telegraf/cmd/telegraf",
    tags="custom,inputs.modbus,inputs.mqtt_consumer,parsers.json,parsers.influx,"
    "serializers.influx,outputs.influxdb_v2,outputs.discard,outputs.file",
    minutes="about a minute",
)
NATS: Final = GoBuild(
    module="github.com/nats-io/nats-server/v2",
    version="v2.15.3",
    package="github.com/nats-io/nats-server/v2",
    tags="netgo,osusergo",
    minutes="about half a minute",
)
PARTS: Final[Mapping[str, Part]] = {
    part.name: part
    for part in (
        Part("mosquitto", "MQTT broker", ("mosquitto",), packages=("mosquitto",)),
        Part("mosquitto_sub", "reference in benchmarks", ("mosquitto_sub",), packages=("mosquitto-clients",)),
        Part("mbpoll", "independent Modbus master", ("mbpoll",), packages=("mbpoll",)),
        Part(
            "chromium",
            "browser of the console's tests",
            ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"),
            packages=("chromium", "fonts-noto-cjk"),
        ),
        Part("postgres", "ledger", ("postgres",), packages=("postgresql",)),
        Part("influxd", "store", ("influxd",), build=INFLUXD),
        Part("nats", "broker and journal of several machines", ("nats-server",), build=NATS),
        Part("telegraf", "peer in benchmarks", ("telegraf",), build=TELEGRAF),
    )
}  # fmt: skip
TESTED: Final = ("mosquitto", "mbpoll", "chromium", "postgres", "influxd", "nats")
"""What the system tests need; the others are references of benchmarks."""


def find(name: str) -> Path | NotHere:
    """The program of a part, looked for and not obtained."""
    named = part_path(name)
    if named is not None:
        if named.is_file() and os.access(named, os.X_OK):
            return named
        return NotHere(name, f"STEWARD_{name.upper()} names {named}, which is not a program")
    part = PARTS[name]
    for program in part.programs:
        found = shutil.which(program) or shutil.which(program, path=os.pathsep.join(_places()))
        if found:
            return Path(found)
    return NotHere(name, f"{' or '.join(part.programs)} not found: {_remedy(part)}")


def ensure(
    names: Sequence[str], *, obtain: bool = True, say: Say | None = None
) -> dict[str, Path | NotHere]:
    """Find each part, or obtain it once for all later runs. May be repeated; never raises for a part."""
    tell = say or _to_stderr
    return {name: _ensure(name, obtain, tell) for name in names}


def _ensure(name: str, obtain: bool, say: Say) -> Path | NotHere:
    found = find(name)
    if isinstance(found, Path) or not obtain or part_path(name) is not None:
        return found
    try:
        return _obtain(PARTS[name], say)
    except OSError as error:
        return NotHere(name, f"{error}: make {cache_folder()} writable, or set STEWARD_CACHE")


def _obtain(part: Part, say: Say) -> Path | NotHere:
    with _alone(part.name):
        found = find(part.name)
        if isinstance(found, Path):
            return found
        failure = _build(part, part.build, say) if part.build else _install(part, say)
    return NotHere(part.name, failure) if failure else find(part.name)


def _places() -> list[str]:
    newest_first = sorted(Path("/").glob(POSTGRES_PLACES[1:]), key=_release, reverse=True)
    return [*PLACES, *(str(path) for path in newest_first), str(cache_folder() / "bin")]


def _release(folder: Path) -> float:
    text = folder.parent.name
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0


def _remedy(part: Part) -> str:
    if part.build:
        tools = ", ".join(part.build.tools)
        return f"with {tools} on PATH, `python -m commands.parts {part.name}` builds it"
    return f"`apt-get install -y {' '.join(part.packages)}` as root makes it available"


# --- Debian --------------------------------------------------------------------------------------


def _install(part: Part, say: Say) -> str:
    """Install the Debian packages; returns what went wrong, or nothing."""
    apt = shutil.which("apt-get")
    if apt is None:
        return f"this is not Debian: install {' '.join(part.packages)} by your own means, or set STEWARD_{part.name.upper()}"
    if os.geteuid() != 0:
        return f"not root: {_remedy(part)}"
    quiet = environment_with(DEBIAN_FRONTEND="noninteractive")
    install = [
        apt,
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        "-o",
        "DPkg::Lock::Timeout=300",
    ]
    say(f"installing {' '.join(part.packages)} from Debian ({part.purpose})")
    log = _log(part.name)
    if not _run([*install, *part.packages], log, say, part.name, env=quiet):
        _run([apt, "update", "-q"], log, say, part.name, env=quiet)
        if not _run([*install, *part.packages], log, say, part.name, env=quiet):
            return f"apt-get could not install {' '.join(part.packages)} ({_last_line(log)}; see {log})"
    return ""


# --- Go --------------------------------------------------------------------------------------------

WRAPPER: Final = (
    '#!/bin/sh\n# The sources deny warnings that newer compilers add.\nexec "$@" --cap-lints=warn\n'
)


def _build(part: Part, build: GoBuild, say: Say) -> str:
    """Build a program in a scratch module of the cache; returns what went wrong, or nothing."""
    tools = {tool: _tool(tool) for tool in build.tools}
    missing = [tool for tool, path in tools.items() if path is None]
    if missing:
        return f"its build needs {', '.join(missing)}, not found: install {_sources(missing)}, or set STEWARD_{part.name.upper()}"
    log = _log(part.name)
    scratch = log.parent
    target = cache_folder() / "bin" / part.programs[0]
    target.parent.mkdir(parents=True, exist_ok=True)
    say(f"building {part.name} from source, {build.minutes}, once (log: {log})")
    env = _build_environment(scratch, target.parent, [path for path in tools.values() if path])
    new = scratch / f"{target.name}.new"
    steps = [
        *([] if (scratch / "go.mod").exists() else [["go", "mod", "init", "x"]]),
        ["go", "get", f"{build.module}@{build.version}"],
        *(["go", "install", helper] for helper in build.helpers),
        ["go", "build", "-tags", build.tags, "-o", str(new), build.package],
    ]
    for step in steps:
        if not _run(step, log, say, part.name, env=env, cwd=scratch):
            return f"`{' '.join(step[:3])}` failed ({_last_line(log)}; see {log})"
    new.replace(target)
    say(f"{part.name} is built: {target}")
    return ""


def _build_environment(scratch: Path, bin_folder: Path, tools: Sequence[Path]) -> dict[str, str]:
    wrapper = scratch / "rustc-wrapper"
    wrapper.write_text(WRAPPER, encoding="utf-8")
    wrapper.chmod(0o755)
    places = [str(bin_folder), *dict.fromkeys(str(tool.parent) for tool in tools)]
    inherited = environment_with().get("PATH", os.defpath)
    return environment_with(
        PATH=os.pathsep.join([*places, inherited]),
        GOBIN=str(bin_folder),
        GOFLAGS="-mod=mod",
        CGO_ENABLED="1",
        PKG_CONFIG=str(bin_folder / "pkg-config"),
        RUSTUP_TOOLCHAIN="stable",
        RUSTC_WRAPPER=str(wrapper),
    )


def _tool(name: str) -> Path | None:
    places = os.pathsep.join(str(Path(place).expanduser()) for place in TOOL_PLACES)
    found = shutil.which(name) or shutil.which(name, path=places)
    return Path(found) if found else None


def _sources(tools: Sequence[str]) -> str:
    where = {
        "go": "Go (https://go.dev/dl)",
        "cargo": "Rust (https://rustup.rs)",
        "rustc": "Rust (https://rustup.rs)",
        "cc": "a C compiler (`apt-get install -y gcc`)",
    }
    return " and ".join(dict.fromkeys(where[tool] for tool in tools))


# --- running ---------------------------------------------------------------------------------------


def _run(
    command: Sequence[str], log: Path, say: Say, name: str, *, env: Mapping[str, str], cwd: Path | None = None
) -> bool:  # fmt: skip
    """Run one step with its output in `log`; says every half minute that it still runs."""
    started = time.monotonic()
    program = shutil.which(command[0], path=env.get("PATH")) or command[0]
    with log.open("ab") as out:
        child = subprocess.Popen(
            [program, *command[1:]], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd
        )  # fmt: skip
        while True:
            try:
                return child.wait(timeout=TELL_EVERY_S) == 0
            except subprocess.TimeoutExpired:
                elapsed = time.monotonic() - started
            if elapsed > OBTAIN_S_MAX:
                child.kill()
                child.wait()
                out.write(f"gave up after {elapsed:.0f} s\n".encode())
                return False
            say(f"  … {name}: {' '.join(command[:2])} has run for {elapsed:.0f} s")


def _log(name: str) -> Path:
    folder = cache_folder() / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "build.log"


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no output"


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Two test runs do not build the same part at once: the second waits and finds it made."""
    with _log(name).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Obtain the named parts; 0 when all are here, or when nobody insists (`CI` unset)."""
    parser = argparse.ArgumentParser(prog="python -m commands.parts", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *PARTS], metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--find", action="store_true", help="look only, obtain nothing")
    options = parser.parse_args(argv)
    found = ensure(options.names or TESTED, obtain=not options.find)
    for name, where in found.items():
        print(f"{name:14} {where if isinstance(where, Path) else 'not here: ' + where.reason}")
    missing = any(isinstance(where, NotHere) for where in found.values())
    return 1 if missing and in_ci() else 0


if __name__ == "__main__":
    raise SystemExit(main())
