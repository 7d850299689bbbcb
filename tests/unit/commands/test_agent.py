"""`steward agent`: which agents are asked, what is said of each, and the exit code that it comes to."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commands import main
from commands.access import write_secret

SITES: dict[str, list[str]] = {"riverside": ["edge-a", "edge-b"], "hillside": ["edge-a", "edge-c"]}
Said = dict[str, tuple[int, dict[str, Any]]]
"""`site/agent` to the status and the body of the answer."""


def done(agent: str, **detail: str) -> tuple[int, dict[str, Any]]:
    return 200, {"agent": agent, "outcome": "done", "detail": detail}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Said, list[str]]]:
    """A server with two sites; what it says of each agent, and what it was asked by POST."""
    said: Said = {}
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = self.path.removeprefix("/api/v1/").split("/")
            agents = [{"agent": name} for name in SITES[parts[1]]] if parts[1:] else []
            self._say(200, agents or [{"id": site} for site in SITES])

        def do_POST(self) -> None:
            _, site, _, agent, what = self.path.removeprefix("/api/v1/").split("/")
            asked.append(f"{site}/{agent} {what}")
            self._say(*said.get(f"{site}/{agent}", done(agent)))

        def _say(self, status: int, body: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("STEWARD_DATA", str(tmp_path))
    write_secret(tmp_path / "secrets" / "token-owner", "known")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        monkeypatch.setenv("STEWARD_HTTP_PORT", str(listening.server_address[1]))
        yield said, asked
        listening.shutdown()
        thread.join()


@pytest.fixture
def steward(
    server: tuple[Said, list[str]], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main.main(["agent", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


Steward = Callable[..., tuple[int, str, str]]
Server = tuple[Said, list[str]]


def test_an_agent_reads_its_files_anew_and_says_what_changed(
    server: Server, steward: Steward
) -> None:
    server[0]["riverside/edge-b"] = done("edge-b", changed="devices changed: booster-a")
    code, out, err = steward("reload", "edge-b")
    assert (code, err) == (0, "")
    assert out == "riverside/edge-b: done\n  changed            devices changed: booster-a\n"
    assert server[1] == ["riverside/edge-b reload"]


def test_every_agent_is_asked_and_one_that_is_away_stops_none(
    server: Server, steward: Steward
) -> None:
    why = {
        "title": "The agent cannot be asked now",
        "detail": "agent edge-a of riverside is not connected",
    }
    server[0]["riverside/edge-a"] = 503, why
    code, out, _ = steward("diagnose", "--all", "--json")
    assert code == 3
    rows = json.loads(out)
    assert [(row["site"], row["agent"], row["outcome"]) for row in rows] == [
        ("riverside", "edge-a", "unavailable"), ("riverside", "edge-b", "done"),
        ("hillside", "edge-a", "done"), ("hillside", "edge-c", "done"),
    ]  # fmt: skip
    assert rows[0]["detail"] == {"reason": f"{why['title']}: {why['detail']}"}
    assert len(server[1]) == 4


def test_a_refusal_is_a_no_with_every_line_of_its_reason(server: Server, steward: Steward) -> None:
    reason = "plant.toml: lines.x: is missing\nplant.toml: devices.y: is missing"
    server[0]["hillside/edge-c"] = (
        200,
        {"agent": "edge-c", "outcome": "refused", "detail": {"reason": reason}},
    )
    code, out, _ = steward("reload", "edge-c")
    assert code == 1
    assert [line.split()[-1] for line in out.splitlines()] == ["refused", "missing", "missing"]


def test_a_wrong_name_lists_those_that_there_are(server: Server, steward: Steward) -> None:
    code, _, err = steward("reload", "edge-x")
    assert code == 2
    assert "no agent 'edge-x'; there are riverside/edge-a, riverside/edge-b, hillside/edge-a" in err
    assert server[1] == []


def test_a_name_of_two_sites_wants_its_site(server: Server, steward: Steward) -> None:
    code, _, err = steward("reload", "edge-a")
    assert (code, server[1]) == (2, [])
    assert "say riverside/edge-a or hillside/edge-a" in err
    assert steward("reload", "hillside/edge-a")[0] == 0
    assert server[1] == ["hillside/edge-a reload"]


@pytest.mark.parametrize("words", [["reload"], ["reload", "edge-c", "--all"]])
def test_one_agent_or_all_of_them(server: Server, steward: Steward, words: list[str]) -> None:
    code, _, err = steward(*words)
    assert (code, server[1]) == (2, [])
    assert "name one agent, or --all" in err


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (False, "steward agent: no server has run on the data folder {data}: start one (./steward up PLANT, or ./steward demo)"),
        (True, "steward agent: no server answers at http://127.0.0.1:1/api/v1 (Connection refused): start one (./steward up PLANT)"),
    ],
    ids=["on this data folder", "now"],
)  # fmt: skip
def test_where_no_server_ran_or_runs_it_is_said_how_to_start_one(
    token: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path))
    monkeypatch.setenv("STEWARD_HTTP_PORT", "1")
    if token:
        write_secret(tmp_path / "secrets" / "token-owner", "known")
    assert main.main(["agent", "diagnose", "edge-a"]) == main.UNAVAILABLE
    assert capsys.readouterr().err.startswith(said.format(data=tmp_path))


def test_a_server_that_fails_is_away(server: Server, steward: Steward) -> None:
    server[0]["hillside/edge-c"] = 500, {"title": "Something went wrong here; it has been logged"}
    code, out, err = steward("reload", "edge-c")
    assert (code, out) == (3, "")
    assert "answers 500: Something went wrong here" in err
