"""Asking the running server: what it refuses is told by its name, whatever it answers with."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from commands.access import secrets_folder, write_secret
from commands.asking import Refused, ServerAway, ask
from config.settings import Settings

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/api/v1/problem": (422, json.dumps({"type": "/problems/too-many-readings", "title": "Too many", "detail": "9 readings"}).encode()),
    "/api/v1/untyped": (404, b'{"title": "Gone"}'),
    "/api/v1/list": (409, b"[1]"),
    "/api/v1/text": (400, b"<html>no</html>"),
    "/api/v1/nothing": (400, b""),
    "/api/v1/unknown": (401, b'{"title": "Who?"}'),
    "/api/v1/busy": (503, b'{"title": "Unavailable", "detail": "the store is busy"}'),
    "/api/v1/broken": (500, b"oh"),
    "/api/v1/fine": (200, b'{"a": 1}'),
}  # fmt: skip


class Server(BaseHTTPRequestHandler):
    """Answers by the path alone."""

    def do_GET(self) -> None:  # the name that http.server calls
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is written beside the test."""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        found = Settings(data=tmp_path, http_host="127.0.0.1", http_port=server.server_port)
        write_secret(secrets_folder(found) / "token-owner", "word")
        yield found
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("problem", "too-many-readings", "Too many: 9 readings"),
        ("untyped", "", "Gone"),
        ("list", "", "[1]"),
        ("text", "", "<html>no</html>"),
        ("nothing", "", ""),
    ],
)
def test_what_is_refused_has_the_problem_s_name_and_words(
    settings: Settings, path: str, kind: str, said: str
) -> None:
    with pytest.raises(Refused) as refused:
        ask(settings, path)
    assert (refused.value.kind, str(refused.value)) == (kind, said)


@pytest.mark.parametrize(
    ("path", "said"), [("unknown", ""), ("busy", "Unavailable: the store is busy"), ("broken", "")]
)
def test_a_server_that_cannot_answer_is_away_and_says_what_it_waits_for(
    settings: Settings, path: str, said: str
) -> None:
    with pytest.raises(ServerAway) as away:
        ask(settings, path)
    assert away.value.said == said
    assert path in str(away.value)


def test_an_answer_is_its_json(settings: Settings) -> None:
    assert ask(settings, "fine") == {"a": 1}


def test_a_server_that_works_longer_than_is_waited_for_is_busy_and_not_away(tmp_path: Path) -> None:
    write_secret(tmp_path / "secrets" / "token-owner", "known")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(data=tmp_path, http_port=silent.getsockname()[1])
        with pytest.raises(ServerAway, match=r"has not answered for 0\.1 s: it is busy") as said:
            ask(settings, "health/ready", wait_s=0.1)
    assert "start one" not in str(said.value)
