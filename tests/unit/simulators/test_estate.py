"""Equipment behaves, faults compose, and equal seeds give equal days."""

import json

import pytest

from config.load import LIBRARY, load_plant
from config.profile import ModbusLimits
from simulators.estate import Estate, Step, UnknownFault
from simulators.layout import ILLEGAL_FUNCTION, TARGET_SILENT
from simulators.physics.camera import UNREACHABLE, CameraState
from simulators.station import as_value
from tests.unit.simulators.plants import small_plant

START = 1_763_700_000_000
PRESSURE, STATE_1, STATE_2 = (
    "a-booster/discharge_pressure",
    "a-booster/pump-1/state",
    "a-booster/pump-2/state",
)


class Day:
    """An estate and how far its day is."""

    def __init__(self, seed: int = 1) -> None:
        self.estate = Estate(small_plant(), seed)
        self.at = START
        self.estate.advance(START)

    def run(self, seconds: float) -> None:
        self.at += round(seconds * 1000)
        self.estate.advance(self.at)

    def number(self, point: str) -> float:
        value = self.estate.value(point)
        assert isinstance(value, float), f"{point} shows {value!r}"
        return value

    def first_time(self, point: str, value: float, within_s: float) -> float:
        began = self.at
        while self.at - began <= within_s * 1000:
            if self.number(point) == value:
                return (self.at - began) / 1000
            self.run(0.5)
        raise AssertionError(f"{point} did not become {value} within {within_s} s")


def test_equal_seeds_give_equal_days_however_often_time_is_asked() -> None:
    often, seldom, other = Day(7), Day(7), Day(8)
    for _ in range(50):
        often.run(1.2)
    seldom.run(60)
    other.run(60)
    for point in often.estate.plant.points:
        assert often.estate.value(point) == seldom.estate.value(point), point
    assert often.estate.value(PRESSURE) != other.estate.value(PRESSURE)


@pytest.mark.usefixtures("unmeasured")
def test_a_long_jump_of_time_takes_longer_steps_but_ends_at_its_instant() -> None:
    day = Day()
    day.run(86_400)
    assert START + 86_400_000 - day.estate.now_ms() < 12_500
    assert 4.8 < day.number(PRESSURE) < 5.2


def test_when_the_duty_pump_trips_the_standby_takes_over_within_three_seconds() -> None:
    day = Day()
    day.run(30)
    day.estate.fault("a-booster/pump-1", "trip")
    starts = day.number("a-booster/pump-2/starts")
    took = day.first_time(STATE_2, 1.0, 10)
    assert 1.5 <= took <= 3.5
    assert day.number(STATE_1) == 2.0
    assert day.number(PRESSURE) > 2.5
    assert day.number("a-booster/pump-2/starts") == starts + 1
    day.run(20)
    assert day.number(PRESSURE) == pytest.approx(5.0, abs=0.2)
    assert day.number("a-booster/pump-1/current") == 0.0


def test_a_repaired_pump_stays_standby_so_that_both_have_run() -> None:
    day = Day()
    day.estate.fault("a-booster/pump-1", "trip")
    day.run(60)
    day.estate.repair("a-booster/pump-1")
    day.run(5)
    assert (day.number(STATE_1), day.number(STATE_2)) == (0.0, 1.0)


def test_when_nothing_takes_over_the_pressure_falls_and_returns_with_the_repair() -> None:
    day = Day()
    day.estate.fault("a-booster", "no_takeover")
    day.estate.fault("a-booster/pump-1", "trip")
    day.run(12)
    assert day.number(PRESSURE) < 2.5
    assert day.number(STATE_2) == 0.0
    day.estate.repair("a-booster")
    day.run(30)
    assert day.number(PRESSURE) > 4.5


def test_a_lone_pump_comes_back_by_itself_although_nothing_takes_over() -> None:
    day = Day()
    day.estate.fault("a-booster", "no_takeover")
    day.estate.fault("a-booster/pump-1", "trip")
    day.run(12)
    day.estate.repair("a-booster/pump-1")
    day.run(20)
    assert day.number(STATE_1) == 1.0
    assert day.number(PRESSURE) > 4.5


