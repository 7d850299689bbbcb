"""Real parts for tests: started once, ended by us, and named at the end of the run when they were not there.

A test that needs a part takes its fixture (`mosquitto`, `nats`, `influxd`, `postgres`, `mbpoll`, `chromium`).
Where `CI` is set a part that is missing fails the test; elsewhere it is left out and named.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from commands.broker_topics import DOWN, UP
from commands.part_servers import (
    InfluxServer,
    MosquittoServer,
    NatsServer,
    PartFailed,
    PostgresServer,
    start_influxd,
    start_mosquitto,
    start_nats,
    start_postgres,
)
from commands.parts import NotHere, ensure
from config.settings import in_ci

T = TypeVar("T")
_left_out = pytest.StashKey[dict[str, tuple[str, int]]]()
_config: list[pytest.Config] = []


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_left_out] = {}
    _config.append(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    _config.remove(config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the one that prints the summary what it left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[_left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of the workers ended: what it left out counts for the whole run."""
    names = _config[-1].stash[_left_out]
    for what, (reason, tests) in getattr(node, "workeroutput", {}).get("left_out", {}).items():
        names[what] = (reason, names.get(what, ("", 0))[1] + tests)


def leave_out(what: str, reason: str, *, fails_in_ci: bool = True) -> None:
    """End this test as not run, and name `what` and `reason` at the end of the run; in CI it fails."""
    if fails_in_ci and in_ci():
        pytest.fail(f"{what}: {reason} (CI is set: nothing may be left out)")
    names = _config[-1].stash[_left_out]
    names[what] = (reason, names.get(what, ("", 0))[1] + 1)
    pytest.skip(f"{what}: {reason}")


def program(name: str, config: pytest.Config) -> Path:
    """The program of a real part, obtained once for all; the test is left out where it cannot be had."""
    found = ensure([name], say=lambda text: _tell(config, text))[name]
    if isinstance(found, NotHere):
        leave_out(name, found.reason)
    assert isinstance(found, Path)
    return found


def _tell(config: pytest.Config, text: str) -> None:
    """Say it now, past the capture of output: obtaining a part may take minutes."""
    capture = config.pluginmanager.getplugin("capturemanager")
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if capture is None or reporter is None:
        return
    with capture.global_and_fixture_disabled():
        reporter.write_line(f"\n{text}")


@pytest.fixture(scope="session")
def part_programs(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Finds the program of a part, once in this session."""
    known: dict[str, Path] = {}

    def find(name: str) -> Path:
        if name not in known:
            known[name] = program(name, request.config)
        return known[name]

    return find


def _started(start: Callable[[], T], name: str) -> T:
    try:
        return start()
    except PartFailed as error:
        pytest.fail(f"{name} is here but did not start: {error}")


@pytest.fixture(scope="session")
def mosquitto(
    part_programs: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MosquittoServer]:
    """Mosquitto with the shipped configuration: user `collector`, agents `riverside/agent-N` (N 1 to 9)."""
    users = {"collector": "collector-word"}
    users |= {f"riverside/agent-{n}": f"agent-{n}-word" for n in range(1, 10)}
    program_file = part_programs("mosquitto")
    folder = tmp_path_factory.mktemp("mosquitto")
    server = _started(lambda: start_mosquitto(program_file, folder, users=users), "mosquitto")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats(
    part_programs: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NatsServer]:
    """NATS with the shipped configuration, and the users of `mosquitto` with the rights that they have there."""
    agents = [f"riverside/agent-{n}" for n in range(1, 10)]
    rights = {f"{agent}": _of_agent(agent) for agent in agents}
    rights["collector"] = {
        "publish": [f"steward/v1/+/+/{what}" for what in DOWN],
        "receive": [f"steward/v1/+/+/{what}" for what in UP],
    }
    words = {name: f"{name.split('/')[-1]}-word" for name in rights}
    program_file = part_programs("nats")
    folder = tmp_path_factory.mktemp("nats")
    server = _started(lambda: start_nats(program_file, folder, users=words, rights=rights), "nats")
    yield server
    server.stop()


def _of_agent(name: str) -> dict[str, list[str]]:
    return {
        "publish": [f"steward/v1/{name}/{what}" for what in UP],
        "receive": [f"steward/v1/{name}/{what}" for what in DOWN],
    }


@pytest.fixture(scope="session")
def influxd(
    part_programs: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InfluxServer]:
    """InfluxDB 2.7, set up: url, token, org, bucket."""
    program_file = part_programs("influxd")
    folder = tmp_path_factory.mktemp("influxd")
    server = _started(lambda: start_influxd(program_file, folder), "influxd")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres(part_programs: Callable[[str], Path]) -> Iterator[PostgresServer]:
    """PostgreSQL on a unix socket: `url(database)`."""
    program_file = part_programs("postgres")
    server = _started(lambda: start_postgres(program_file), "postgres")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mbpoll(part_programs: Callable[[str], Path]) -> Path:
    """The independent Modbus master."""
    return part_programs("mbpoll")


@pytest.fixture(scope="session")
def chromium(part_programs: Callable[[str], Path]) -> Path:
    """A Chromium for Playwright's `executable_path`."""
    return part_programs("chromium")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    names = config.stash[_left_out]
    if not names:
        return
    terminalreporter.section("not run on this machine", sep="-", yellow=True)
    for what, (reason, tests) in sorted(names.items()):
        terminalreporter.write_line(f"{what} ({tests} tests): {reason}")
