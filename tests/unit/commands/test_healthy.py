"""What a container is asked: a process that works says nothing, one that does not says why."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import main
from config.settings import Settings

ROOT = Path(__file__).parents[3]
RIVERSIDE = str(ROOT / "config" / "plants" / "riverside")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_agent_works_while_it_keeps_readings(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["healthy", "edge"]) == main.NO
    assert "no outbox" in capsys.readouterr().err
    (data / "edge").mkdir()
    for name in ("outbox", "outbox-wal"):
        (data / "edge" / name).touch()
    old = time.time() - 600  # noqa: TID251  # files have the machine's time
    os.utime(data / "edge" / "outbox", (old, old))
    assert main.main(["healthy", "edge"]) == main.DONE
    os.utime(data / "edge" / "outbox-wal", (old, old))
    assert main.main(["healthy", "edge"]) == main.NO
    assert "nothing was kept for 60" in capsys.readouterr().err


def test_devices_work_when_every_line_listens(
    data: Path, listening: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ("a-pumps", "b-pumps", "lifts", "fire", "power", "bench", "cam-1", "cam-2", "cam-3")
    lines = ", ".join(f'"{line}": "127.0.0.1:{listening}"' for line in ids)
    (data / "lines.json").write_text(f"{{{lines}}}", encoding="utf-8")
    assert main.main(["healthy", "devices", RIVERSIDE]) == main.DONE
    text = (data / "lines.json").read_text(encoding="utf-8")
    wrong = text.replace(f'"fire": "127.0.0.1:{listening}"', '"fire": "127.0.0.1:1"')
    (data / "lines.json").write_text(wrong, encoding="utf-8")
    assert main.main(["healthy", "devices", RIVERSIDE]) == main.NO
    assert "not listening: fire" in capsys.readouterr().err


def test_a_server_that_does_not_answer_does_not_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEWARD_HTTP_PORT", "1")
    assert main.main(["healthy", "server"]) == main.NO
    assert "/api/v1/health/live" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1"])  # noqa: S104  # told, not bound
def test_people_are_sent_to_this_machine_where_the_server_listens_everywhere(host: str) -> None:
    assert Settings(http_host=host).address == "http://127.0.0.1:8080"
    assert Settings(http_host="steward.example").address == "http://steward.example:8080"