def test_a_changeover_is_done_once_per_command() -> None:
    day = Day()
    day.estate.fault("a-booster", "changeover")
    day.run(2)
    assert (day.number(STATE_1), day.number(STATE_2)) == (0.0, 1.0)
    day.run(60)
    assert day.number(STATE_2) == 1.0
    day.estate.fault("a-booster", "changeover")
    day.run(2)
    assert day.number(STATE_1) == 1.0


def test_a_changeover_without_a_ready_pump_changes_nothing() -> None:
    day = Day()
    day.estate.fault("a-booster/pump-2", "manual")
    day.run(1)
    day.estate.fault("a-booster", "changeover")
    day.run(2)
    assert (day.number(STATE_1), day.number(STATE_2)) == (1.0, 3.0)


def test_pumps_are_stopped_without_water_and_start_again_with_it() -> None:
    day = Day()
    day.estate.fault("a-booster", "dry_run")
    day.run(5)
    assert (day.number(STATE_1), day.number("a-booster/dry_run")) == (0.0, 1.0)
    day.estate.repair("a-booster")
    day.run(10)
    assert 1.0 in (day.number(STATE_1), day.number(STATE_2))


def test_too_much_pressure_lights_its_bit() -> None:
    day = Day()
    day.estate.fault("a-booster", "overpressure")
    day.run(30)
    assert day.number("a-booster/overpressure") == 1.0


@pytest.mark.usefixtures("unmeasured")
def test_run_hours_count_only_while_the_pump_runs() -> None:
    day = Day()
    one, two = (day.number(f"a-booster/pump-{n}/run_hours") for n in (1, 2))
    day.run(3600)
    assert day.number("a-booster/pump-1/run_hours") == pytest.approx(one + 1, abs=0.01)
    assert day.number("a-booster/pump-2/run_hours") == two


def test_a_trial_run_lasts_as_long_as_it_was_commanded() -> None:
    day = Day()
    day.estate.fault("generator", "trial_run", minutes=12)
    assert day.first_time("generator/run", 1.0, 10) == pytest.approx(4.0, abs=0.5)
    day.run(60)
    assert day.number("generator/frequency") == pytest.approx(50.0, abs=0.3)
    assert day.number("generator/oil_pressure") > 3.5
    day.run(10 * 60)
    assert day.number("generator/run") == 1.0
    day.run(2 * 60)
    assert day.number("generator/run") == 0.0


def test_an_engine_that_fails_to_start_does_not_run() -> None:
    day = Day()
    for kind in ("fail_to_start", "low_fuel", "overheat", "battery_flat", "trial_run"):
        day.estate.fault("generator", kind)
    day.run(60)
    assert day.number("generator/run") == 0.0


def test_fire_in_a_zone_shows_there_and_on_the_panel_only() -> None:
    day = Day()
    day.estate.fault("fire-panel", "fire", zone=2)
    day.run(1)
    burning = {p for p in ("fire", "fault", "zone_1_fire", "zone_2_fire") if day.number(f"fire-panel/{p}")}  # fmt: skip
    assert burning == {"fire", "zone_2_fire"}
    day.estate.repair("fire-panel")
    day.estate.fault("fire-panel", "zone_fault", zone=2)
    day.estate.fault("fire-panel", "test")
    day.run(1)
    lit = {p for p in ("fire", "fault", "zone_2_fault", "test", "disabled") if day.number(f"fire-panel/{p}")}  # fmt: skip
    assert lit == {"fault", "zone_2_fault", "test"}


@pytest.mark.usefixtures("unmeasured")
def test_the_pit_is_pumped_out_and_floods_when_more_comes_than_goes() -> None:
    day = Day()
    ran = set()
    for _ in range(400):
        day.run(5)
        ran.add(day.number("sump-pit/pump_1"))
        assert day.number("sump-pit/flood") == 0.0
    assert ran == {0.0, 1.0}
    day.estate.fault("sump-pit", "flood")
    day.run(120)
    assert day.number("sump-pit/flood") == 1.0
    assert day.number("sump-pit/pump_2") == 1.0
    day.estate.repair("sump-pit")
    day.run(600)
    assert day.number("sump-pit/flood") == 0.0


