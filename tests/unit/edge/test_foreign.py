"""A protocol that an installed package brings: found by name, read like any other, and no harm to other lines."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from commands.edge import Readers
from config.clock import SteppedClock
from config.load import load_plant
from config.mistakes import ConfigErrors
from config.plant import Plant, Secret
from config.profile import Foreign
from config.settings import read_settings
from edge import fencing, foreign
from edge.fencing import Passwords
from edge.foreign import ForeignReader
from edge.poller import Poller
from edge.ports import PointReading
from edge.readings import QUALITY_NAMES
from tests.waiting import until

PROFILE = """
profile = "thermostat"
version = 1
name = { en = "Thermostat" }
protocol = "bacnet"
class = "thermostat"

[parts.zone]
count = 2
name = { en = "Zone {n}" }

[points."zone.temperature"]
name = { en = "Temperature" }
at = "analog-input,{n}"
unit = "°C"
"""
PLANT = """
site = "tower"
name = { en = "Tower" }
time_zone = "Asia/Shanghai"

[lines.rooms]
agent = "e"
reader = "bacnet"
at = "10.0.0.0/24"
timeout = "30s"
password = { secret = "rooms" }

[devices.t]
profile = "thermostat"
line = "rooms"
unit = "4711"
asset = "rooms"

[assets.rooms]
name = { en = "Rooms" }
system = "secondary-water"
"""
CODE = """
import asyncio, itertools, sys
from edge.ports import PointReading, ReadResult

class Bacnet:
    def __init__(self, line, devices, clock, password_of):
        self.line, self.devices, self.clock = line, devices, clock
        self.word = password_of(line.secret)

    async def read(self, device, points):
        told = [(p, float(p.source.at.partition(",")[2])) for p in points]
        at = self.clock.now()
        return ReadResult([PointReading(p.id, value, 0, at) for p, value in told])

    def forget(self, device):
        pass

    def words(self):
        return f"{len(self.devices)} devices at {self.line.path}"

    async def close(self):
        pass
