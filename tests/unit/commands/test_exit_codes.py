"""What is not there ends a command with 3, what is wrong with 2, each in words of what to do."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from collector.ports import Unavailable
from commands import main
from commands.access import write_secret
from commands.one_server import LOCK, held
from commands.supervising import RESTART_WRONG_S, Child
from commands.virtual_machine import full_disk
from config.settings import environment_with
from edge.outbox import Outbox

ROOT = Path(__file__).parents[3]
RIVERSIDE = str(ROOT / "config" / "plants" / "riverside")
PROBLEMS = {
    "bogus": (422, b'{"title": "Not valid", "detail": "there is no role bogus"}'),
    "taken": (409, b'{"title": "Changed meanwhile", "detail": "there is somebody of that name"}'),
    "broken": (500, b"oh"),
}
NOT_READY = b"""{"ok": false, "dependencies": {
    "broker": {"ok": true, "detail": ""}, "agents": {"ok": false, "detail": "not heard: edge-a"}
}}"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch, data: Path) -> Iterator[None]:
    """A server that has a problem with everybody, by the name asked for."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, body = next(said for name, said in PROBLEMS.items() if name in asked)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(NOT_READY)

        def log_message(self, *_: object) -> None:
            pass

    write_secret(data / "secrets" / "token-owner", "known")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("STEWARD_HTTP_PORT", str(server.server_address[1]))
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("refusing")
def test_what_the_server_refuses_is_wrong_use_in_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["user", "add", "li", "--roles", "bogus"]) == main.WRONG_USE
    assert capsys.readouterr().err == "steward user: Not valid: there is no role bogus\n"
    assert main.main(["user", "add", "taken"]) == main.WRONG_USE
    assert "somebody of that name" in capsys.readouterr().err
    assert main.main(["token", "create", "broken"]) == main.UNAVAILABLE
    assert "answers 500: oh" in capsys.readouterr().err


@pytest.mark.usefixtures("refusing")
def test_a_server_that_is_not_ready_is_no_server_that_is_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(["doctor"]) == main.NO
    shown = capsys.readouterr()
    assert [line.split() for line in shown.out.splitlines()[1:]] == [
        ["ok", "broker"],
        ["NO", "agents", "not", "heard:", "edge-a"],
    ]
    assert shown.err == ""


@pytest.mark.parametrize(("command", "variable"), [("server", "STEWARD_HTTP_PORT"), ("broker", "STEWARD_BROKER_PORT")])  # fmt: skip
def test_a_port_that_is_taken_is_unavailable(
    command: str,
    variable: str,
    taken: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, str(taken))
    assert main.main([command, RIVERSIDE]) == main.UNAVAILABLE
    said = capsys.readouterr().err
    assert f"127.0.0.1:{taken}" in said
    assert f"or set {variable}" in said


def test_a_second_server_on_a_data_folder_touches_nothing_and_names_the_first(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEWARD_HTTP_PORT", str(free()))
    with held(data):
        assert main.main(["server", RIVERSIDE]) == main.UNAVAILABLE
        assert [path.name for path in data.iterdir()] == [LOCK]
    said = capsys.readouterr().err
    assert f"a server runs on {data} already, process {os.getpid()} on " in said
    assert "or set STEWARD_DATA" in said
    with held(data):
        pass  # whoever had it is gone


def test_a_lock_file_that_is_deleted_lets_no_second_server_in(data: Path) -> None:
    with held(data):
        (data / LOCK).unlink()
        for _ in range(2):
            with pytest.raises(Unavailable, match="a server runs on"), held(data):
                pass
    with held(data):
        pass


def test_a_full_disk_takes_only_the_note_of_who_holds_the_lock(data: Path) -> None:
    with full_disk(), held(data):
        assert [path.name for path in data.iterdir()] == [LOCK]


def test_a_load_without_a_broker_is_unavailable(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "load", "--port", "1", "--readings", "60"]
    assert main.main(words) == main.UNAVAILABLE
    assert "no broker takes the load at 127.0.0.1:1" in capsys.readouterr().err


def test_a_database_that_is_away_is_unavailable(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEWARD_LEDGER", f"sqlite:///{data / 'no' / 'ledger.db'}")
    monkeypatch.setenv("STEWARD_HTTP_PORT", str(free()))
    assert main.main(["server", RIVERSIDE]) == main.UNAVAILABLE
    assert "the ledger cannot be reached" in capsys.readouterr().err


def test_a_password_file_that_is_missing_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEWARD_BROKER_PASSWORD_FILE", str(data / "none"))
    assert main.main(["edge", RIVERSIDE, "edge-a"]) == main.WRONG_USE
    assert "STEWARD_BROKER_PASSWORD_FILE" in capsys.readouterr().err


def test_a_password_file_that_is_empty_is_no_password(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "word").write_text("\n", encoding="utf-8")
    monkeypatch.setenv("STEWARD_BROKER_PASSWORD_FILE", str(data / "word"))
    assert main.main(["edge", RIVERSIDE, "edge-a"]) == main.WRONG_USE
    assert "is empty" in capsys.readouterr().err


@pytest.fixture
def known_to_the_broker(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secret(data / "word", "said")
    monkeypatch.setenv("STEWARD_BROKER_PASSWORD_FILE", str(data / "word"))


@pytest.mark.usefixtures("known_to_the_broker")
def test_an_agent_whose_folder_cannot_be_made_says_so(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "edge").write_text("a file", encoding="utf-8")
    assert main.main(["edge", RIVERSIDE, "edge-a"]) == main.UNAVAILABLE
    assert f"see that {data / 'edge'} can be written" in capsys.readouterr().err


@pytest.mark.usefixtures("known_to_the_broker")
def test_an_agent_that_starts_on_a_full_disk_says_so(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "edge").mkdir()
    outbox = data / "edge" / "riverside.edge-a.outbox"
    Outbox(outbox, now=1, rng=np.random.default_rng(1)).close()
    with full_disk():
        assert main.main(["edge", RIVERSIDE, "edge-a"]) == main.UNAVAILABLE
    assert f"see that {data / 'edge'} can be written" in capsys.readouterr().err


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_process_that_wants_something_mended_says_so_once(tmp_path: Path) -> None:
    code = "import sys; print('secret x is missing\\n\\nsteward: mend the lines above', file=sys.stderr); sys.exit(2)"
    one = Child("edge", [sys.executable, "-c", code], environment_with(), tmp_path / "edge.log")
    one.start()
    assert one.process is not None
    one.process.wait(20)
    assert "ended with 2: secret x is missing; again in 60.0 s" in one.look()
    assert one.wait_s == RESTART_WRONG_S
    one.restart_at = 1.0
    assert one.look() == ""
    one.process.wait(20)
    assert one.look() == ""
    assert one.deaths == 2
