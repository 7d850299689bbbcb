from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config.clock import SteppedClock
from config.plant import Device, Point, PointSpec
from config.profile import FirePlace, FireValue, Kind
from edge.fire_centre import RESENT_S, TOLD_MAX, WAITING_READINGS_MAX, Centre, Watched
from edge.gb26875 import CONFIRM, DENY
from edge.ports import PointReading
from edge.readings import QUALITIES
from simulators.fire_frames import frame, read_answer, wall_time

START = 1_763_700_000_000
ZONE = ZoneInfo("Asia/Shanghai")
SILENCE_S = 90.0
DETECTOR = FirePlace("component", 1, 1, 10, 2)
SYSTEM = FirePlace("system", 1, 1)
BATTERY = FirePlace("analogue", 1, 1, 0, 1, 8)
GOOD, LINK_DOWN, NO_ANSWER, NOT_READ_YET = (
    QUALITIES[name] for name in ("good", "link_down", "no_answer", "not_read_yet")
)


def point(device: str, name: str, source: FireValue, kind: Kind = "flag", **more: Any) -> Point:
    spec = PointSpec({"en": name}, kind, "", source, longest_silence_s=180.0, **more)
    return Point(f"{device}/{name}", device, device, spec)


def watched(device: str, unit: int) -> Watched:
    points = (
        point(device, "zone_fire", FireValue(DETECTOR, 1, 40)),
        point(device, "zone_fault", FireValue(DETECTOR, 2, 40)),
        point(device, "fire", FireValue(SYSTEM, 1)),
        point(device, "mains", FireValue(FirePlace("device"), 3)),
        point(device, "battery", FireValue(BATTERY, None, 1, 0.001), "measurement", range=(0.0, 0.06), expected=(0.022, 0.029)),
    )  # fmt: skip
    return Watched(Device(device, "p", "l", device, unit=str(unit)), points, SILENCE_S)


def component(state: int, type: int = 40) -> bytes:
    return bytes((2, 1, 1, 1, type, 10, 0, 2, 0, state, 0)) + bytes(31) + bytes(6)


def system(state: int) -> bytes:
    return bytes((1, 1, 1, 1)) + state.to_bytes(2, "little") + bytes(6)


def battery(raw: int) -> bytes:
    return bytes((3, 1, 1, 1, 1, 0, 0, 1, 0, 8)) + raw.to_bytes(2, "little", signed=True) + bytes(6)


FIRE, QUIET = component(0b10), component(0b01)


class World:
    """Two devices of one line, 889 and 890, and a clock."""

    def __init__(self) -> None:
        self.clock = SteppedClock(START)
        self.centre = Centre([watched("a", 889), watched("b", 890)], self.clock, ZONE)
        self.serial = 0
        self.opened = 0

    def open(self) -> int:
        self.opened += 1
        self.centre.opened(self.opened)
        return self.opened

    def send(
        self, link: int, data: bytes = b"", unit: int = 889, serial: int | None = None, command: int = 2
    ) -> list[int]:  # fmt: skip
        """Commands of the answers to one frame."""
        if serial is None:
            self.serial += 1
        now = wall_time(self.clock.now(), ZONE)
        raw = frame(self.serial if serial is None else serial, (unit, 88888), now, data, command)
        return commands(self.centre.arrived(link, raw).answers)

    def read(self, device: str = "a") -> dict[str, list[tuple[float | None, int]]]:
        found: dict[str, list[tuple[float | None, int]]] = {}
        for reading in self.centre.readings(device):
            name = reading.point.partition("/")[2]
            found.setdefault(name, []).append((reading.value, reading.quality))
        return found

    async def wait(self, seconds: float) -> None:
        await self.clock.advance(seconds)


def commands(raw: bytes) -> list[int]:
    answers = [read_answer(raw[at : at + 30]) for at in range(0, len(raw), 30)]
    assert None not in answers
    return [answer.command for answer in answers if answer]


def every(quality: int) -> dict[str, list[tuple[float | None, int]]]:
    return {
        name: [(None, quality)] for name in ("zone_fire", "zone_fault", "fire", "mains", "battery")
    }


@pytest.fixture
def world() -> World:
    return World()


