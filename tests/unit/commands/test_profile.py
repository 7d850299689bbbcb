import argparse
import asyncio
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from commands import main
from commands.profile import CSV_EXAMPLE
from commands.profile_line import add_line, line_of
from commands.profile_trial import points_of, try_device
from config.clock import ScaledClock
from config.load import LIBRARY, load_profile
from config.plant import Serial
from config.profile import Register
from simulators.modbus_server import ModbusServer
from simulators.telling import Holding, rounds
from tests.unit.edge.rows import line
from tests.unit.edge.serial_twin import SerialBus, sealed

LIST = "\n".join(line.strip() for line in CSV_EXAMPLE.splitlines())
PROFILES = LIBRARY / "profiles"
GENERATOR = str(PROFILES / "generator.toml")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text(LIST, encoding="utf-8")
    return tmp_path


def test_the_list_of_the_help_becomes_a_profile_that_tests_right(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["profile", "import", "list.csv", "--id", "acme", "--class", "meter"]) == main.DONE  # fmt: skip
    said = capsys.readouterr()
    assert "acme.toml: profile acme, 3 points" in said.out
    assert "None of them has a class (Brick) or haystack markers" in said.out
    assert "./steward profile test acme.toml" in said.out
    assert said.err == ""
    profile = load_profile(here / "acme.toml")
    assert (profile.asset_class, [p.id for p in profile.points]) == ("meter", ["voltage_l1", "energy", "mode"])  # fmt: skip
    assert main.main(["profile", "test", "acme.toml"]) == main.DONE
    shown = capsys.readouterr().out
    assert "acme: 3 points right on its own simulator" in shown
    assert "ffff" in shown
    assert main.main(["profile", "test", "acme.toml", "--json"]) == main.DONE
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], len(found["points"])) == ("yes", 3)


@pytest.mark.parametrize("order", ["CDABGHEF", "EFGHABCD", "GHEFCDAB"])
def test_an_order_of_four_words_is_proven_by_values_that_a_wrong_one_would_change(
    order: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "list.csv").write_text(f"id,address,type,order\ntotal,40001,uint64,{order}\n", encoding="utf-8")  # fmt: skip
    assert main.main(["profile", "import", "list.csv"]) == main.DONE
    assert capsys.readouterr().err == ""
    assert main.main(["profile", "test", "list.toml", "--json"]) == main.DONE
    (point,) = json.loads(capsys.readouterr().out)["points"]
    (register,) = [p.source for p in load_profile(here / "list.toml").points]
    assert isinstance(register, Register)
    assert register.order in (order, "CDAB")
    assert point["values"] > 4


def test_a_list_of_a_chinese_spreadsheet_keeps_its_names_and_says_how_it_was_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "名称,地址,类型,倍率,单位\r\nA相电流,40032,uint16,0.01,A\r\n温度㎡,40033,int16,0.1℃,\r\n"
    (here / "list.csv").write_bytes(text.encode("gb18030"))
    assert main.main(["profile", "import", "list.csv"]) == main.DONE
    assert "the file is not UTF-8 and was read as GB 18030" in capsys.readouterr().err
    points = load_profile(here / "list.toml").points
    assert [(p.name["zh"], p.unit) for p in points] == [("A相电流", "A"), ("温度㎡", "°C")]
    (here / "list.csv").write_text(text, encoding="utf-8")
    assert main.main(["profile", "import", "list.csv", "--force"]) == main.DONE
    assert "GB 18030" not in capsys.readouterr().err


def test_what_is_left_out_is_listed_with_its_reason(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "list.csv").write_text("id,address,fc,unit\nstart,1,6,\nflow,2,3,furlong\n", encoding="utf-8")  # fmt: skip
    assert main.main(["profile", "import", "list.csv"]) == main.DONE
    said = capsys.readouterr()
    assert "start: LEFT OUT: can only be written" in said.err
    assert "flow: unit 'furlong' is not in config/units.toml" in said.err
    assert "1 points, 1 registers left out" in said.out
    (here / "list.csv").write_text("id,address,fc\nstart,1,6\n", encoding="utf-8")
    assert main.main(["profile", "import", "list.csv", "-o", "none.toml"]) == main.WRONG_USE
    assert "no register of list.csv can be a point" in capsys.readouterr().err
    assert not (here / "none.toml").exists()


