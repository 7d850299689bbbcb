"""The real parts start with our own configuration, do what we rely on, and end."""

import http.client
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from commands import part_servers
from commands.part_servers import (
    InfluxServer,
    MosquittoServer,
    NatsServer,
    PartFailed,
    PostgresServer,
    start_influxd,
    start_mosquitto,
    start_postgres,
)

pytestmark = pytest.mark.system
AGENT = ("riverside/agent-5", "agent-5-word")
COLLECTOR = ("collector", "collector-word")
ANSWER_S_MAX = 10.0
REFUSED = 0x80


Server = MosquittoServer | NatsServer


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request: pytest.FixtureRequest) -> Server:
    """Each broker that agents may be given, with the same users and rights."""
    server: Server = request.getfixturevalue(request.param)
    return server


class Client:
    """A paho client which says what came of its connection and what it heard."""

    def __init__(self, server: Server, user: str, word: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.code: int | None = None
        self._event = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="")
        if user:
            self.client.username_pw_set(user, word)
        self.client.on_connect = lambda *args: self._note(code=args[3].value)
        self.client.on_subscribe = lambda *args: self._note(code=args[3][0].value)
        self.client.on_message = lambda *args: self._hear(args[2])
        self.client.connect(server.host, server.port)
        self.client.loop_start()
        self.wait()

    def _note(self, *, code: int) -> None:
        self.code = code
        self._event.set()

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(ANSWER_S_MAX)
        self._event.clear()

    def subscribe(self, topic: str) -> int | None:
        self.client.subscribe(topic, qos=1)
        self.wait()
        return self.code

    def publish(self, topic: str, payload: bytes) -> None:
        """Not waited for: Mosquitto ends the connection of who publishes without a right to."""
        self.client.publish(topic, payload, qos=1)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.parametrize(
    ("user", "word"), [("", ""), ("collector", "wrong"), ("stranger", "collector-word")]
)
def test_a_broker_refuses_who_it_does_not_know(broker: Server, user: str, word: str) -> None:
    client = Client(broker, user, word)
    client.close()
    assert client.code != 0


def test_an_agent_is_heard_by_the_collector_on_its_own_topics_only(broker: Server) -> None:
    collector, agent = Client(broker, *COLLECTOR), Client(broker, *AGENT)
    collector.subscribe("steward/v1/+/+/data")
    agent.publish("steward/v1/riverside/agent-6/data", b"forged")
    agent.publish("steward/v1/riverside/agent-5/data", b"mine")
    collector.wait()
    collector.close()
    agent.close()
    assert collector.heard == [("steward/v1/riverside/agent-5/data", b"mine")]


def test_an_agent_hears_its_own_mark_and_nobody_elses(broker: Server) -> None:
    collector, agent = Client(broker, *COLLECTOR), Client(broker, *AGENT)
    refused = agent.subscribe("steward/v1/#")
    if refused == REFUSED:  # Mosquitto grants it and sends only what is the agent's own
        agent.subscribe("steward/v1/riverside/agent-5/committed")
    collector.publish("steward/v1/riverside/agent-6/committed", b"other")
    collector.publish("steward/v1/riverside/agent-5/committed", b"own")
    agent.wait()
    collector.close()
    agent.close()
    assert agent.heard == [("steward/v1/riverside/agent-5/committed", b"own")]


def test_an_agent_of_nats_may_not_even_ask_for_the_marks_of_others(nats: NatsServer) -> None:
    agent = Client(nats, *AGENT)
    others = [
        agent.subscribe(f"steward/v1/{name}/committed") for name in ("+/+", "riverside/agent-6")
    ]
    own = agent.subscribe("steward/v1/riverside/agent-5/committed")
    agent.close()
    assert (others, own) == ([REFUSED, REFUSED], 1)


def test_influxd_is_set_up_and_knows_our_bucket(influxd: InfluxServer) -> None:
    address = urlsplit(influxd.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    connection.request(
        "GET", f"/api/v2/buckets?name={influxd.bucket}",
        headers={"Authorization": f"Token {influxd.token}"},
    )  # fmt: skip
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert (answer.status, influxd.bucket.encode() in content) == (200, True)


def test_postgres_answers_on_its_socket(postgres: PostgresServer) -> None:
    with psycopg.connect(host=str(postgres.folder), user=postgres.user, dbname="postgres") as link:
        row = link.execute("show server_version_num").fetchone()
    assert row is not None
    assert int(row[0]) >= 150000


def test_a_stopped_part_is_gone_and_may_be_stopped_again(
    part_programs: Callable[[str], Path], tmp_path: Path
) -> None:
    server = start_mosquitto(part_programs("mosquitto"), tmp_path)
    server.stop()
    server.stop()
    assert server.running.process.poll() is not None


def test_a_part_that_cannot_start_says_why(
    part_programs: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "wrong.conf").write_text("no_such_setting 1\n", encoding="utf-8")
    with pytest.raises(PartFailed, match="no_such_setting"):
        start_mosquitto(part_programs("mosquitto"), tmp_path)


def test_a_killed_part_is_gone_at_once(
    part_programs: Callable[[str], Path], tmp_path: Path
) -> None:
    server = start_mosquitto(part_programs("mosquitto"), tmp_path)
    server.running.kill()
    assert server.running.process.returncode == -9


def imitation(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_store_that_ends_at_once_repeats_what_it_said(tmp_path: Path) -> None:
    program = imitation(tmp_path, "influxd", "echo wrong architecture; exit 3")
    with pytest.raises(PartFailed, match="influxd ended with 3; it said: wrong architecture"):
        start_influxd(program, tmp_path / "store")


def test_a_part_that_never_listens_is_given_up_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_servers, "READY_S_MAX", 0.1)
    monkeypatch.setattr(part_servers, "STOP_S_MAX", 0.1)
    os.mkfifo(tmp_path / "fifo")
    program = imitation(tmp_path, "influxd", f"trap '' TERM; read never < {tmp_path / 'fifo'}")
    with pytest.raises(PartFailed, match="was not ready in time"):
        start_influxd(program, tmp_path / "store")


def test_a_database_that_cannot_be_made_says_why() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = imitation(folder, "postgres", "exit 0")
        with pytest.raises(PartFailed, match="initdb is not beside"):
            start_postgres(program)
        imitation(folder, "initdb", "echo no room on this disk >&2; exit 1")
        folder.chmod(0o755)  # it runs as somebody else
        with pytest.raises(PartFailed, match="initdb failed: no room on this disk"):
            start_postgres(program)
