import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 80
SPEED = 8
"""Of the site: a second that a busy machine takes longer is eight of the ten minutes' 600."""
FIRST_FAULT_S = 60
"""The first fault comes after 40 s of the site's time (`simulators.day`), its order soon behind."""

pytestmark = pytest.mark.system


def steward(*words: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "steward.py", *words], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **variables},  # noqa: TID251  # a child gets what we have
    )  # fmt: skip


def told(process: subprocess.Popen[str], pattern: str, within_s: float = 60) -> re.Match[str]:
    """The first line of its progress that matches."""
    assert process.stderr is not None
    deadline = time.monotonic() + within_s
    seen = []
    while time.monotonic() < deadline:
        line = process.stderr.readline()
        seen.append(line)
        found = re.search(pattern, line)
        if found:
            return found
        assert process.poll() is None, "".join(seen)
    raise AssertionError("".join(seen))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_the_whole_chain_runs_untouched_and_reports_itself(tmp_path: Path) -> None:
    """Made, sent, stored; one fault becomes one order that readings close; one inspection is confirmed."""
    demo = steward(
        "demo",
        "--for",
        f"{SECONDS}s",
        "--speed",
        str(SPEED),
        "--json",
        "--port",
        "0",
        "--data",
        str(tmp_path),
    )
    out, err = demo.communicate(timeout=SECONDS + 120)
    assert demo.returncode == 0, err
    report = json.loads(out)
    assert report["first_live_value_s"] < 30
    readings = report["readings"]
    assert readings["made"] > 1_000
    assert readings["made"] >= readings["sent"] >= readings["stored"] - readings["derived"] > 1_000
    assert (readings["lost"], readings["doubled"], readings["quarantined"]) == (0, 0, 0)
    assert (readings["held_batches"], readings["waiting_for_store"]) == (0, 0)
    assert readings["made"] == readings["sent"] == readings["journalled"] - readings["derived"]
    assert report["alarms"]["raised"] >= 1
    orders = report["work_orders"]
    assert orders["closed_by_readings"] >= 1
    assert orders["repaired_by_technician"] >= 1
    assert orders["soonest_closed_by_readings_s"] <= 600 - FIRST_FAULT_S
    assert orders["most_for_one_fault"] == 1
    assert report["occurrences"]["confirmed"] >= 1
    assert set(report["restarts"].values()) == {0}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    for secret in (tmp_path / "secrets").iterdir():
        assert secret.stat().st_mode & 0o777 == 0o600
        assert secret.read_text().strip() not in err


def test_control_c_stops_everything_within_five_seconds(taken_port: int, tmp_path: Path) -> None:
    demo = steward("demo", "--port", str(taken_port), "--data", str(tmp_path))
    told(demo, r"port \d+ is taken")
    link = told(demo, r"Open (http://127\.0\.0\.1:(\d+)/setup\?link=\S+)")
    assert int(link[2]) != taken_port
    with urllib.request.urlopen(link[1].split("?")[0], timeout=5) as page:  # noqa: S310  # our own
        assert page.status == 200
    asked = time.monotonic()
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=10)
    assert time.monotonic() - asked < 5
    assert demo.returncode == 0
    left = subprocess.run(
        ["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert left.stdout.split() == []


def test_up_runs_a_real_plant_and_commands_ask_its_server(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    about = {"STEWARD_DATA": str(tmp_path), "STEWARD_HTTP_PORT": str(port)}
    up = steward("up", "config/plants/riverside", "--data", str(tmp_path), "--port", str(port))
    try:
        told(up, r"Open http")
        said: dict[str, tuple[int, str]] = {}
        for words in (["report", "delivery"], ["report", "delivery", "--json"], ["user", "add", "chen-wei", "--roles", "operator"], ["user", "list"], ["user", "add"], ["token", "create", "grafana"], ["token", "list"], ["token", "create"], ["doctor"], ["doctor", "--json"]):  # fmt: skip
            asked = steward(*words, **about)
            out, err = asked.communicate(timeout=30)
            said[" ".join(words)] = (asked.returncode, out + err)
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=15)
    assert said["report delivery"][0] in (0, 3), (
        said
    )  # 3: agents made something each time they were looked at
    assert "journalled" in said["report delivery"][1]
    assert json.loads(said["report delivery --json"][1])["readings"]["lost"] in (0, None)
    assert "/setup?link=" in said["user add chen-wei --roles operator"][1]
    assert "chen-wei" in said["user list"][1]
    assert said["user add"][0] == 2
    assert len(said["token create grafana"][1].strip()) > 20
    assert "grafana" in said["token list"][1]
    assert said["token create"][0] == 2
    assert "broker" in said["doctor"][1]
    assert json.loads(said["doctor --json"][1].splitlines()[0])
    asked = steward("report", "delivery", **about)
    _, err = asked.communicate(timeout=30)
    assert asked.returncode == 3
    assert "no server answers" in err