def test_the_second_pump_helps_when_the_first_is_dead() -> None:
    day = Day()
    day.estate.fault("sump-pit", "pump_dead", pump=1)
    day.estate.fault("sump-pit", "rain")
    seen = set()
    for _ in range(300):
        day.run(2)
        seen.add((day.number("sump-pit/pump_1"), day.number("sump-pit/pump_2")))
    assert seen == {(0.0, 0.0), (0.0, 1.0)}


def test_the_elevator_travels_between_its_floors_with_its_doors_closed() -> None:
    day = Day()
    floors, doors = set(), set()
    for _ in range(1200):
        day.run(0.5)
        floors.add(day.number("elevator-1/floor"))
        door, moving = day.number("elevator-1/door"), day.number("elevator-1/direction")
        doors.add(door)
        assert not (door == 1.0 and moving)
    assert len(floors) > 3
    assert doors == {0.0, 1.0}


@pytest.mark.parametrize(
    ("kind", "state", "bell"),
    [("fault", 2.0, 0.0), ("entrapment", 2.0, 1.0), ("inspection", 1.0, 0.0), ("fire_recall", 3.0, 0.0)],
)  # fmt: skip
def test_an_elevator_says_what_holds_it(kind: str, state: float, bell: float) -> None:
    day = Day()
    day.estate.fault("elevator-1", kind)
    day.run(120)
    assert day.number("elevator-1/state") == state
    assert day.number("elevator-1/alarm_button") == bell
    assert day.number("elevator-1/direction") == 0.0
    if kind == "fire_recall":
        assert day.number("elevator-1/floor") == 1.0


def test_equipment_without_a_model_behaves_as_its_profile_expects() -> None:
    day = Day()
    day.run(100)
    assert day.number("chiller/energy") == 100.0
    assert day.number("chiller/alarm") == 0.0
    assert day.number("chiller/mode") == 0.0
    assert 0 <= day.number("chiller/supply") <= 100


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("no_media", CameraState(True, True, False)),
        ("no_stream", CameraState(True, False, False)),
        ("unreachable", UNREACHABLE),
        ("link_lost", UNREACHABLE),
    ],
)
def test_a_camera_stands_on_the_rungs_that_its_fault_leaves(kind: str, state: CameraState) -> None:
    day = Day()
    assert day.estate.camera("camera-1") == CameraState()
    day.estate.fault("camera-1", kind)
    day.run(1)
    assert day.estate.camera("camera-1") == state
    day.estate.repair("camera-1")
    day.run(1)
    assert day.estate.camera("camera-1") == CameraState()


@pytest.mark.parametrize(
    ("path", "shown", "value"),
    [
        ("chiller/mode", "running", 1.0),
        ("chiller/mode", "man", 3.0),
        ("chiller/mode", "no such state", 0.0),
        ("chiller/mode", 2.0, 2.0),
        ("chiller/serial", "SN-7", "SN-7"),
        ("chiller/supply", None, None),
    ],
)
def test_a_state_is_named_by_the_physics_and_numbered_by_the_profile(
    path: str, shown: float | str | None, value: float | str | None
) -> None:
    assert as_value(small_plant().points[path], shown) == value


# --- faults around what a device shows and how it answers -----------------------------------------


def test_stuck_points_freeze_while_the_rest_moves() -> None:
    day = Day()
    before = day.number(PRESSURE)
    day.estate.fault("a-booster", "stuck", point="discharge_pressure")
    day.run(10)
    assert day.number(PRESSURE) == before
    flow = day.number("a-booster/flow")
    day.estate.fault("a-booster", "stuck")
    day.run(10)
    assert day.number("a-booster/flow") == flow


