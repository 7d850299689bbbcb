import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from commands import check, demo, linting, lock, main, simulate
from commands.broker import run_broker, write_passwords
from commands.part_servers import free_port
from commands.supervising import Child, Children
from config.settings import environment_with
from edge.bus_time import Asked, Use
from tests.waiting import until

ROOT = Path(__file__).parents[3]
RIVERSIDE = ROOT / "config" / "plants" / "riverside"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == main.DONE
    listed = said(capsys)
    assert all(name in listed for name in main.COMMANDS)


def test_no_command_and_a_wrong_one_are_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == main.WRONG_USE
    assert main.main(["destroy"]) == main.WRONG_USE
    assert "no command 'destroy'" in said(capsys)


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_every_command_explains_itself_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main([name, "--help"])
    assert ended.value.code == 0
    assert "example: ./steward " in said(capsys)


def test_points_are_listed_by_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["tags", str(RIVERSIDE), "water", "tank"]) == main.DONE
    shown = said(capsys)
    assert "a-booster/tank_level  Water_Level_Sensor  domestic water tank level sensor" in shown
    assert "riverside: 2 points; " in shown
    assert main.main(["tags", str(RIVERSIDE), "Water_Level_Sensor", "tank", "--json"]) == main.DONE
    rows = json.loads(said(capsys))
    assert [row["point"] for row in rows] == ["riverside/a-booster/tank_level", "riverside/b-booster/tank_level"]  # fmt: skip
    assert rows[0]["haystack"][-1] == "point"
    assert main.main(["tags", str(RIVERSIDE), "steam"]) == main.NO
    assert "no point has 'steam'; there are Alarm, Availability_Status" in said(capsys)


def test_a_sound_plant_shows_its_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEWARD_SECRETS", str(tmp_path))
    monkeypatch.delenv("STEWARD_SECRET_CAMERAS", raising=False)
    assert main.main(["check", str(RIVERSIDE)]) == main.DONE
    shown = said(capsys)
    assert "10 devices" in shown
    assert "booster-a" in shown
    assert main.main(["check", str(RIVERSIDE), "--json"]) == main.DONE
    found = json.loads(said(capsys))
    assert found["points"] >= 170
    assert found["missing_secrets"] == ["cameras"]
    assert found["not_observable"] == []


def test_exponents_that_are_asked_for_twice_are_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Use("l", "inverter", "fast", 1.0, 4, 90, 20, 0.04, ())
    few = replace(row, again=("inverter/a_sf", "inverter/v_sf"), again_requests=1)
    many = replace(row, again=tuple(f"inverter/{n}" for n in range(7)), again_requests=2)
    for uses, words in (
        ([row], None),
        ([few], "in 1 of the 4 requests: inverter/a_sf, inverter/v_sf\n"),
        ([many], "in 2 of the 4 requests: inverter/0, inverter/1, inverter/2, inverter/3, inverter/4 and 2 more\n"),
    ):  # fmt: skip
        monkeypatch.setattr(check, "uses_of", lambda _, uses=uses: uses)
        assert main.main(["check", str(RIVERSIDE)]) == main.DONE
        shown = said(capsys)
        assert ("asked for once more" in shown) == (words is not None)
        assert words is None or words in shown
        assert main.main(["check", str(RIVERSIDE), "--json"]) == main.DONE
        (read,) = json.loads(said(capsys))["reads"]
        assert read["asked_again"] == list(uses[0].again)
        assert read["asked_again_requests"] == uses[0].again_requests


def test_the_addresses_of_each_request_are_shown_with_their_holes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (Asked("holding", 0, 41, ((12, 15), (30, 30))), Asked("input", 9, 9), Asked("holding", 7, 7, again=True))  # fmt: skip
    row = Use("l", "inverter", "fast", 1.0, 3, 44, 5, 0.04, (), asked=asked)
    many = replace(row, device="meter", asked=tuple(Asked("coil", n, n + 1) for n in range(0, 900, 9)))  # fmt: skip
    monkeypatch.setattr(check, "uses_of", lambda _: [row, many])
    assert main.main(["check", str(RIVERSIDE)]) == main.DONE
    assert "holes 12" not in said(capsys)
    assert main.main(["check", str(RIVERSIDE), "--requests"]) == main.DONE
    shown = said(capsys)
    assert (
        "  inverter fast asks for holding:0-41 (holes 12-15, 30); input:9; once more holding:7\n"
        in shown
    )
    assert shown.count("coil:") == 100
    assert max(map(len, shown[shown.index("meter fast asks") :].splitlines())) <= 110
    assert main.main(["check", str(RIVERSIDE), "--json"]) == main.DONE
    assert json.loads(said(capsys))["reads"][0]["plan"] == [
        {"table": "holding", "first": 0, "last": 41, "holes": [[12, 15], [30, 30]], "again": False},
        {"table": "input", "first": 9, "last": 9, "holes": [], "again": False},
        {"table": "holding", "first": 7, "last": 7, "holes": [], "again": True},
    ]


