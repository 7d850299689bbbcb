"""The guards of all tests catch what they are there for: shown on tests that leave something behind."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.settings import environment_with

ROOT = Path(__file__).parents[2]

PROPERTY = (
    "import hypothesis, hypothesis.strategies as st\n"
    "seen = []\n"
    "@hypothesis.given(st.integers())\n"
    "def test_planted(number):\n"
    "    seen.append(number)\n"
    "def test_told():\n"
    "    print('SEEN', seen)\n"
)

PLANTED = {
    "a task": (
        "async def test_planted():\n"
        "    import asyncio\n"
        "    asyncio.get_running_loop().create_task(asyncio.Event().wait(), name='stray')\n",
        ["tasks are left: ['stray']", "passed", "error"],
    ),
    "a thread": (
        "def test_planted():\n"
        "    import threading\n"
        "    threading.Thread(target=threading.Event().wait, name='stray', daemon=True).start()\n",
        ["thread stray is left", "passed", "error"],
    ),
    "a connection to elsewhere": (
        "def test_planted():\n"
        "    import contextlib, socket\n"
        "    with socket.socket() as probe, contextlib.suppress(RuntimeError):\n"
        "        probe.connect(('192.0.2.1', 9))\n",
        ["connected to [\"('192.0.2.1', 9)\"]", "passed", "error"],
    ),
    "a datagram to elsewhere": (
        "def test_planted():\n"
        "    import contextlib, socket\n"
        "    with socket.socket(type=socket.SOCK_DGRAM) as probe, contextlib.suppress(RuntimeError):\n"
        "        probe.sendto(b'x', ('198.51.100.7', 9))\n",
        ["198.51.100.7", "passed", "error"],
    ),
    "nothing": (
        "async def test_planted():\n"
        "    import asyncio, socket\n"
        "    await asyncio.to_thread(sum, [1])\n"
        "    with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "        socket.create_connection(server.getsockname()).close()\n",
        ["passed"],
    ),
    "a part that is not there": (
        "from tests.parts import leave_out\n"
        "def test_planted():\n"
        "    leave_out('influxd', 'build it')\n",
        ["not run on this machine", "influxd (1 tests): build it", "skipped"],
    ),
}


def run(folder: Path, texts: Mapping[str, str], ci: str, *words: str) -> str:
    """What pytest, in one process of its own, says of the files of these texts."""
    for name, text in texts.items():
        (folder / f"test_{name}.py").write_text(
            text.replace("test_planted", f"test_{name}"), encoding="utf-8"
        )
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-v", "-rP", "-c", str(ROOT / "pyproject.toml")),
            *("-p", "tests.conftest", "--rootdir", str(ROOT), "-p", "no:cacheprovider"),
            *words,
            *(str(folder / f"test_{name}.py") for name in texts),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, env=environment_with(CI=ci),
    )  # fmt: skip
    return ended.stdout


def ends(out: str, name: str) -> list[str]:
    """How the planted test of this name ended, and then its guards."""
    return [end.lower() for end in re.findall(rf"::test_{name}(?:\[asyncio\])? ([A-Z]+) ", out)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All that is planted in one run: each is guarded by itself."""
    texts = {name.replace(" ", "_"): text for name, (text, _) in PLANTED.items()}
    return run(tmp_path_factory.mktemp("planted"), texts | {"property": PROPERTY}, ci="")


@pytest.fixture(scope="module")
def told_in_ci(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run as in CI, with a seed."""
    texts = {"planted": PLANTED["a part that is not there"][0], "property": PROPERTY}
    return run(tmp_path_factory.mktemp("ci"), texts, "true", "--hypothesis-seed=7")


@pytest.mark.parametrize("name", PLANTED)
def test_what_a_test_leaves_behind_is_found(told: str, name: str) -> None:
    wanted = PLANTED[name][1]
    verdicts = [word for word in wanted if word in ("passed", "error", "skipped")]
    assert ends(told, name.replace(" ", "_")) == verdicts
    assert [words for words in wanted if words not in told] == []


def test_in_ci_a_part_that_is_not_there_fails(told_in_ci: str) -> None:
    assert "1 failed" in told_in_ci
    assert "CI is set: nothing may be left out" in told_in_ci


def test_what_a_worker_left_out_is_named_in_the_one_summary(tmp_path: Path) -> None:
    out = run(tmp_path, {"planted": PLANTED["a part that is not there"][0]}, "", "-n", "1")
    assert "influxd (1 tests): build it" in out


def test_properties_try_others_where_a_seed_is_given(told: str, told_in_ci: str) -> None:
    always, seeded = (out.partition("SEEN")[2].partition("\n")[0] for out in (told, told_in_ci))
    assert len(always) > 100
    assert len(seeded) > 100
    assert always != seeded