def test_a_dead_sensor_of_a_part_holds_no_data_in_its_register() -> None:
    day = Day()
    day.estate.fault("a-booster/pump-1", "sensor_dead", point="vibration")
    day.run(1)
    words = day.estate.words("a-serial")
    assert words.answer(3, 3, 46, 1) == [65535]
    assert words.answer(3, 3, 66, 1) != [65535]
    assert day.estate.value("a-booster/pump-1/vibration") is None


def test_a_point_can_be_set_and_faults_of_points_add_up() -> None:
    day = Day()
    day.estate.fault("a-booster", "set", point="flow", value=1)
    day.estate.fault("a-booster", "set", point="tank_level", value=0.2)
    day.estate.fault("a-booster", "set", point="suction_pressure", value=None)
    day.run(1)
    assert day.number("a-booster/flow") == 1.0
    assert day.number("a-booster/tank_level") == 0.2
    assert day.estate.value("a-booster/suction_pressure") is None


def test_a_silent_device_leaves_its_neighbour_on_the_line_alone() -> None:
    day = Day()
    words = day.estate.words("a-serial")
    day.estate.fault("a-booster", "silent")
    assert words.answer(3, 3, 0, 1) is None
    assert isinstance(words.answer(4, 4, 0, 2), list)
    assert words.up


def test_refusal_may_cover_a_range_only() -> None:
    day = Day()
    words = day.estate.words("a-serial")
    day.estate.fault("booster-a", "refusing", code=4, first=40, last=41)
    assert words.answer(3, 3, 38, 3) == 4
    assert words.answer(3, 3, 42, 3) != 4
    day.estate.repair("a-booster/pump-1")
    assert words.answer(3, 3, 38, 3) == 4, "a part's repair is not the controller's"
    day.estate.repair("a-booster")
    assert words.answer(3, 3, 38, 3) != 4


def test_slow_devices_say_how_late_they_are() -> None:
    day = Day()
    words = day.estate.words("a-serial")
    assert (words.delay_s(3), words.delay_s(99)) == (0.0, 0.0)
    day.estate.fault("a-booster", "slow", seconds=1.5)
    assert words.delay_s(3) == 1.5
    day.estate.fault("a-booster", "slow")
    assert words.delay_s(3) == 2.0


def test_half_open_is_dead_for_old_connections_only() -> None:
    day = Day()
    words = day.estate.words("a-serial")
    day.run(10)
    day.estate.fault("a-booster", "half_open")
    assert words.answer(3, 3, 0, 1, START) is None
    assert words.answer(3, 3, 0, 1) is None
    assert isinstance(words.answer(3, 3, 0, 1, day.at + 1), list)


def test_a_line_is_down_when_all_behind_it_are_cut_off() -> None:
    day = Day()
    day.estate.fault("fire-panel", "link_lost")
    day.estate.fault("generator", "link_lost")
    assert not day.estate.words("panel-line").up
    assert day.estate.words("a-serial").up
    assert day.estate.words("a-serial").answer(4, 4, 0, 2) is None
    day.estate.fault("a-serial", "link_lost")
    assert not day.estate.words("a-serial").up
    day.estate.clear()
    assert day.estate.words("a-serial").up
    assert day.estate.words("panel-line").up


def test_a_device_that_moves_is_cut_off_until_its_name_says_where_it_is_and_each_move_counts() -> (
    None
):
    day = Day()
    for moves in (1, 2):
        day.estate.fault("a-serial", "readdressed")
        assert not day.estate.words("a-serial").up
        assert day.estate.moves == {"a-serial": moves}
        day.estate.repair("a-serial")
        assert day.estate.words("a-serial").up


def test_two_faults_of_one_device_lie_around_each_other() -> None:
    day = Day()
    words = day.estate.words("a-serial")
    day.estate.fault("a-booster", "refusing")
    day.estate.fault("a-booster", "silent")
    assert words.answer(3, 3, 0, 1) is None