@pytest.mark.parametrize("proven", [True, False])
def test_a_plan_that_may_not_be_the_best_is_said(
    proven: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Use("l", "inverter", "fast", 1.0, 4, 90, 20, 0.04, (), proven=proven)
    monkeypatch.setattr(check, "uses_of", lambda _: [row])
    assert main.main(["check", str(RIVERSIDE)]) == main.DONE
    assert ("inverter fast: the plan of reads is good, but not proven" in said(capsys)) != proven
    assert main.main(["check", str(RIVERSIDE), "--json"]) == main.DONE
    assert json.loads(said(capsys))["reads"][0]["proven"] is proven


def test_a_plan_that_no_point_shows_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "plants" / "x"
    (site / "standards").mkdir(parents=True)
    (site / "plant.toml").write_bytes((RIVERSIDE / "plant.toml").read_bytes())
    text = (RIVERSIDE.parents[1] / "standards" / "grade-3.toml").read_text(encoding="utf-8")
    text = text.replace('meter = "run_hours"', 'meter = "odometer"').replace('"run"', '"runs"')
    (site / "standards" / "grade-3.toml").write_text(text, encoding="utf-8")
    assert main.main(["check", str(site)]) == main.DONE
    shown = said(capsys)
    assert shown.count("is not observable") == 5
    assert (
        "plan grade-3/generator-trial-run@generator is not observable: there is no point generator/runs"
        in shown
    )


def test_a_wrong_plant_is_wrong_use_with_every_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "plants" / "x"
    site.mkdir(parents=True)
    text = (RIVERSIDE / "plant.toml").read_text(encoding="utf-8")
    (site / "plant.toml").write_text(
        text.replace("unit = 3", "unit = 300").replace("unit = 4", "unit = 248"), encoding="utf-8"
    )
    assert main.main(["check", str(site)]) == main.WRONG_USE
    shown = said(capsys)
    assert "devices.booster-a.unit: 300 is not in 1..247" in shown
    assert "devices.booster-b.unit: 248 is not in 1..247" in shown
    assert main.main(["check", str(tmp_path / "nowhere")]) == main.WRONG_USE
    assert "is no folder" in said(capsys)


def test_wrong_settings_are_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEWARD_HTTP_PORT", "many")
    monkeypatch.setenv("STEWARD_STORE", "paper")
    assert main.main(["check", str(RIVERSIDE)]) == main.WRONG_USE
    shown = said(capsys)
    assert "STEWARD_HTTP_PORT" in shown
    assert "duckdb, influxdb" in shown


@pytest.mark.parametrize(
    "command",
    ["report delivery", "report trends", "user list", "token list", "doctor", "agent reload --all"],
)
def test_without_a_server_commands_say_what_to_do(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path / "none"))
    assert main.main(command.split()) == main.UNAVAILABLE
    shown = said(capsys)
    assert "no server has run on the data folder" in shown
    assert "start one (./steward up PLANT" in shown


def test_a_demo_s_report_leaves_out_what_nothing_is_known_of() -> None:
    orders = {"opened": 1, "closed_by_readings": 0, "soonest_closed_by_readings_s": None}
    report = {"first_live_value_s": 2.5, "readings": {"lost": 0}, "alarms": {"raised": 1}, "work_orders": orders, "occurrences": {"due": 0}}  # fmt: skip
    assert demo.shown(report).splitlines() == [
        "first live value after 2.5 s",
        "readings: lost 0",
        "alarms: raised 1",
        "work orders: opened 1, closed by readings 0",
        "occurrences: due 0",
    ]


