"""How a proof ends is said in one place."""

import ast
import json
from pathlib import Path

import pytest

from commands.proving.telling import tell

COMMANDS = Path(__file__).parents[3] / "commands"
FOUND = {
    "runs": 2,
    "accidents": {"edge killed": {"seen": 1, "tried": 3}, "cut": 4},
    "memory_mb": {"warm": 57.8, "end": 58.0},
    "problems": ["seed 1: 2 lost"],
    "took_s": 1.5,
}


def test_problems_come_last_and_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(FOUND, as_json=False) == 1
    assert capsys.readouterr().out.splitlines() == [
        "runs: 2",
        "accidents:",
        "  edge killed: seen 1, tried 3",
        "  cut: 4",
        "memory_mb: warm 57.8, end 58.0",
        "took_s: 1.5",
        "NO  seed 1: 2 lost",
    ]


def test_none_is_said_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell({"runs": 2, "problems": []}, as_json=False) == 0
    assert capsys.readouterr().out.splitlines() == ["runs: 2", "problems: none"]


def test_json_is_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(FOUND, as_json=True) == 1
    assert json.loads(capsys.readouterr().out) == FOUND


def test_no_proof_prints_its_end_itself() -> None:
    files = [*COMMANDS.glob("prove*.py"), *COMMANDS.glob("proving/*.py")]
    assert len(files) > 20
    assert {path.name for path in files if _prints(path)} == {"telling.py"}


def _prints(path: Path) -> bool:
    """Whether it says something that is not said to stderr."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not any(word.arg == "file" for word in node.keywords)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