def test_a_file_that_is_there_is_not_overwritten_unasked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "list.toml").write_text("mine", encoding="utf-8")
    assert main.main(["profile", "import", "list.csv"]) == main.WRONG_USE
    assert "list.toml is there already; --force" in capsys.readouterr().err
    assert (here / "list.toml").read_text(encoding="utf-8") == "mine"
    assert main.main(["profile", "import", "list.csv", "--force"]) == main.DONE
    assert load_profile(here / "list.toml").id == "list"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.csv", b"id,address\nx,here\n", "l.csv: row 2.address"),
        ("l.csv", b"id,address\n\xff\xfe,1\n", "l.csv: is not UTF-8: byte 11"),
        ("l.csv", "id,address,unit\nx,40001,°C\ny,40002,µS\n".encode("cp1252"), "l.csv: is not UTF-8: byte 24"),
        ("l.csv", "id,address,name\nx,40001,Öldruck für Lüfter\n".encode("cp1252"), "l.csv: is not UTF-8: byte 24"),
        ("l.csv", "id,address,name\nx,40001,電壓異常\n".encode("big5"), "l.csv: is not UTF-8: byte 24"),
        ("l.csv", b"id,address\nx\0,40001", "l.csv: holds a zero byte"),
        ("l.csv", b"x" * (4 * 1024 * 1024 + 1), "l.csv: is larger than 4 MiB"),
        ("l.xlsx", b"PK\x03\x04\x14", "l.xlsx: is a workbook: save its sheet as CSV UTF-8"),
        ("l.json", b"{", "l.json: is not JSON"),
        ("l.json", b'{"points": [{"id": 3}]}', "l.json: points[0].id: 3 is not a text"),
        ("l.json", b'{"points": 1e999}', "l.json: points"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_wrong_use(
    name: str, content: bytes, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / name).write_bytes(content)
    assert main.main(["profile", "import", name]) == main.WRONG_USE
    assert said in capsys.readouterr().err
    assert [path.name for path in here.glob("*.toml")] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import", "nowhere.csv"], "nowhere.csv: cannot be read: No such file"),
        (["import", "list.csv", "--id", "A B"], "perhaps 'a-b'"),
        (["import", "list.csv", "-o", "no/where.toml"], "cannot be written"),
        (["import", "list.csv", "-o", "/"], "/ is there already"),
        (["import", "list.csv", "-o", "/", "--force"], "cannot be written: Is a directory"),
        (["test", "nowhere.toml"], "nowhere.toml: is missing"),
        (["test", str(PROFILES / "sump-pit.toml")], "of protocol mqtt; only Modbus"),
        (["test", str(PROFILES / "rtsp-camera.toml")], "of protocol camera; only Modbus"),
        (["test", str(PROFILES / "fire-transmission.toml")], "of protocol gb26875; only Modbus"),
        (["test", str(PROFILES / "sump-pit.toml")], "./steward check PLANT, and compare"),
        (
            ["test", str(PROFILES / "generator.toml"), "--unit", "248"],
            "248 is not in 1..247, 0 or 255",
        ),
        (["test", str(PROFILES / "generator.toml"), "--timeout", "0"], "0 is not above 0"),
        (
            ["test", GENERATOR, "--against", "h:502", "--parity", "odd"],
            "--parity means nothing over",
        ),
        (["test", GENERATOR, "--stop-bits", "2"], "--stop-bits means nothing over Modbus TCP"),
        (["test", GENERATOR, "--against", "/dev/x", "--baud", "5"], "5 is not in 300..4000000"),
        (
            ["test", GENERATOR, "--against", "/dev/x", "--unit", "255"],
            "255 is not in 1..247, as a serial",
        ),
        (
            ["test", GENERATOR, "--against", "h:502", "--rtu", "--unit", "0"],
            "0 is not in 1..247, as a",
        ),
        (["test", GENERATOR, "--rtu"], "there is no --against"),
        (["test", str(PROFILES / "generator.toml"), "--against", "there"], "is not HOST:PORT"),
        (["test", str(PROFILES / "generator.toml"), "--against", "h:70000"], "is not HOST:PORT"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_wrong_words_are_wrong_use(
    words: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert os.getcwd() == str(here)  # noqa: PTH109  # where the files land
    assert main.main(["profile", *words]) == main.WRONG_USE
    assert said in capsys.readouterr().err


def test_of_a_device_that_is_not_there_nothing_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["profile", "test", str(PROFILES / "generator.toml"), "--against", "127.0.0.1:1"]
    assert main.main(words) == main.UNAVAILABLE
    said = capsys.readouterr()
    assert "cannot connect to 127.0.0.1:1" in said.err
    assert "127.0.0.1:1 was not reached: nothing is known" in said.out
    assert "NO " not in said.out
    assert main.main([*words, "--json"]) == main.UNAVAILABLE
    assert json.loads(capsys.readouterr().out)["verdict"] == "unknown"


@pytest.mark.parametrize("unit", [0, 255])
async def test_devices_that_answer_as_unit_0_or_255_are_read(unit: int) -> None:
    profile = load_profile(PROFILES / "generator.toml")
    holding = Holding(unit, profile.limits)
    one = next(iter(rounds(points_of(profile))))
    holding.words = one.words
    server = ModbusServer(holding, ScaledClock())
    port = await server.start()
    try:
        results, _ = await try_device(
            profile, line(host="127.0.0.1", port=port, timeout_s=5.0), unit
        )
    finally:
        await server.close()
    told = {told.point.removeprefix("device/"): told.quality for told in one.told}
    assert told
    assert {r.point: r.seen.quality for r in results if r.point in told} == told


@pytest.mark.parametrize(
    ("words", "kind", "serial"),
    [
        (["10.0.3.7:502"], "tcp", None),
        (["[::1]:502"], "tcp", None),
        (["/dev/ttyUSB0"], "rtu", Serial(9600, "even", 1)),
        (["/dev/ttyUSB0", "--baud", "19200", "--parity", "none"], "rtu", Serial(19_200, "none", 2)),
        (["/dev/ttyUSB0", "--parity", "odd", "--stop-bits", "2"], "rtu", Serial(9600, "odd", 2)),
        (["10.0.3.7:4001", "--rtu", "--baud", "4800"], "rtu_over_tcp", Serial(4800, "even", 1)),
    ],
)
def test_a_line_of_the_command_is_one_of_a_plant(
    words: list[str], kind: str, serial: Serial | None
) -> None:
    parser = argparse.ArgumentParser()
    add_line(parser)
    line = line_of(parser.parse_args(["--against", *words]))
    assert line is not None
    assert (line.kind, line.serial, line.path) == (kind, serial, words[0] if kind == "rtu" else "")
    assert (line.host, line.port) == (("", 0) if kind == "rtu" else (words[0].rpartition(":")[0].strip("[]"), int(words[0].rpartition(":")[2])))  # fmt: skip


def holder_of(words: Sequence[int], unit: int, functions: set[int]) -> Callable[[bytes], bytes]:
    """A device on a serial bus that holds these words from address 0 on; others are silent."""

    def answer(request: bytes) -> bytes:
        at, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        functions.add(request[1])
        data = b"".join(word.to_bytes(2, "big") for word in words[at : at + count])
        return sealed(bytes((unit, request[1], len(data))) + data) if request[0] == unit else b""

    return answer


async def test_a_device_on_a_serial_port_is_only_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["profile", "import", "list.csv", "--id", "acme"]) == main.DONE
    functions: set[int] = set()
    words = [2301, 0, 0x4D2, 0, *[0] * 5, 1]
    async with SerialBus(
        Serial(115_200, "none", 2), holder_of(words, 7, functions)
    ).running() as bus:
        said = ["profile", "test", "acme.toml", "--against", bus.path, "--baud", "115200", "--parity", "none", "--unit"]  # fmt: skip
        assert await asyncio.to_thread(main.main, [*said, "7", "--stop-bits", "2"]) == main.DONE  # fmt: skip
        shown = capsys.readouterr().out
        assert re.search(r"voltage_l1 +08fd +230\.1 V +good", shown)
        assert re.search(r"energy +04d2 0000 +12\.34 kWh +good", shown)
        assert f"3 points right on {bus.path} unit 7" in shown
        assert await asyncio.to_thread(main.main, [*said, "8", "--timeout", "0.05"]) == main.NO
        assert "no_answer" in capsys.readouterr().out
    assert functions == {3}
    assert await asyncio.to_thread(main.main, [*said, "7"]) == main.UNAVAILABLE
    assert f"{bus.path} was not reached" in capsys.readouterr().out


async def test_a_device_behind_a_gateway_of_serial_frames_is_only_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    profile = load_profile(PROFILES / "generator.toml")
    one = next(iter(rounds(points_of(profile))))
    server = ModbusServer(Holding(7, profile.limits, one.words), ScaledClock(), rtu=True)
    port = await server.start()
    said = ["profile", "test", str(PROFILES / "generator.toml"), "--unit", "7", "--timeout", "2", "--json"]  # fmt: skip
    try:
        where = ["--against", f"127.0.0.1:{port}"]
        await asyncio.to_thread(main.main, [*said, *where, "--rtu", "--baud", "115200"])
        found = {row["point"]: row for row in json.loads(capsys.readouterr().out)["points"]}
        told = {told.point.removeprefix("device/"): told for told in one.told}
        assert told
        assert {name: found[name]["value"] for name in told} == {name: one.wanted for name, one in told.items()}  # fmt: skip
        # what speaks serial frames does not speak Modbus TCP
        assert await asyncio.to_thread(main.main, [*said, *where]) != main.DONE
    finally:
        await server.close()
    assert set(server.functions) <= {1, 2, 3, 4}


def test_the_help_names_every_column_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["profile", "import", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("sentinels", "function code", "40001", "voltage_l1"))