async def test_the_broker_says_where_it_listens_once_it_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, heard = free_port(), [""]
    write_passwords(tmp_path / "passwords", {"collector": "c"})
    running = asyncio.create_task(run_broker("127.0.0.1", port, tmp_path / "passwords", {}))

    def spoke() -> bool:
        heard[0] += said(capsys)
        return "\n" in heard[0]

    try:
        await until(spoke, 30)
        socket.create_connection(("127.0.0.1", port), 5).close()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert heard == [f"steward broker: ready, listens at 127.0.0.1:{port}\n"]


def test_a_ledger_is_migrated_or_said_to_be_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["migrate", "--url", f"sqlite:///{tmp_path / 'ledger.db'}"]) == main.DONE
    assert main.main(["migrate", "--url", f"sqlite:///{tmp_path / 'no' / 'ledger.db'}"]) == 3
    assert "cannot be reached" in said(capsys)


def test_lock_files_are_pinned_and_name_no_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["lock", "--check"]) == main.DONE
    assert "name no host" in said(capsys)


def test_a_lock_file_without_hashes_or_with_a_host_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    (tmp_path / "x.txt").write_text(
        "numpy==2.0\n--index-url https://example.invalid/\n", encoding="utf-8"
    )
    assert lock.check() == 1
    shown = said(capsys)
    assert "names a host" in shown
    assert "numpy==2.0 has no hash" in shown


def test_a_step_of_lint_that_fails_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert not linting._step(
        "planted", [sys.executable, "-c", "import sys; print('why'); sys.exit(1)"]
    )
    assert linting._step("sound", [sys.executable, "-c", ""])
    shown = said(capsys)
    assert "NO  planted" in shown
    assert "why" in shown


def test_an_unknown_scenario_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["simulate", "run", "doomsday"]) == main.WRONG_USE
    assert "standby-takes-over" in said(capsys)


@pytest.mark.usefixtures("unmeasured")
def test_a_scenario_prints_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = argparse.Namespace(
        what="run", scenario=["modbus-links-fail"], seed=None, real=False, json=True
    )
    assert simulate.run(arguments) == 0
    (verdict,) = json.loads(said(capsys))
    assert (verdict["scenario"], verdict["verdict"], verdict["seed"]) == (
        "modbus-links-fail",
        "yes",
        21,
    )
    assert all(row["ok"] for row in verdict["seen"])


def test_a_check_of_a_folder_reads_its_own_endpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEWARD_DATA", str(tmp_path))
    (tmp_path / "lines.json").write_text('{"a-pumps": "10.1.1.1:502"}', encoding="utf-8")
    assert check.run(argparse.Namespace(plant=str(RIVERSIDE), json=True)) == 0


# --- processes


def child(tmp_path: Path, code: str) -> Child:
    return Child(
        "child", [sys.executable, "-c", code], environment_with(), tmp_path / "logs" / "child.log"
    )


def gone(process: Child) -> bool:
    try:
        assert process.process is not None
        process.process.wait(10)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_what_dies_is_started_again_after_a_pause(tmp_path: Path) -> None:
    children = Children()
    one = children.start(child(tmp_path, "print('said', flush=True); raise SystemExit(7)"))
    assert gone(one)
    (said_,) = children.look()
    assert "ended with 7" in said_
    assert children.look() == []
    one.restart_at = time.monotonic() - 1
    assert children.look() == ["child runs again"]
    assert one.deaths == 1
    children.stop()
    assert "said" in (tmp_path / "logs" / "child.log").read_text()


def test_what_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    children = Children()
    ready = tmp_path / "ready"
    code = f"import signal, pathlib, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path({str(ready)!r}).touch(); threading.Event().wait()"
    one = children.start(child(tmp_path, code))
    deadline = time.monotonic() + 10
    while not ready.exists() and time.monotonic() < deadline:
        assert one.pid
    children.stop(patience_s=0.2)
    assert one.pid == 0
    assert one.process is not None
    assert one.process.returncode == -9


def test_a_restart_kills_first(tmp_path: Path) -> None:
    one = child(tmp_path, "import threading; threading.Event().wait()")
    one.start()
    first = one.pid
    one.restart()
    assert one.pid not in (0, first)
    Children([one]).stop(patience_s=5)
    assert one.look() != ""