def test_only_function_codes_one_to_four_are_served_and_all_are_counted() -> None:
    day = Day()
    words = day.estate.words("a-serial")
    assert words.answer(4, 2, 0, 1) == [0]
    assert words.answer(3, 6, 0, 1) == ILLEGAL_FUNCTION
    assert words.answer(9, 3, 0, 1) == TARGET_SILENT
    assert words.functions == {2: 1, 6: 1, 3: 1}


def test_reads_of_forbidden_registers_are_counted() -> None:
    estate = Estate(small_plant(limits=ModbusLimits(forbidden=(("holding", 10, 12),))))
    estate.advance(START)
    assert estate.words("a-serial").answer(3, 3, 8, 4) == 2
    assert estate.stations["booster-a"].forbidden_reads == 1


@pytest.mark.parametrize(
    ("asset", "kind", "says"),
    [
        ("nobody", "silent", "a-booster"),
        ("a-booster", "explode", "no_takeover"),
        ("a-booster", "sensor_dead", "needs a point"),
    ],
)
def test_an_unknown_fault_says_what_there_is(asset: str, kind: str, says: str) -> None:
    with pytest.raises(UnknownFault, match=says):
        Day().estate.fault(asset, kind)


def test_a_timetable_happens_by_itself_at_its_instants() -> None:
    day = Day()
    day.estate.schedule([
        Step(START + 30_000, "repair", "a-booster/pump-1"),
        Step(START + 10_000, "fault", "a-booster/pump-1", "trip"),
    ])  # fmt: skip
    day.run(9.5)
    assert day.number(STATE_1) == 1.0
    day.run(1)
    assert day.number(STATE_1) == 2.0
    day.run(20)
    assert day.number(STATE_1) == 0.0


# --- MQTT devices ---------------------------------------------------------------------------------


def test_the_pit_speaks_json_at_its_pace_and_at_once_when_a_float_moves() -> None:
    day = Day()
    ((topic, payload),) = day.estate.publications(day.at)
    said = json.loads(payload)
    assert topic == "pits/p7/state"
    assert set(said) == {"level_m", "pumps", "flood", "temp", "ts"}
    assert said["pumps"] == {"p1": "off", "p2": "off"}
    assert (said["flood"], said["ts"]) == (False, day.at)
    day.run(2)
    assert day.estate.publications(day.at) == []
    day.estate.fault("sump-pit", "set", point="flood", value=1)
    day.run(1)
    ((_, payload),) = day.estate.publications(day.at)
    assert json.loads(payload)["flood"] is True
    day.run(5)
    assert len(day.estate.publications(day.at)) == 1


def test_a_silent_pit_says_nothing_and_a_dead_sensor_says_null() -> None:
    day = Day()
    day.estate.fault("sump-pit", "sensor_dead", point="level_m")
    day.run(6)
    ((_, payload),) = day.estate.publications(day.at)
    assert json.loads(payload)["level_m"] is None
    for kind in ("silent", "filter_refused"):
        day.estate.fault("sump-pit", kind)
        day.run(60)
        assert day.estate.publications(day.at) == []
        day.estate.repair("sump-pit", kind)
        day.run(6)
        assert day.estate.publications(day.at) != []


def test_a_pit_that_is_cut_off_leaves_its_will_and_says_when_it_is_back() -> None:
    plant = load_plant(LIBRARY / "plants" / "riverside")
    estate = Estate(plant, 1)
    estate.advance(START)
    own = next(d for d in plant.devices.values() if d.profile == "sump-pit")
    topic = f"devices/riverside/{own.unit}/online"
    estate.publications(START)
    estate.fault(own.asset, "link_lost")
    estate.advance(START + 60_000)
    assert [said for said in estate.publications(START + 60_000) if said[0] == topic] == [(topic, b"offline")]  # fmt: skip
    assert all(said[0] != topic for said in estate.publications(START + 61_000))
    estate.clear()
    estate.advance(START + 120_000)
    said = [said for said in estate.publications(START + 120_000) if own.unit in said[0]]
    assert said[0] == (topic, b"online")
    assert len(said) == 2
