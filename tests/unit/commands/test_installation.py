"""In which order an installation starts its processes: nothing is asked before it can be there."""

import socket
import threading
from pathlib import Path

import pytest

from commands.installation import Installation, Stop
from commands.part_servers import free_port, listens
from config.load import LIBRARY, load_plant

RIVERSIDE = LIBRARY / "plants" / "riverside"
LATE_S = 0.3


def test_agents_are_started_once_the_devices_listen_and_the_server_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, started = free_port(), list[tuple[str, bool]]()
    with socket.socket() as device:
        device.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def listen() -> None:
            device.bind(("127.0.0.1", port))
            device.listen()

        late = threading.Timer(LATE_S, listen)

        def run(_self: Installation, name: str, *_words: str) -> None:
            started.append((name, listens(port)))
            if name == "devices":
                late.start()

        monkeypatch.setattr(Installation, "run", run)
        monkeypatch.setattr(Installation, "wait_for_server", lambda _self, _stop: True)
        plants = {str(RIVERSIDE): load_plant(RIVERSIDE)}
        site = Installation(plants, tmp_path, 0, endpoints={"power": f"127.0.0.1:{port}"})
        assert site.start(Stop(install=False), "simulate", "devices")
        late.join()
    agents = [(f"riverside.{agent}", True) for agent in plants[str(RIVERSIDE)].agents]
    assert started == [("broker", False), ("devices", False), *agents, ("server", True)]


def test_who_asks_to_stop_is_not_kept_waiting_for_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Stop(install=False)
    monkeypatch.setattr(Installation, "run", lambda *_: setattr(stop, "asked", True))
    site = Installation({}, tmp_path, 0, endpoints={"power": f"127.0.0.1:{free_port()}"})
    assert not site.start(stop, "simulate", "devices")
