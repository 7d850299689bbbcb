"""docs/openapi.json is what the API says; drift fails here."""

import argparse
import json
from pathlib import Path

import pytest

from commands import openapi


def test_the_committed_contract_is_what_the_api_says() -> None:
    assert openapi.TARGET.read_text(encoding="utf-8") == openapi.contract(), "./steward openapi"


def test_every_operation_has_its_words_and_a_shape() -> None:
    for path, verbs in json.loads(openapi.contract())["paths"].items():
        for verb, operation in verbs.items():
            assert operation["description"], (verb, path)
            assert "4XX" in operation["responses"], (verb, path)


def test_the_command_writes_checks_and_refuses_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(openapi, "TARGET", tmp_path / "docs" / "openapi.json")
    write, check = argparse.Namespace(check=False), argparse.Namespace(check=True)
    assert openapi.run(check) == 1
    assert openapi.run(write) == 0
    assert openapi.run(check) == 0
    openapi.TARGET.write_text("{}", encoding="utf-8")
    assert openapi.run(check) == 1
    assert "differs" in capsys.readouterr().out
