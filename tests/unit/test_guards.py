"""The guards of all tests catch what they are there for: shown on tests that leave something behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import environment_with

ROOT = Path(__file__).parents[2]

PLANTED = {
    "a task": (
        "async def test_planted():\n"
        "    import asyncio\n"
        "    asyncio.get_running_loop().create_task(asyncio.Event().wait(), name='stray')\n",
        ["tasks are left: ['stray']", "1 passed, 1 error"],
    ),
    "a thread": (
        "def test_planted():\n"
        "    import threading\n"
        "    threading.Thread(target=threading.Event().wait, name='stray', daemon=True).start()\n",
        ["thread stray is left", "1 passed, 1 error"],
    ),
    "a connection to elsewhere": (
        "def test_planted():\n"
        "    import contextlib, socket\n"
        "    with socket.socket() as probe, contextlib.suppress(RuntimeError):\n"
        "        probe.connect(('192.0.2.1', 9))\n",
        ["connected to [\"('192.0.2.1', 9)\"]", "1 passed, 1 error"],
    ),
    "a datagram to elsewhere": (
        "def test_planted():\n"
        "    import contextlib, socket\n"
        "    with socket.socket(type=socket.SOCK_DGRAM) as probe, contextlib.suppress(RuntimeError):\n"
        "        probe.sendto(b'x', ('198.51.100.7', 9))\n",
        ["198.51.100.7", "1 passed, 1 error"],
    ),
    "nothing": (
        "async def test_planted():\n"
        "    import asyncio, socket\n"
        "    await asyncio.to_thread(sum, [1])\n"
        "    with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "        socket.create_connection(server.getsockname()).close()\n",
        ["1 passed"],
    ),
    "a part that is not there": (
        "from tests.parts import leave_out\n"
        "def test_planted():\n"
        "    leave_out('influxd', 'build it')\n",
        ["not run on this machine", "influxd (1 tests): build it", "1 skipped"],
    ),
}


def run(folder: Path, text: str, ci: str, *words: str) -> str:
    planted = folder / "test_planted.py"
    planted.write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml")),
            *("-p", "tests.conftest", "--rootdir", str(ROOT), "-p", "no:cacheprovider"),
            *words,
            str(planted),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, env=environment_with(CI=ci),
    )  # fmt: skip
    return ended.stdout


@pytest.mark.parametrize("name", PLANTED)
def test_what_a_test_leaves_behind_is_found(tmp_path: Path, name: str) -> None:
    text, expected = PLANTED[name]
    out = run(tmp_path, text, ci="")
    assert [words for words in expected if words not in out] == []


def test_in_ci_a_part_that_is_not_there_fails(tmp_path: Path) -> None:
    out = run(tmp_path, PLANTED["a part that is not there"][0], ci="true")
    assert "1 failed" in out
    assert "CI is set: nothing may be left out" in out


def test_what_a_worker_left_out_is_named_in_the_one_summary(tmp_path: Path) -> None:
    out = run(tmp_path, PLANTED["a part that is not there"][0], "", "-n", "1")
    assert "influxd (1 tests): build it" in out
