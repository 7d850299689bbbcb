"""A real agent reads its files anew when it is asked by a signal, and what it refuses changes nothing."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from commands.edge import Readers, build_agent, read_anew
from commands.serving import plant_of
from config.load import LIBRARY
from config.settings import environment_with, read_settings
from edge.agent import Agent
from edge.ports import PointReading
from tests.waiting import until

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Riverside with a profile of its own, of which nothing answers: no line, no broker."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "word").write_text("secret", encoding="utf-8")
    lines = ("a-pumps", "b-pumps", "lifts", "fire")
    nowhere = {line: f"127.0.0.1:{port}" for port, line in enumerate(lines, 1)}
    (data / "lines.json").write_text(json.dumps(nowhere), encoding="utf-8")
    monkeypatch.setenv("STEWARD_DATA", str(data))
    monkeypatch.setenv("STEWARD_BROKER_PORT", "5")
    monkeypatch.setenv("STEWARD_BROKER_PASSWORD_FILE", str(data / "word"))
    folder = tmp_path / "plants" / "riverside"
    shutil.copytree(LIBRARY / "plants" / "riverside", folder)
    (folder / "profiles").mkdir(exist_ok=True)
    shutil.copy(LIBRARY / "profiles" / "booster-duo.toml", folder / "profiles")
    return folder


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


DAY_S = 86_400
CAPS = [({}, range(8, 9)), ({"DAYS": "2.5"}, range(3, 4)), ({"MB": "0.0004"}, range(1, 7))]
"""What is told of the outbox to how many batches, one made each day, it still holds."""


@pytest.mark.parametrize(("told", "held"), CAPS, ids=str)
def test_how_long_and_how_much_an_outbox_keeps_is_set(
    told: dict[str, str], held: range, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(f"STEWARD_OUTBOX_{name}", value)
    settings = read_settings()
    outbox = build_agent(plant_of(str(folder), settings), "edge-a", settings).outbox
    point = next(outbox.table.live()).id
    begun = settings.clock().now()
    for day in range(20):
        now = begun + 1000 * DAY_S * day
        outbox.keep([PointReading(point, 1.0, 0, now)], now, monotonic=float(DAY_S * day))
    outbox.thin(now, float(DAY_S * day))
    assert outbox.batches in held
    assert outbox.dropped.readings == 20 - outbox.batches
    outbox.close()


@contextmanager
def process(folder: Path, stdin: int | None) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """`steward edge` and its log; begun as from a shell, even if these checks run under nohup.

    `stdin` None: it is closed.
    """
    log = folder.parent / "edge.log"
    arguments = ["edge", str(folder), "edge-a"]
    code = f"import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); from commands.main import main; sys.exit(main({arguments}))"
    command = [sys.executable, "-c", code]
    if stdin is None:
        command = ["sh", "-c", 'exec "$0" "$@" <&-', *command]
    with log.open("wb") as said:
        one = subprocess.Popen(
            command, cwd=ROOT, stdin=stdin, stderr=said, env=environment_with(), start_new_session=True
        )  # fmt: skip
    try:
        yield one, log
    finally:
        one.kill()
        one.wait(20)


def says(log: Path, words: str) -> bool:
    return words in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, None])
async def test_a_hang_up_has_an_agent_read_its_files_anew(folder: Path, stdin: int | None) -> None:
    with process(folder, stdin) as (agent, log):
        await until(partial(says, log, "broker of agent edge-a is lost"), 30)
        change(folder / "plant.toml", "unit = 3", "unit = 33")
        agent.send_signal(signal.SIGHUP)
        await until(partial(says, log, "has read its files anew: devices changed: booster-a\n"), 30)
        change(folder / "plant.toml", 'site = "riverside"', "site = ")
        agent.send_signal(signal.SIGHUP)
        refused = "goes on as it was: plants/riverside/plant.toml: is not TOML"
        await until(partial(says, log, refused), 30)
        assert agent.poll() is None
        agent.terminate()
        assert agent.wait(20) == 0
        assert not says(log, "Traceback")


async def test_the_end_of_its_terminal_ends_an_agent(folder: Path) -> None:
    ours, terminal = pty.openpty()
    try:
        with process(folder, terminal) as (agent, log):
            await until(partial(says, log, "broker of agent edge-a is lost"), 30)
            agent.send_signal(signal.SIGHUP)
            assert agent.wait(20) == 0
    finally:
        os.close(ours)
        os.close(terminal)


@pytest.fixture
def agent(folder: Path) -> Iterator[Agent]:
    """Not running."""
    settings = read_settings()
    one = build_agent(plant_of(str(folder), settings), "edge-a", settings)
    one.files = partial(read_anew, str(folder), one, settings)
    yield one
    one.outbox.close()


def words_of(agent: Agent) -> int:
    assert isinstance(agent.make_reader, Readers)
    return agent.make_reader.limits["booster-duo"].max_words


async def test_a_refused_reload_leaves_the_limits_that_the_readers_go_by(
    agent: Agent, folder: Path
) -> None:
    """The files are sound; only a secret that a new line needs is nowhere."""
    assert words_of(agent) == 64
    change(folder / "profiles" / "booster-duo.toml", "max_words = 64", "max_words = 32")
    sound = (folder / "plant.toml").read_text(encoding="utf-8")
    login = "[lines.pits]\nuser = 'x'\npassword = { secret = 'none-of-it' }\n"
    change(folder / "plant.toml", "[lines.pits]\n", login)
    change(folder / "plant.toml", 'agent = "edge-b"\nmqtt', 'agent = "edge-a"\nmqtt')
    outcome, detail = await agent.reload()
    assert (outcome, words_of(agent)) == ("refused", 64)
    assert "none-of-it" in detail["reason"]
    (folder / "plant.toml").write_text(sound, encoding="utf-8")
    assert (await agent.reload())[0] == "done"
    assert words_of(agent) == 32


async def test_a_file_that_cannot_be_read_is_named_and_nothing_changes(
    agent: Agent, folder: Path
) -> None:
    other = folder / "notes.toml"
    other.symlink_to("/proc/self/mem")  # its owner may open it, and nobody can read its beginning
    outcome, detail = await agent.reload()
    assert outcome == "refused"
    assert detail["reason"].startswith("plants/riverside/notes.toml: cannot be read: ")