async def test_a_state_is_confirmed_and_read_by_its_bits(world: World) -> None:
    link = world.open()
    assert world.read() == every(NOT_READ_YET)
    assert world.send(link, FIRE) == [CONFIRM]
    got = world.read()
    assert (got["zone_fire"], got["zone_fault"]) == ([(1.0, GOOD)], [(0.0, GOOD)])
    assert got["fire"] == [(None, NOT_READ_YET)]
    assert world.send(link, QUIET) == [CONFIRM]
    assert world.read() == {"zone_fire": [(0.0, GOOD)], "zone_fault": [(0.0, GOOD)]}


async def test_every_change_between_two_reads_is_handed_on_each_with_an_instant_of_its_own(world: World) -> None:  # fmt: skip
    link = world.open()
    for state in (FIRE, QUIET, FIRE):
        world.send(link, state)
    told = [r for r in world.centre.readings("a") if r.point == "a/zone_fire"]
    assert [(r.value, r.time - START) for r in told] == [(1.0, 0), (0.0, 1), (1.0, 2)]


async def test_a_fire_in_test_is_a_fire(world: World) -> None:
    """Bit 0 is 0 in all three published fires: it holds no alarm back."""
    world.send(world.open(), system(0b10))
    assert world.read()["fire"] == [(1.0, GOOD)]


async def test_another_component_at_the_place_is_heard_and_not_good(world: World) -> None:
    link = world.open()
    world.send(link, component(0b10, type=23))
    assert world.read()["zone_fire"] == [(1.0, QUALITIES["substituted"])]


@pytest.mark.parametrize(
    ("raw", "value", "quality"),
    [
        (274, 0.0274, "good"), (210, 0.021, "out_of_expected_range"), (700, None, "out_of_physical_range"),
        (-1, None, "out_of_physical_range"), (32_767, None, "out_of_physical_range"),
    ],
)  # fmt: skip
async def test_a_measured_value_is_in_the_unit_of_its_point_and_within_its_ranges(
    world: World, raw: int, value: float | None, quality: str
) -> None:
    world.send(world.open(), battery(raw))
    assert world.read()["battery"] == [
        (pytest.approx(value) if value is not None else None, QUALITIES[quality])
    ]


async def test_what_was_told_holds_while_there_are_heartbeats(world: World) -> None:
    link = world.open()
    world.send(link, FIRE)
    world.read()
    for _ in range(4):
        await world.wait(30)
        assert world.read().get("zone_fire") is None  # nothing has come since
        world.send(link)
        told = {r.point: r for r in world.centre.readings("a")}
        assert told["a/zone_fire"] == PointReading("a/zone_fire", 1.0, GOOD, world.clock.now())


async def test_a_measured_value_is_stale_when_it_was_told_too_long_ago_and_a_state_is_not(
    world: World,
) -> None:
    """A device that tells a value when it changes may have lost it; only a heartbeat says nothing of it."""
    link = world.open()
    world.send(link, FIRE)
    world.send(link, battery(270))
    world.read()
    told = []
    for _ in range(4):
        await world.wait(60)
        world.send(link)
        got = world.read()
        assert got["zone_fire"] == [(1.0, GOOD)]
        told += got["battery"]
    stale = (0.027, QUALITIES["stale_source"])
    assert told == [(0.027, GOOD)] * 3 + [stale], "told 60, 120, 180 and 240 s ago"
    world.send(link, battery(250))
    assert world.read()["battery"] == [(0.025, GOOD)]
    await world.wait(60)
    world.send(link)
    assert world.read()["battery"] == [(0.025, GOOD)]


async def test_silence_is_no_answer_once_a_period_and_then_all_is_unknown_until_told(world: World) -> None:  # fmt: skip
    link = world.open()
    world.send(link, FIRE)
    world.read()
    await world.wait(SILENCE_S)
    assert world.read() == {name: [(None, NOT_READ_YET)] for name in ("fire", "mains", "battery")}
    await world.wait(0.5)
    assert world.read() == every(NO_ANSWER)
    await world.wait(5)
    assert world.read() == {}
    await world.wait(5)
    assert world.read() == every(NO_ANSWER)
    world.send(link)
    assert world.read() == every(NOT_READ_YET)
    world.send(link, QUIET)
    assert world.read()["zone_fire"] == [(0.0, GOOD)]


async def test_a_link_that_is_gone_is_link_down_and_short_gaps_lose_nothing(world: World) -> None:
    link = world.open()
    world.send(link, FIRE)
    world.read()
    world.centre.closed(link)
    assert world.read() == every(LINK_DOWN)
    await world.wait(RESENT_S)
    world.send(world.open())
    assert world.read()["zone_fire"] == [(1.0, GOOD)]


