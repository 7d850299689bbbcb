"""`./steward` itself, over a folder that has its script and a `python3` that only tells what it was asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TELLS = """#!/bin/sh
case "$1 $2" in
  "-c "*) exit 0 ;;
  "--version "*) echo "Python 3.11"; exit 0 ;;
  "-m venv") echo "made anew" >> "$TOLD"; mkdir -p .venv/bin; cp "$0" .venv/bin/python; exit 0 ;;
  "-m pip") exit 0 ;;
esac
echo "$PWD $*" >> "$TOLD"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "opt" / "steward"
    (folder / "requirements").mkdir(parents=True)
    shutil.copy(ROOT / "steward", folder / "steward")
    (folder / "requirements" / "run.txt").write_text("numpy==2.0\n", encoding="utf-8")
    python = folder.parent / "python"
    python.write_text(TELLS, encoding="utf-8")
    python.chmod(0o755)
    return folder


def start(checkout: Path, *words: str, cwd: Path) -> list[str]:
    """What python was told since the beginning."""
    told = checkout.parent / "told"
    python = str(checkout.parent / "python")
    environment = {**os.environ, "TOLD": str(told), "STEWARD_PYTHON": python}  # noqa: TID251  # a child gets what we have
    subprocess.run([str(checkout / "steward"), *words], cwd=cwd, env=environment, check=True, capture_output=True)  # fmt: skip
    return told.read_text(encoding="utf-8").splitlines()


def test_paths_are_meant_from_where_the_command_was_given(checkout: Path, tmp_path: Path) -> None:
    told = start(checkout, "check", "myplant", cwd=tmp_path)
    assert told[-1] == f"{tmp_path} {checkout}/steward.py check myplant"
    told = start(checkout, "check", "config/plants/riverside", cwd=checkout)
    assert told[-1] == f"{checkout} {checkout}/steward.py check config/plants/riverside"


def test_an_environment_whose_making_was_interrupted_is_made_anew(checkout: Path) -> None:
    half = checkout / ".venv" / "bin"
    half.mkdir(parents=True)
    shutil.copy(checkout.parent / "python", half / "python")
    (half / "left").touch()
    assert start(checkout, "check", cwd=checkout).count("made anew") == 1
    assert not (half / "left").exists()
    assert start(checkout, "check", cwd=checkout).count("made anew") == 1


def test_an_environment_that_had_its_packages_is_kept(checkout: Path) -> None:
    whole = checkout / ".venv" / "bin"
    whole.mkdir(parents=True)
    shutil.copy(checkout.parent / "python", whole / "python")
    (checkout / ".venv" / "steward-run").touch()
    assert "made anew" not in start(checkout, "check", cwd=checkout)
