"""Operators ask real agents through a running server: what is read anew, refused, or not there."""

import json
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.load import LIBRARY
from tests.system.test_demo import steward, told

pytestmark = pytest.mark.system
Ask = Callable[..., tuple[int, str]]


def until_done(ask: Callable[[], tuple[int, str]], within_s: float = 60) -> tuple[int, str]:
    """What is answered once the agent is there; each question takes a process its time to start."""
    deadline = time.monotonic() + within_s
    while (found := ask())[0] and time.monotonic() < deadline:
        pass
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Riverside, whose edge-b cannot start: nobody has written the secret of its cameras."""
    folder = tmp_path / "plants" / "riverside"
    shutil.copytree(LIBRARY / "plants" / "riverside", folder)
    return folder


@pytest.fixture
def ask(folder: Path, tmp_path: Path) -> Iterator[Ask]:
    """`up` on the plant; `ask(words)` runs one command of its operator: exit code and all that it says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = tmp_path / "data"
    up = steward("up", str(folder), "--data", str(data), "--port", str(port))

    def run(*words: str) -> tuple[int, str]:
        asked = steward(*words, STEWARD_DATA=str(data), STEWARD_HTTP_PORT=str(port))
        out, err = asked.communicate(timeout=60)
        return asked.returncode, out + err

    try:
        told(up, r"Open http")
        yield run
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=15)


def test_an_operator_has_an_agent_read_its_files_anew(
    folder: Path, ask: Ask, tmp_path: Path
) -> None:
    path = folder / "plant.toml"
    sound = path.read_text(encoding="utf-8")
    code, said = until_done(lambda: ask("agent", "diagnose", "edge-a", "--json"))
    assert code == 0, said
    (row,) = json.loads(said)
    assert row["detail"]["line a-pumps"].startswith("1 devices")
    path.write_text(sound.replace("unit = 3", "unit = 33", 1), encoding="utf-8")
    code, said = ask("agent", "reload", "edge-a")
    assert (code, "devices changed: booster-a" in said) == (0, True), said
    plain = 'password = "do-not-tell"\n'
    path.write_text(sound.replace("[lines.pits]\n", f"[lines.pits]\n{plain}", 1), encoding="utf-8")
    code, said = ask("agent", "reload", "edge-a")
    assert code == 1
    assert "plants/riverside/plant.toml: lines.pits.password: what is given" in said
    assert "do-not-tell" not in said
    assert ask("agent", "reload", "edge-z")[0] == 2
    code, said = ask("agent", "diagnose", "--all")
    assert code == 3
    assert "agent edge-b of riverside is not connected: not heard since the server's start" in said
    secrets = [one.read_text().strip() for one in (tmp_path / "data" / "secrets").iterdir()]
    assert len(secrets) > 3
    assert not any(secret in said for secret in secrets)