async def test_after_a_longer_gap_nothing_is_known(world: World) -> None:
    link = world.open()
    world.send(link, FIRE)
    world.centre.closed(link)
    world.centre.closed(link)
    await world.wait(RESENT_S + 1)
    world.read()
    world.send(world.open())
    assert world.read() == every(NOT_READ_YET)


async def test_a_device_that_never_came_is_link_down_after_its_silence(world: World) -> None:
    assert world.read() == every(NOT_READ_YET)
    await world.wait(SILENCE_S + 1)
    assert world.read() == every(LINK_DOWN)


async def test_a_new_connection_of_a_device_ends_the_old_one(world: World) -> None:
    old, new = world.open(), world.open()
    world.send(old, FIRE)
    raw = frame(1, (889, 88888), wall_time(START, ZONE))
    assert world.centre.arrived(new, raw).over == (old,)
    world.centre.closed(old)
    assert world.read()["zone_fire"] == [(1.0, GOOD)]


async def test_two_devices_never_mix_even_on_one_connection(world: World) -> None:
    one, two = world.open(), world.open()
    world.send(one, FIRE, 889)
    world.send(two, QUIET, 890)
    assert world.read("a")["zone_fire"] == [(1.0, GOOD)]
    assert world.read("b")["zone_fire"] == [(0.0, GOOD)]
    world.send(one, FIRE, 890)
    assert "zone_fire" not in world.read("a")
    assert world.read("b")["zone_fire"] == [(1.0, GOOD)]


async def test_a_stranger_gets_no_answer(world: World) -> None:
    link = world.open()
    assert world.send(link, FIRE, unit=7) == []
    assert (world.centre.stats.strangers, world.centre.is_stranger(link)) == (1, True)
    bad = bytearray(frame(5, (7, 88888), wall_time(START, ZONE), FIRE))
    bad[-3] ^= 1  # the checksum
    assert world.centre.arrived(link, bytes(bad)).answers == b"", "nor one that cannot be believed"
    assert (world.centre.stats.bad, world.centre.stats.denied) == ({"bad_checksum": 1}, 0)
    world.send(link, FIRE)
    assert not world.centre.is_stranger(link)


@pytest.mark.parametrize("command", [0, 1, 4, 7, 127, 128, 255])
async def test_what_no_device_may_send_is_denied(world: World, command: int) -> None:
    assert world.send(world.open(), command=command) == [DENY]


@pytest.mark.parametrize("command", [3, 5, 6])
async def test_an_answer_is_never_answered(world: World, command: int) -> None:
    link = world.open()
    assert world.send(link, FIRE, command=command) == []
    assert world.centre.stats.unasked == 1
    assert world.read() == every(NOT_READ_YET)
    bad = bytearray(frame(5, (889, 1), wall_time(START, ZONE), command=command))
    bad[-3] ^= 1
    assert world.centre.arrived(link, bytes(bad)).answers == b""


async def test_a_wrong_checksum_and_a_wrong_count_are_denied_and_not_read(world: World) -> None:
    link = world.open()
    bad = bytearray(frame(5, (889, 1), wall_time(START, ZONE), FIRE))
    bad[40] ^= 1
    assert commands(world.centre.arrived(link, bytes(bad)).answers) == [DENY]
    assert world.send(link, FIRE[:-1]) == [DENY]
    assert world.send(link, FIRE + b"\0") == [DENY]
    assert world.centre.stats.bad == {"bad_checksum": 1, "bad_data": 2}
    assert world.read() == every(NOT_READ_YET)


async def test_a_frame_sent_again_after_a_later_one_is_confirmed_and_not_news(world: World) -> None:
    link = world.open()
    assert world.send(link, FIRE, serial=5) == [CONFIRM]
    assert world.send(link, QUIET, serial=6) == [CONFIRM]
    assert world.send(link, FIRE, serial=5) == [CONFIRM]
    assert world.read()["zone_fire"] == [(1.0, GOOD), (0.0, GOOD)]
    assert world.centre.stats.repeated == 1


async def test_a_device_that_never_counts_its_frames_is_heard_each_time(world: World) -> None:
    link = world.open()
    for state in (FIRE, QUIET, FIRE):
        assert world.send(link, state, serial=1) == [CONFIRM]
    assert [value for value, _ in world.read()["zone_fire"]] == [1.0, 0.0, 1.0]