"""
BROKEN = {
    "no such module": "import nothing_of_that_name",
    "no such name": "Bacnot = 1",
    "made wrongly": "def Bacnet(*_):\n    raise RuntimeError('no licence')",
    "ends the process": "import sys\nsys.exit(3)",
}
PACKAGE = "reader bacnet of package steward-bacnet 1.2"
RETURN = "return ReadResult([PointReading(p.id, value, 0, at) for p, value in told])"
WRONG = {
    "no result": ("return None", "a read gave NoneType, no ReadResult"),
    "no readings": ("return ReadResult(None)", "TypeError: 'NoneType' object is not iterable"),
    "no end of readings": (
        "return ReadResult(itertools.repeat(PointReading(told[0][0].id, 1.0, 0, at)))",
        "a read gave more than 20000 readings",
    ),
    "a value that is text": (RETURN.replace("value, 0", "'21.5', 0"), "rooms/zone-1/temperature is told with a value that is str, no float"),
    "a quality of others": (RETURN.replace("value, 0", "value, 192"), "rooms/zone-1/temperature is told with quality 192, which is none"),
    "a quality that is a truth": (RETURN.replace("value, 0", "value, True"), "rooms/zone-1/temperature is told with a quality that is bool, no int"),
    "a time with fractions": (RETURN.replace(", at)", ", at * 1.0)"), "rooms/zone-1/temperature is told with a time that is float, no int"),
    "a time in ns": (RETURN.replace(", at)", ", 10**18)"), f"rooms/zone-1/temperature is told of time {10**18}, which is not now in UTC milliseconds"),
    "a time in s": (RETURN.replace(", at)", ", 1763700000)"), "rooms/zone-1/temperature is told of time 1763700000, which is not now in UTC milliseconds"),
    "a fact that is a number": ("return ReadResult([], facts={told[0][0].id: 12345})", "the fact rooms/zone-1/temperature is int, no text"),
    "a fact that nobody can send": ("return ReadResult([], facts={told[0][0].id: '\\ud800'})", "the fact rooms/zone-1/temperature holds what is no Unicode text"),
    "a long fact": ("return ReadResult([], facts={told[0][0].id: 'x' * 501})", "the fact rooms/zone-1/temperature is longer than 500 characters"),
    "a detail that is no text": ("return ReadResult([], lost=True, detail=5)", "TypeError: int is no text"),
}  # fmt: skip
"""What `read` ends with, and how the line is lost by it."""
RAISES = {
    "a task of its own was cancelled": (
        "t = asyncio.ensure_future(asyncio.sleep(10)); t.cancel(); await t", "CancelledError: ",
    ),
    "it cancels itself": ("asyncio.current_task().cancel(); await asyncio.sleep(0)", "CancelledError: "),
    "it ends the process": ("sys.exit('bye')", "SystemExit: bye"),
    "it cannot be told": ("raise type('E', (Exception,), {'__str__': lambda self: 1})", "E"),
}  # fmt: skip
Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lays a package on the path as pip would, that brings the reader `bacnet` with this code."""
    path = tmp_path / "packages"
    about = path / "steward_bacnet-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: steward-bacnet\nVersion: 1.2\n")
    points = "[steward.readers]\nbacnet = steward_bacnet:Bacnet\n"
    (about / "entry_points.txt").write_text(points)
    monkeypatch.setenv("STEWARD_SECRET_ROOMS", "word")

    def lay(code: str) -> None:
        (path / "steward_bacnet.py").write_text(code)
        monkeypatch.syspath_prepend(str(path))

    yield lay
    sys.modules.pop("steward_bacnet", None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plants" / "tower"
    (folder / "profiles").mkdir(parents=True)
    (folder / "plant.toml").write_text(PLANT, encoding="utf-8")
    (folder / "profiles" / "thermostat.toml").write_text(PROFILE, encoding="utf-8")
    return folder


async def polled(plant: Plant, reads: int = 3) -> tuple[list[PointReading], Poller]:
    """What the line `rooms` tells in so many reads, read as `steward edge` reads it."""
    clock, told = SteppedClock(), list[PointReading]()
    reader = Readers(read_settings(), clock).make(plant, plant.lines["rooms"])
    poller = Poller(plant, "rooms", reader, clock, np.random.default_rng(1))
    task = asyncio.ensure_future(poller.run(told.extend))
    async with asyncio.timeout(60):
        while poller.stats.reads < reads:  # threads and timeouts take real time
            await clock.advance(0.5)
            await asyncio.sleep(0.001)
    await clock.advance(0.0)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    return told, poller


async def test_a_reader_that_a_package_brings_reads_what_its_profile_says(
    folder: Path, install: Install
) -> None:
    install(CODE)
    plant = load_plant(folder)
    sources = {point.source for point in plant.points.values() if point.device == "t"}
    assert sources == {Foreign("analog-input,1"), Foreign("analog-input,2")}
    told, poller = await polled(plant)
    assert {(r.point, r.value) for r in told} == {
        ("rooms/zone-1/temperature", 1.0), ("rooms/zone-2/temperature", 2.0),
    }  # fmt: skip
    assert poller.words(1.0).endswith("; 1 devices at 10.0.0.0/24")


@pytest.mark.parametrize("name", BROKEN)
async def test_a_package_that_cannot_be_used_is_named_and_its_line_is_down(
    name: str, folder: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(BROKEN[name])
    told, poller = await polled(load_plant(folder))
    assert {QUALITY_NAMES[r.quality] for r in told} == {"link_down"}
    lost = [r.getMessage() for r in caplog.records if "line rooms lost" in r.getMessage()]
    assert len(lost) == 1
    assert "reader bacnet of package steward-bacnet 1.2 cannot be used: " in lost[0]
    assert poller.words(1.0).endswith("package steward-bacnet 1.2 cannot be used")


async def test_what_a_reader_raises_stays_on_its_line(
    folder: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(CODE.replace("told = [", "raise KeyError(device.id)\n        told = [").replace("        pass", "        raise OSError('gone')"))  # fmt: skip
    told, _ = await polled(load_plant(folder))
    assert {QUALITY_NAMES[r.quality] for r in told} == {"link_down"}
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert (
        "line rooms lost: reader bacnet of package steward-bacnet 1.2 failed: KeyError: 't'" in said
    )
    assert "reader bacnet of package steward-bacnet 1.2 failed: OSError: gone" in said, "at its end too"  # fmt: skip


async def test_a_package_that_was_taken_away_meanwhile_is_said(
    folder: Path, install: Install
) -> None:
    install(CODE)
    plant = load_plant(folder)
    (line,) = plant.lines.values()
    sys.path.remove(str(folder.parents[1] / "packages"))
    reader = ForeignReader(line, [], SteppedClock(), lambda _: "")
    result = await reader.read(plant.devices["t"], list(plant.points.values())[:1])
    assert (result.lost, result.line_lost, result.detail) == (
        True,
        True,
        "reader bacnet is not installed",
    )


def reader_of(plant: Plant, timeout_s: float = 30.0) -> ForeignReader:
    line = replace(plant.lines["rooms"], timeout_s=timeout_s)
    devices = list(plant.devices.values())
    return ForeignReader(line, devices, SteppedClock(), lambda _: "word")


async def read(reader: ForeignReader, plant: Plant) -> tuple[list[str], str]:
    """Qualities of one read of the thermostat, and why it is lost."""
    points = [point for point in plant.points.values() if point.device == "t"]
    result = await reader.read(plant.devices["t"], points)
    assert [reading.point for reading in result.readings] == [point.id for point in points]
    return [QUALITY_NAMES[reading.quality] for reading in result.readings], result.detail


@pytest.mark.parametrize("name", WRONG)
async def test_what_no_reader_may_tell_is_its_lines_loss(
    name: str, folder: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    code, why = WRONG[name]
    install(CODE.replace(RETURN, code))
    told, poller = await polled(load_plant(folder))
    assert {(r.value, QUALITY_NAMES[r.quality]) for r in told} == {(None, "link_down")}
    assert {type(r.time) for r in told} == {int}
    assert (poller.stats.faults, poller.facts) == (0, {})
    assert f"line rooms lost: {PACKAGE} is wrong: {why}" in caplog.messages


@pytest.mark.parametrize("name", RAISES)
async def test_whatever_a_reader_raises_its_line_goes_on(
    name: str, folder: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    code, why = RAISES[name]
    install(CODE.replace(RETURN, code))
    told, _ = await polled(load_plant(folder))
    assert {QUALITY_NAMES[r.quality] for r in told} == {"link_down"}
    assert f"line rooms lost: {PACKAGE} failed: {why}" in caplog.messages


async def test_a_read_that_does_not_return_is_no_answer_of_its_device_alone(
    folder: Path, install: Install
) -> None:
    install(CODE.replace(RETURN, f"{RETURN} if len(told) < 2 else await asyncio.Future()"))
    plant = load_plant(folder)
    reader = reader_of(plant)
    first = [point for point in plant.points.values() if point.device == "t"][:1]
    assert [r.value for r in (await reader.read(plant.devices["t"], first)).readings] == [1.0]
    reader._line = replace(reader._line, timeout_s=0.01)
    assert await read(reader, plant) == (["no_answer"] * 2, f"{PACKAGE} gave nothing within 0.01 s")
    result = await reader.read(plant.devices["t"], first)
    assert (result.lost, result.readings[0].value) == (False, 1.0)


async def test_a_read_that_cannot_be_ended_is_not_begun_a_second_time(
    folder: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fencing, "ENDING_S", 0.01)
    code = """if self.begun: return ReadResult([PointReading(p.id, value, 0, at) for p, value in told])
        self.begun.append(1)
        while not self.may_end.is_set():
            try: await self.may_end.wait()
            except asyncio.CancelledError: pass
        self.begun.append(2)"""
    install(CODE.replace(RETURN, code).replace("self.word =", "self.begun, self.may_end = [], asyncio.Event(); self.word ="))  # fmt: skip
    plant = load_plant(folder)
    reader = reader_of(plant)
    reader._inner = await reader._made()
    reader._line = replace(reader._line, timeout_s=0.01)
    assert (await read(reader, plant))[0] == ["no_answer"] * 2
    assert await read(reader, plant) == (["link_down"] * 2, f"{PACKAGE} goes on with a read that was ended")  # fmt: skip
    reader._inner.may_end.set()  # type: ignore[attr-defined]  # the package's own
    await until(lambda: len(reader._inner.begun) == 2)  # type: ignore[union-attr]  # as above
    assert (await read(reader, plant))[0] == ["good"] * 2


async def test_a_line_ends_whatever_its_reader_makes_of_it(
    folder: Path,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(foreign, "CLOSE_S", 0.01)
    install(CODE.replace("async def close(self):\n        pass", "async def close(self):\n        await asyncio.Future()"))  # fmt: skip
    await asyncio.wait_for(polled(load_plant(folder)), 10)
    assert f"{PACKAGE} does not close within 0.01 s" in caplog.messages


async def test_a_package_that_is_long_in_coming_holds_up_nothing_else(
    folder: Path, install: Install
) -> None:
    install(f"import threading\ngate = threading.Event()\ngate.wait(10)\n{CODE}")
    plant = load_plant(folder)
    reader = reader_of(plant, timeout_s=0.01)
    assert "steward_bacnet" not in sys.modules, "made, and not imported"
    assert (await read(reader, plant))[0] == ["link_down"] * 2
    await until(lambda: "steward_bacnet" in sys.modules)
    assert await read(reader, plant) == (["link_down"] * 2, f"{PACKAGE} is still being made")
    assert reader.words() == f"{PACKAGE} has not begun"
    sys.modules["steward_bacnet"].gate.set()
    await until(lambda: reader._making is not None and reader._making.done())
    assert (await read(reader, plant))[0] == ["good"] * 2


async def test_a_reader_that_could_not_be_made_is_made_when_it_can(
    folder: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("import itertools\nitertools.may_connect")
    plant = load_plant(folder)
    reader = reader_of(plant)
    for _ in range(3):
        assert (await read(reader, plant))[0] == ["link_down"] * 2
    assert len([m for m in caplog.messages if "cannot be read" in m]) == 1
    (folder.parents[1] / "packages" / "steward_bacnet.py").write_text(f"# mended\n{CODE}")
    assert (await read(reader, plant))[0] == ["good"] * 2


async def test_readings_of_what_was_not_asked_for_count_for_nobody(
    folder: Path, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither another device's point nor its fact; and what was asked for and not told is no answer."""
    code = """return ReadResult(
            [PointReading("boiler/pressure", 99.0, 0, at), PointReading(told[0][0].id, 1.0, 0, at)],
            facts={"boiler/serial": "4711"})"""
    install(CODE.replace(RETURN, code))
    told, poller = await polled(load_plant(folder))
    assert {(r.point, QUALITY_NAMES[r.quality]) for r in told} == {
        ("rooms/zone-1/temperature", "good"), ("rooms/zone-2/temperature", "no_answer"),
    }  # fmt: skip
    assert poller.facts == {}
    assert poller.words(1.0).endswith("; 6 readings of other points dropped")
    said = [m for m in caplog.messages if "boiler" in m]
    assert said == [f"{PACKAGE} tells of points that it was not asked for, as 'boiler/pressure': they are dropped, and counted"]  # fmt: skip


async def test_a_point_that_is_told_as_a_fact_needs_no_reading(
    folder: Path, install: Install
) -> None:
    install(CODE.replace(RETURN, "return ReadResult([], facts={p.id: 'A-7' for p, _ in told})"))
    told, poller = await polled(load_plant(folder))
    assert (told, set(poller.facts.values())) == ([], {"A-7"})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("21", (21.0, "good")), ("numpy.float32(21.5)", (21.5, "good")), ("50.0", (50.0, "out_of_expected_range")),
        ("9999.0", (None, "out_of_physical_range")), ("float('nan')", (None, "undecodable")), ("None", None),
    ],
)  # fmt: skip
async def test_values_are_judged_by_the_profile(
    value: str, told: tuple[float | None, str] | None, folder: Path, install: Install
) -> None:
    profile = folder / "profiles" / "thermostat.toml"
    profile.write_text(f"{PROFILE}range = [-40, 80]\nexpected = [0, 40]\n", encoding="utf-8")
    install(f"import numpy\n{CODE}".replace(RETURN, RETURN.replace("value, 0", f"{value}, 0")))
    readings, _ = await polled(load_plant(folder))
    found = {(r.value, QUALITY_NAMES[r.quality]) for r in readings}
    assert found == {told or (None, "link_down")}
    assert {type(r.value) for r in readings} <= {float, type(None)}


async def test_a_value_that_a_point_cannot_have_is_undecodable(
    folder: Path, install: Install
) -> None:
    profile = folder / "profiles" / "thermostat.toml"
    flag = PROFILE.replace('unit = "°C"', 'kind = "flag"')
    profile.write_text(flag, encoding="utf-8")
    install(CODE)
    told, _ = await polled(load_plant(folder))
    assert {(r.value, QUALITY_NAMES[r.quality]) for r in told} == {
        (1.0, "good"), (None, "undecodable"),
    }  # fmt: skip


async def test_a_doubt_of_the_readers_own_stays_where_the_ranges_have_none(
    folder: Path, install: Install
) -> None:
    install(CODE.replace(RETURN, RETURN.replace("value, 0", "value, 3 if value < 2 else 69")))
    told, _ = await polled(load_plant(folder))
    assert {(r.value, QUALITY_NAMES[r.quality]) for r in told} == {
        (1.0, "clock_suspect"), (None, "sensor_fault"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("5", f"{PACKAGE} failed"), ("1 / 0", f"{PACKAGE} failed"), ("sys.exit()", f"{PACKAGE} failed"),
        ("'log in as ' + self.word", "log in as …"), ("'a\\nb \\ud800'", "a b ?"), ("'x' * 9999", "x" * 500),
    ],
)  # fmt: skip
async def test_the_words_of_a_reader_are_one_line_of_text_without_its_password(
    words: str, said: str, folder: Path, install: Install
) -> None:
    install(CODE.replace('f"{len(self.devices)} devices at {self.line.path}"', words))
    reader = reader_of(load_plant(folder))
    await reader._made()
    reader._inner = await reader._made()
    assert reader.words() == said


@pytest.mark.parametrize(
    "code",
    [
        CODE.replace(RETURN, "raise OSError(f'no opc.tcp://joe:{self.word}@10.0.0.1: {self.word} is wrong')"),
        CODE.replace("self.word = password_of(line.secret)", "raise OSError(f'{password_of(line.secret)} is wrong')"),
        CODE.replace(RETURN, "return ReadResult([], lost=True, line_lost=True, detail=f'{self.word} is wrong')"),
        CODE.replace('f"{len(self.devices)} devices at {self.line.path}"', "1 / 0").replace("        pass", "        raise OSError(self.word)"),
    ],
)  # fmt: skip
async def test_no_password_stands_in_the_log(
    code: str,
    folder: Path,
    install: Install,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEWARD_SECRET_ROOMS", "hunter2")
    install(code)
    _, poller = await polled(load_plant(folder))
    assert "hunter2" not in poller.words(1.0)
    assert "line rooms" in caplog.text or "steward-bacnet" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "text",
    [r"pa/s\w@rd", r"at opc.tcp://joe:pa/s\w@rd@host", "http://joe:pa%2Fs%5Cw%40rd@host", r"sent 'pa/s\\w@rd'",
     "key=pa%2Fs%5Cw%40rd", "opc.tcp://ann:other@host", "in the plant: t0p/s", "or t0p%2Fs"],
)  # fmt: skip
def test_a_password_is_hidden_however_it_is_written(text: str) -> None:
    passwords = Passwords("opc.tcp://eve:t0p%2Fs@10.0.0.9", lambda _: r"pa/s\w@rd")
    passwords(Secret("rooms"))
    assert "…" in (said := passwords.line(text))
    assert not any(word in said for word in ("pa/s", "w@rd", "w%40rd", "other", "t0p"))


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(ConfigErrors) as found:
        load_plant(folder)
    return str(found.value).splitlines()


def test_a_reader_that_nobody_has_installed_is_a_mistake_with_what_is_allowed(
    folder: Path, install: Install
) -> None:
    assert mistakes(folder) == [
        "plants/tower/plant.toml: lines.rooms.reader: 'bacnet' is unknown; allowed: none, for no package that brings a reader is installed",
        "plants/tower/profiles/thermostat.toml: protocol: 'bacnet' is unknown; allowed: camera, gb26875, modbus, mqtt",
    ]  # fmt: skip
    install(CODE)
    path = folder / "plant.toml"
    path.write_text(PLANT.replace('"bacnet"', '"knx"'), encoding="utf-8")
    assert mistakes(folder) == [
        "plants/tower/plant.toml: lines.rooms.reader: 'knx' is unknown; allowed: bacnet",
        "plants/tower/plant.toml: devices.t.line: rooms is knx; thermostat needs reader = 'bacnet'",
    ]


def test_what_no_other_reader_uses_is_a_mistake(folder: Path, install: Install) -> None:
    install(CODE)
    path = folder / "profiles" / "thermostat.toml"
    path.write_text(f"{PROFILE}scale = 0.1\n[modbus]\nmax_words = 9\n", encoding="utf-8")
    found = mistakes(folder)
    assert any("points.zone.temperature.scale: is not used by a point of protocol bacnet" in m for m in found)  # fmt: skip
    assert any("modbus: is not used by protocol bacnet" in m for m in found)