async def test_what_the_profile_does_not_know_is_confirmed_counted_and_said_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    link = world.open()
    strange = bytes((2, 1, 1, 1, 40, 99, 0, 2, 0, 2, 0)) + bytes(31) + bytes(6)
    for _ in range(3):
        assert world.send(link, strange) == [CONFIRM]
    assert world.send(link, bytes((24, 1, 32, 1)) + bytes(6)) == [CONFIRM]
    assert world.centre.stats.unmapped == 4
    assert len([r for r in caplog.records if "smoke detector" in r.getMessage()]) == 1


@pytest.mark.usefixtures("unmeasured")
async def test_what_waits_is_bounded_and_counted(world: World) -> None:
    link = world.open()
    for _ in range(WAITING_READINGS_MAX // 2 + 5):
        world.send(link, FIRE)
    assert world.centre.stats.dropped_readings == 10
    assert len([r for r in world.centre.readings("a") if r.quality == GOOD]) == WAITING_READINGS_MAX


async def test_a_clock_that_is_wrong_is_measured_and_not_believed(world: World) -> None:
    link = world.open()
    raw = frame(1, (889, 1), wall_time(START - 3_600_000, ZONE), FIRE)
    world.centre.arrived(link, raw)
    assert world.centre.stats.clock_error_s["a"] == pytest.approx(-3600, abs=1)
    told = next(r for r in world.centre.readings("a") if r.point == "a/zone_fire")
    assert told.time == START


async def test_an_answer_has_our_own_time_in_the_plants_zone(world: World) -> None:
    raw = frame(1, (889, 1), wall_time(START - 3_600_000, ZONE))
    answer = world.centre.arrived(world.open(), raw).answers
    assert answer[6:12] == wall_time(START, ZONE)


async def test_the_rest_of_a_frame_that_never_comes_is_passed_over(world: World) -> None:
    link = world.open()
    half = frame(1, (889, 1), wall_time(START, ZONE), bytes((130, 1)) + bytes(400))[:60]
    sound = frame(2, (889, 1), wall_time(START, ZONE), FIRE)
    assert world.centre.arrived(link, half + sound).answers == b""
    assert world.centre.begun(link)
    assert commands(world.centre.late(link).answers) == [CONFIRM]
    assert not world.centre.begun(link)
    assert world.read()["zone_fire"] == [(1.0, GOOD)]


async def test_two_devices_behind_one_concentrator_count_each_for_themselves(world: World) -> None:
    """Both begin at 1 and tell the same bytes: neither is taken for the other's repeat."""
    link = world.open()
    for serial, data in ((1, FIRE), (2, QUIET)):
        assert world.send(link, data, 889, serial) == [CONFIRM]
    assert world.send(link, FIRE, 890, 1) == [CONFIRM]
    assert world.read("b")["zone_fire"] == [(1.0, GOOD)]
    assert world.send(link, FIRE, 889, 1) == [CONFIRM]
    assert world.read("a")["zone_fire"] == [(1.0, GOOD), (0.0, GOOD)], "its own repeat is history"


async def test_a_device_that_is_denied_is_named_with_the_reason_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    link = world.open()
    raw = bytearray(frame(1, (889, 88888), wall_time(START, ZONE), FIRE))
    raw[-3] ^= 1  # the checksum
    for _ in range(3):
        world.centre.arrived(link, bytes(raw))
    (said,) = [r.getMessage() for r in caplog.records if "denied" in r.getMessage()]
    assert said.startswith("a frame of device a is denied: ")


def succeeded(world: World, *rows: Watched) -> None:
    """The line begins anew: another centre goes on where the old one ended."""
    world.centre.closing()
    for link in range(1, world.opened + 1):
        world.centre.closed(link)
    after = Centre(rows, world.clock, ZONE)
    after.go_on_from(world.centre)
    world.centre = after


async def test_what_was_confirmed_and_what_stands_outlives_a_line_that_begins_anew(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    link = world.open()
    world.send(link, FIRE)
    world.read()
    world.send(link, system(0b10))
    succeeded(world, watched("a", 889), watched("b", 891))
    assert world.read() == {"fire": [(1.0, GOOD)]}, "confirmed, not yet handed on"
    await world.wait(5.0)
    assert world.read() == {}, "its connection was ended by us: it is not lost for that"
    world.send(world.open())
    await world.wait(10.0)
    got = world.read()
    assert (got["zone_fire"], got["fire"]) == ([(1.0, GOOD)], [(1.0, GOOD)])
    assert not [r for r in caplog.records if "lost" in r.getMessage()]


async def test_a_device_that_does_not_come_back_to_the_line_is_lost(world: World) -> None:
    world.send(world.open(), FIRE)
    world.read()
    succeeded(world, watched("a", 889))
    await world.wait(RESENT_S + 0.1)
    assert world.read() == every(LINK_DOWN)


async def test_a_device_whose_definition_changed_is_known_no_longer(world: World) -> None:
    link = world.open()
    world.send(link, FIRE)
    world.send(link, FIRE, unit=890)
    succeeded(world, watched("a", 900), watched("b", 890))
    assert world.read("a") == every(NOT_READ_YET)
    assert world.read("b")["zone_fire"] == [(1.0, GOOD)]


async def test_a_link_that_was_gone_before_is_not_waited_for(world: World) -> None:
    link = world.open()
    world.send(link, FIRE)
    world.centre.closed(link)
    world.read()
    succeeded(world, watched("a", 889))
    await world.wait(10.0)
    assert world.read() == every(LINK_DOWN)


async def test_two_panels_with_one_address_end_each_others_connection_and_that_is_said_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can tell them apart: both are heard under one name, and the log says what to look for."""
    for n in range(4):
        here = world.open()
        raw = frame(n, (889, 88888), wall_time(world.clock.now(), ZONE), (FIRE, QUIET)[n % 2])
        heard = world.centre.arrived(here, raw)
        assert commands(heard.answers) == [CONFIRM]
        assert heard.over == ((here - 1,) if n else ())
        for link in heard.over:
            world.centre.closed(link)
    assert world.centre.stats.taken_over == 3
    assert len([r for r in caplog.records if "on another connection" in r.getMessage()]) == 1


def unknown(number: int) -> bytes:
    """The state of a component that no profile knows."""
    return bytes((2, 1, 1, 1, 40, *number.to_bytes(2, "little"), 2, 0, 2, 0)) + bytes(31) + bytes(6)


def wrong(world: World, unit: int) -> None:
    """All that may be said of a device: denied, its clock, at another link, a place not known."""
    link, now = world.open(), wall_time(world.clock.now() - 7_200_000, ZONE)
    world.send(link, FIRE[:-1], unit)
    world.centre.arrived(link, frame(1, (unit, 88888), now))
    world.send(world.open(), unknown(60_000), unit)


def said_of(caplog: pytest.LogCaptureFixture, device: str) -> list[str]:
    said = [r.getMessage() for r in caplog.records]
    return [one for one in said if f"device {device} " in f"{one} ".replace(":", " ")]


@pytest.mark.usefixtures("unmeasured")
async def test_what_strangers_and_other_devices_make_up_hushes_nothing_that_is_said_of_a_device(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    link, strangers = world.open(), range(1000, 2000)
    for number in strangers:
        world.send(link, unit=number)
    for number in range(1000):
        world.send(link, unknown(number), unit=889)
    assert world.centre.stats.strangers == len(strangers)
    told = [r.getMessage() for r in caplog.records if "source address" in r.getMessage()]
    assert len(told) == TOLD_MAX < len(strangers)
    assert len(said_of(caplog, "a")) == TOLD_MAX, "places that its profile does not know"
    caplog.clear()
    for _ in range(3):
        wrong(world, 889)
        wrong(world, 890)
    of_b = said_of(caplog, "b")
    for words in ("is denied", "clock of", "on another connection", "does not know"):
        assert len([one for one in of_b if words in one]) == 1, words
    assert len(of_b) == 4
    assert len(said_of(caplog, "a")) == 3, "all but one more place"


async def test_what_was_counted_is_said_in_words_and_what_did_not_happen_is_not(
    world: World,
) -> None:
    assert world.centre.stats.words() == "0 confirmed, 0 denied"
    link = world.open()
    world.send(link, FIRE)
    world.send(link, bytes((2, 1, 1, 1, 40, 99, 0, 2, 0, 2, 0)) + bytes(31) + bytes(6))
    world.send(link, FIRE, unit=7)
    world.send(link, FIRE[:-1])
    now = wall_time(world.clock.now() - 3_600_000, ZONE)
    world.centre.arrived(link, frame(99, (890, 2), now))
    assert world.centre.stats.words() == (
        "3 confirmed, 1 denied, 1 frames bad_data, 1 frames of strangers, 1 objects of no point,"
        " clock of b -3600 s"
    )
