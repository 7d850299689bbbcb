import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from config.load import LIBRARY, load_plant, load_profile
from config.mistakes import ConfigErrors
from config.plant import STEWARD
from config.profile import JsonPath, Register
from edge.decoding import decode
from edge.readings import QUALITIES
from simulators.layout import encode

RIVERSIDE = LIBRARY / "plants" / "riverside"
PROFILES = sorted((LIBRARY / "profiles").glob("*.toml"))
CATALOGUE = Path(__file__).parents[2] / "data" / "catalogue" / "maintenance.json"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A copy of everything that people write, to be spoiled."""
    shutil.copytree(
        LIBRARY, tmp_path / "config", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    return tmp_path / "config"


def spoil(library: Path, file: str, old: str, new: str) -> None:
    path = library / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} no longer holds {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def mistakes(library: Path) -> list[str]:
    with pytest.raises(ConfigErrors) as raised:
        load_plant(library / "plants" / "riverside", library=library)
    return [str(m) for m in raised.value.mistakes]


def test_riverside_has_one_of_each_two_boosters_and_three_cameras() -> None:
    plant = load_plant(RIVERSIDE)
    used = [device.profile for device in plant.devices.values()]
    assert len(plant.devices) == 10
    assert 170 <= sum(bool(point.device) for point in plant.points.values()) <= 230
    assert used.count("booster-duo") == 2
    assert used.count("network-camera") == 3
    assert {"elevator", "fire-panel", "generator", "sump-pit", "skab-pump"} <= set(used)
    assets, systems = plant.assets.values(), plant.systems.values()
    named = [*(a.name for a in assets), *(s.name for s in systems)]
    for name in [*named, *(p.name for p in plant.points.values())]:
        assert name["en"]
        assert name["zh"]


def test_parts_shift_their_addresses_by_the_stride() -> None:
    plant = load_plant(RIVERSIDE)
    one, two = (plant.points[f"a-booster/pump-{n}/run_hours"].source for n in (1, 2))
    assert isinstance(one, Register)
    assert isinstance(two, Register)
    assert (one.address, two.address) == (40, 60)
    assert one.order == "CDAB"
    hours = plant.points["a-booster/pump-1/run_hours"]
    assert hours.rolls_over_at == pytest.approx(2**32 * one.scale), (
        "written as the greatest raw number"
    )


def test_named_bits_become_points_with_their_own_lane() -> None:
    plant = load_plant(RIVERSIDE)
    assert plant.points["a-booster/door_open"].lane == "event"
    assert plant.points["a-booster/overpressure"].lane == "data"
    source = plant.points["a-booster/door_open"].source
    assert isinstance(source, Register)
    assert source.bit == 7


def test_run_hours_stand_in_two_word_orders() -> None:
    plant = load_plant(RIVERSIDE)
    orders = {
        p.source.order
        for p in plant.points.values()
        if "run_hours" in p.id and isinstance(p.source, Register) and p.source.type == "u32"
    }
    assert orders == {"ABCD", "CDAB"}


def test_at_least_ten_duties_name_rows_of_the_catalogue() -> None:
    plant = load_plant(RIVERSIDE)
    known = {row["id"] for row in json.loads(CATALOGUE.read_text(encoding="utf-8"))}
    duties = {plan.duty.id: plan.duty for plan in plant.plans.values()}
    assert len(duties) >= 10
    for duty in duties.values():
        assert duty.source
        assert set(duty.source) <= known


@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_every_profile_is_sound_and_named_in_two_languages(path: Path) -> None:
    profile = load_profile(path)
    assert profile.points
    assert all(point.name.get("zh") for point in profile.points)


def test_a_trend_is_of_the_state_of_its_own_part_or_of_the_whole(library: Path) -> None:
    spoil(
        library,
        "profiles/booster-duo.toml",
        "range = [0, 5]",
        'range = [0, 5]\ntrend = { by = "mode" }',
    )
    plant = load_plant(library / "plants" / "riverside", library=library)

    def by(point: str) -> str | None:
        state = plant.state_of(plant.points[point])
        return state.id if state else None

    assert by("a-booster/pump-2/vibration") == "a-booster/pump-2/state"
    assert by("b-booster/tank_level") == "b-booster/mode"
    assert by("a-booster/flow") is None
    trend = plant.points["a-booster/pump-2/vibration"].spec.trend
    assert trend is not None
    assert trend.horizon_s == 60 * 86_400


def test_a_watch_makes_a_point_of_the_asset_that_no_agent_reads(library: Path) -> None:
    spoil(
        library,
        "profiles/booster-duo.toml",
        "[parts.pump]",
        '[watch]\npoints = ["flow", "tank_level"]\nevery = "30s"\n\n[parts.pump]',
    )
    plant = load_plant(library / "plants" / "riverside", library=library)
    score = plant.points["b-booster/condition_score"]
    assert (score.unit, score.device, score.period_s, score.longest_silence_s) == ("σ", "", 30, 90)
    assert plant.agent_of(score) == STEWARD
    assert STEWARD not in plant.agents


def test_every_mistake_is_told_at_once_with_file_and_path(library: Path) -> None:
    spoil(library, "plants/riverside/plant.toml", "unit = 3", "unit = 300")
    spoil(library, "plants/riverside/plant.toml", 'system = "elevator"', 'system = "elevators"')
    spoil(library, "profiles/booster-duo.toml", 'type = "i16"', 'type = "i15"')
    found = mistakes(library)
    assert any(
        "plants/riverside/plant.toml: devices.booster-a.unit: 300 is not in 1..247" in m
        for m in found
    )
    assert any("assets.elevator-1.system: 'elevators' is unknown; allowed:" in m for m in found)
    assert any(
        "profiles/booster-duo.toml: points.suction_pressure.type: 'i15' is not one of" in m
        for m in found
    )


PLANT, BOOSTER, ALARMS, DUTIES = (
    "plants/riverside/plant.toml", "profiles/booster-duo.toml", "profiles/elevator.toml", "standards/grade-3.toml",
)  # fmt: skip
SPOILED = [
    ("unknown key at the top", PLANT, 'calendar = "cn"', 'calender = "cn"', "unknown key; allowed:"),
    ("unknown key of a device", PLANT, "unit = 3", "unit = 3\nspeed = 9600", "unknown key; allowed:"),
    ("time zone that is none", PLANT, "Asia/Shanghai", "Asia/Atlantis", "IANA zone"),
    ("season that is no span", PLANT, "06-01..09-30", "summer", "not of the form"),
    ("site with a blank", PLANT, 'site = "riverside"', 'site = "river side"', "not of the form"),
    ("standard that is not there", PLANT, '["grade-3"]', '["grade-9"]', "'grade-9' is unknown"),
    ("profile that is not there", PLANT, '"booster-duo"', '"booster-trio"', "'booster-trio' is unknown"),
    ("line that is not there", PLANT, 'line = "a-pumps"', 'line = "z-pumps"', "'z-pumps' is unknown"),
    ("asset that is not there", PLANT, 'asset = "a-booster"', 'asset = "x-booster"', "'x-booster' is unknown"),
    ("location that is not there", PLANT, 'location = "podium/lobby"', 'location = "attic"', "'attic' is unknown"),
    ("two kinds of one line", PLANT, 'tcp = "127.0.0.1:15020"', 'tcp = "127.0.0.1:15020"\nmqtt = "127.0.0.1:1"', "exactly one of"),
    ("line without an endpoint", PLANT, 'tcp = "127.0.0.1:15020"', "", "exactly one of"),
    ("port out of range", PLANT, "127.0.0.1:15020", "127.0.0.1:95020", "not in 1..65535"),
    ("endpoint without a port", PLANT, '"127.0.0.1:15020"', '"127.0.0.1"', "not of the form"),
    ("Modbus device on a camera's line", PLANT, 'line = "a-pumps"', 'line = "cam-1"', "needs tcp"),
    ("unit that is a text", PLANT, "unit = 3", 'unit = "3"', "unit: '3' is a text in quotes, not a whole number in 1..247"),
    ("no unit", PLANT, "unit = 3", "", "booster-a.unit: is missing: the Modbus unit, a whole number in 1..247"),
    ("unknown key of a line", PLANT, 'tcp = "127.0.0.1:15020"', 'tcp = "127.0.0.1:15020"\nspeed = 9600', "speed: unknown key; allowed: agent, backoff_max, round_trip, tcp, timeout"),
    ("unknown key of a point named float", BOOSTER, "[points.flow]", '[points.float]\nname = { en = "F" }\nat = "holding:60"\nscal = 1\n\n[points.flow]', "points.float.scal: unknown key; allowed: at, bit_width,"),
    ("unknown key of a coil", ALARMS, 'at = "discrete:0"', 'at = "discrete:0"\ncolour = 1', "colour: unknown key; allowed: at, class, deadband, deadband_percent, decimals, expected, haystack, kind,"),
    ("unknown key of a profile", BOOSTER, "version = 1", "version = 1\nmaker = 1", "maker: unknown key; allowed: class, derived, modbus, name, parts, points, profile, protocol, rules, version, watch"),
    ("a part's point without quotes", BOOSTER, '[points."pump.current"]', "[points.pump.current]", 'points.pump.current: unknown key; a point of a part stands in quotes: [points."pump.current"]'),
    ("an exponent of a state", BOOSTER, 'at = "holding:5"', 'at = "holding:5"\nscale_from = "flow"', "mode.scale_from: scales a number, and this is of kind state: leave it out"),
    ("an exponent of a bit", BOOSTER, 'at = "holding:2"', 'at = "holding:2.3"\nscale_from = "tank_level"', "flow.scale_from: scales a number, and this is a single bit"),
    ("an exponent of a text", BOOSTER, 'at = "holding:4"', 'at = "holding:4"\ntype = "string"\nwords = 2\nscale_from = "flow"', "set_pressure.scale_from: scales a number, and this is a text"),
    ("a number of 40001-style", BOOSTER, '"holding:4"', '"40005"', "is not of the form table:address[.bit] such as holding:0"),
    ("unit 248", PLANT, "unit = 3", "unit = 248", "not in 1..247"),
    ("unit that is true", PLANT, "unit = 3", "unit = true", "devices.booster-a.unit"),
    ("one asset read twice", PLANT, 'asset = "b-booster"', 'asset = "a-booster"', "is already read from"),
    ("back-off without unit", PLANT, 'backoff_max = "5s"', "backoff_max = 5", "is not a duration"),
    ("back-off in fortnights", PLANT, 'backoff_max = "5s"', 'backoff_max = "1 fortnight"', "is not a duration"),
    ("in service on a day that is none", PLANT, "in_service = 2021-05-01", 'in_service = "2021-02-31"', "in_service: '2021-02-31' is not a date such as 2026-01-31"),
    ("name without English", PLANT, 'en = "Camera lobby", ', "", "is missing"),
    ("empty English name", PLANT, 'en = "Camera lobby"', 'en = ""', "name.en: is empty"),
    ("names as a text", PLANT, '{ en = "Riverside", zh = "滨河苑" }', '"Riverside"', "name: 'Riverside' is a text in quotes, not a table in { } with en, zh"),
    ("broken TOML", PLANT, "[locations]", "[locations", "is not TOML"),
    ("a key twice", PLANT, 'calendar = "cn"', 'calendar = "cn"\ncalendar = "de"', "is not TOML"),
    ("profile of another name", BOOSTER, 'profile = "booster-duo"', 'profile = "booster-uno"', "is not the file's name"),
    ("protocol that is none", BOOSTER, 'protocol = "modbus"', 'protocol = "bacnet"', "protocol: 'bacnet' is unknown; allowed: camera, gb26875, modbus, mqtt"),
    ("version zero", BOOSTER, "version = 1", "version = 0", "greater than or equal to 1"),
    ("unit of measure that is none", BOOSTER, 'unit = "bar"', 'unit = "furlong"', "'furlong' is unknown"),
    ("table that is none", BOOSTER, 'at = "holding:0"', 'at = "keeping:0"', "tables: holding"),
    ("address beyond the end", BOOSTER, 'at = "holding:0"', 'at = "holding:65536"', "not in 0..65535"),
    ("negative address", BOOSTER, 'at = "holding:0"', 'at = "holding:-1"', "not of the form"),
    ("word order that is none", BOOSTER, 'order = "CDAB"', 'order = "ACBD"', "'ACBD' is unknown"),
    ("order of a text that is none", BOOSTER, 'type = "f32"\norder = "CDAB"', 'type = "string"\nwords = 5\norder = "GHEFCDAB"', "'GHEFCDAB' is unknown"),
    ("range the wrong way round", BOOSTER, "range = [0, 16]", "range = [16, 0]", "from low to high"),
    ("range of one number", BOOSTER, "range = [0, 16]", "range = [0]", "range: has 1 entries; allowed: at least 2"),
    ("range without end", BOOSTER, "range = [0, 16]", "range = [0, inf]", "finite"),
    ("scale that is no number", BOOSTER, "scale = 0.01", "scale = nan", "finite"),
    ("scale as a text", BOOSTER, "scale = 0.01", 'scale = "0.01"', "'0.01' is a text in quotes, not a number"),
    ("poll class that is none", BOOSTER, 'poll = "fast"', 'poll = "rapid"', "'rapid' is unknown"),
    ("too many words", BOOSTER, "max_words = 64", "max_words = 126", "less than or equal to 125"),
    ("forbidden range that is none", BOOSTER, '"holding:200-219"', '"200 to 219"', "not of the form"),
    ("bit beyond the word", BOOSTER, "7 = { id", "17 = { id", "not a bit in 0..15"),
    ("bit with a wrong lane", BOOSTER, 'lane = "event", class', 'lane = "fast", class', "bits.0.lane: 'fast' is not one of"),
    ("state value that is no number", BOOSTER, "{ 0 = { id = \"off\"", "{ zero = { id = \"off\"", "not a whole number"),
    ("trend by what is not there", BOOSTER, 'trend = { by = "pump.state" }', 'trend = { by = "pump.states" }', "'pump.states' is unknown"),
    ("trend by a number", BOOSTER, 'trend = { by = "pump.state" }', 'trend = { by = "flow" }', "'flow' is unknown"),
    ("trend of the whole by a part", BOOSTER, "range = [0, 5]", 'range = [0, 5]\ntrend = { by = "pump.state" }', "'pump.state' is unknown"),
    ("trend of a state", BOOSTER, 'at = "holding:5"', 'at = "holding:5"\ntrend = {}', "a trend needs a measurement"),
    ("horizon that is none", BOOSTER, 'horizon = "60 days"', 'horizon = "soon"', "is not a duration"),
    ("watch over what is not there", BOOSTER, "[parts.pump]", '[watch]\npoints = ["flow", "flaw"]\n\n[parts.pump]', "'flaw' is unknown"),
    ("watch over a state", BOOSTER, "[parts.pump]", '[watch]\npoints = ["flow", "mode"]\n\n[parts.pump]', "'mode' is unknown"),
    ("watch over one point", BOOSTER, "[parts.pump]", '[watch]\npoints = ["flow"]\n\n[parts.pump]', "has 1 entries; allowed: at least 2"),
    ("watch over one point twice", BOOSTER, "[parts.pump]", '[watch]\npoints = ["flow", "flow"]\n\n[parts.pump]', "names a point twice"),
    ("watch that learns from nothing", BOOSTER, "[parts.pump]", '[watch]\npoints = ["flow", "tank_level"]\nlearn = 9\n\n[parts.pump]', "greater than or equal to 100"),
    ("point of a watch's own name", BOOSTER, "[points.flow]", '[watch]\npoints = ["condition_score", "tank_level"]\n\n[points.condition_score]', "is the point that [watch] makes"),
    ("agent that is Steward itself", PLANT, 'agent = "edge-a"', 'agent = "steward"', "says what is derived here"),
    ("part that is not there", BOOSTER, '[points."pump.state"]', '[points."motor.state"]', "'motor' is unknown"),
    ("negative deadband", BOOSTER, "deadband = 0.02", "deadband = -0.02", "greater than or equal to 0"),
    ("kind that is none", BOOSTER, 'kind = "counter"', 'kind = "meter"', "is not one of"),
    ("rule on nothing", BOOSTER, 'on = "dry_run"', 'on = "wet_run"', "names no point"),
    ("rule on a state that is none", BOOSTER, 'abnormal = ["tripped"]', 'abnormal = ["exploded"]', "'exploded' is unknown"),
    ("limit without a limit", BOOSTER, "high = 7.1", "", "needs high_high, high, low or low_low"),
    ("priority that is none", BOOSTER, 'priority = "high"', 'priority = "urgent"', "is not one of"),
    ("work order policy that is none", BOOSTER, 'raise = "at_once"', 'raise = "later"', "is not one of"),
    ("low above high", BOOSTER, "low = 2.5", "low = 2.5\nhigh = 2.0", "overlap"),
    ("limit on a state", ALARMS, 'kind = "state"\nabnormal = ["fault"]', 'kind = "limit"\nhigh = 1', "a limit needs a number"),
    ("interval of two kinds", DUTIES, '{ per_period = "day", times = 2 }', '{ per_period = "day", max_gap = "3 days" }', "exactly one of"),
    ("interval of no kind", DUTIES, '{ per_period = "day", times = 2 }', "{ times = 2 }", "exactly one of"),
    ("grid without anchor", DUTIES, ", anchor = 2026-01-05", "", "anchor"),
    ("period that is none", DUTIES, 'per_period = "day"', 'per_period = "decade"', "is not one of"),
    ("gap under a day", DUTIES, '"15 days"', '"15 h"', "under a day"),
    ("no times at all", DUTIES, "times = 2", "times = 0", "greater than or equal to 1"),
    ("evidence of two kinds", DUTIES, 'ran = "pump_1"', 'ran = "pump_1", changed_over = ["a", "b"]', "exactly one of"),
    ("evidence without duration", DUTIES, ', for_at_least = "10min"', "", "for_at_least"),
    ("duty without a source", DUTIES, 'source = ["M039"]', "source = []", "source: has 0 entries; allowed: at least 1"),
    ("source that is no row", DUTIES, '"M039"', '"39"', "not of the form"),
    ("duty on nothing known", DUTIES, '"class:booster-set"', '"booster-set"', "not of the form"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "said"), SPOILED, ids=[s[0] for s in SPOILED]
)
def test_a_mistake_is_said_in_words(
    library: Path, name: str, file: str, old: str, new: str, said: str
) -> None:
    spoil(library, file, old, new)
    found = mistakes(library)
    assert any(said in m for m in found), found
    assert all(m.startswith(("plants/", "profiles/", "standards/")) for m in found), found


def write_bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.unlink(), "is missing"),
        (write_bytes(b"\xff\xfe\x00"), "is not UTF-8"),
        (write_bytes(b"a = " + b"[" * 5000), "plant.toml"),
        (write_bytes(b"x" * (4 * 1024 * 1024 + 1)), "larger than 4 MiB"),
        (write_bytes(b""), "is missing"),
    ],
    ids=["missing", "not UTF-8", "nested deep", "huge", "empty"],
)
def test_a_file_that_cannot_be_read_is_named(
    library: Path, harm: Callable[[Path], object], said: str
) -> None:
    harm(library / "plants" / "riverside" / "plant.toml")
    assert any(said in m for m in mistakes(library))


def test_a_plant_may_bring_its_own_profile_and_put_lines_elsewhere(library: Path) -> None:
    folder = library / "plants" / "riverside"
    (folder / "profiles").mkdir()
    text = (library / "profiles" / "generator.toml").read_text(encoding="utf-8")
    (folder / "profiles" / "generator.toml").write_text(
        text.replace("Standby", "Own"), encoding="utf-8"
    )
    plant = load_plant(folder, library=library, endpoints={"a-pumps": "10.0.0.7:1502"})
    assert plant.profiles["generator"].name["en"] == "Own generator"
    assert (plant.lines["a-pumps"].host, plant.lines["a-pumps"].port) == ("10.0.0.7", 1502)


def test_rules_of_the_plant_stand_beside_those_of_the_profiles(library: Path) -> None:
    (library / "plants/riverside/alarms.toml").write_text(
        '[rules.warm]\non = "system:secondary-water/pump-*/bearing_temperature"\nkind = "limit"\n'
        'high = 70\npriority = "low"\n[rules.any]\non = "class:pump/state"\nkind = "state"\n'
        'abnormal = ["manual"]\npriority = "low"\n',
        encoding="utf-8",
    )
    plant = load_plant(library / "plants" / "riverside", library=library)
    assert [r for r in plant.rules if r.startswith("warm@")] == [f"warm@{a}-booster/pump-{n}" for a in "ab" for n in (1, 2)]  # fmt: skip
    assert plant.rules["any@a-booster/pump-1"].abnormal_states == (3,)


@pytest.mark.parametrize("written", [32768, -32768])
def test_a_sentinel_is_said_signed_or_as_the_raw_word(library: Path, written: int) -> None:
    spoil(library, BOOSTER, "no_data = [32768]", f"no_data = [{written}]")
    plant = load_plant(library / "plants" / "riverside", library=library)
    point = plant.points["a-booster/suction_pressure"]
    assert isinstance(point.source, Register)
    assert encode(point.source, None) == (0x8000,)
    assert decode(point, [0x8000]) == (None, QUALITIES["sensor_fault"])
    assert decode(point, [0x8001])[1] != QUALITIES["sensor_fault"]


def test_a_range_may_leave_out_a_name_that_is_no_data(library: Path) -> None:
    spoil(library, BOOSTER, "0 = { id = \"off\"", "255 = { id = \"unknown\", en = \"Unknown\", zh = \"未知\" }, 0 = { id = \"off\"")  # fmt: skip
    spoil(library, BOOSTER, 'at = "holding:5"', 'at = "holding:5"\nrange = [0, 2]\nno_data = [255]')
    mode = load_plant(library / "plants" / "riverside", library=library).points["a-booster/mode"]
    assert mode.spec.range == (0.0, 2.0)
    assert decode(mode, [255]) == (None, QUALITIES["sensor_fault"])


@pytest.mark.parametrize(
    ("kind", "name", "no_data", "more"),
    [
        ("bcd16", 255, 255, ""), ("f32", 9, 9, ""),
        ("u16", 255, 255, "\nscale = 10"), ("u16", 255, 255, "\noffset = 1"), ("i16", -1, 65534, ""),
    ],
    ids=["another word of BCD", "another word of a float", "of another scale", "moved", "another word"],
)  # fmt: skip
def test_a_range_may_leave_out_no_name_whose_word_is_data(
    library: Path, kind: str, name: int, no_data: int, more: str
) -> None:
    mode_may_be(library, kind, name, no_data, more)
    assert any("leaves out" in said for said in mistakes(library))


def test_a_range_may_leave_out_a_negative_name_that_is_no_data_as_a_raw_word(library: Path) -> None:
    mode_may_be(library, "i16", -1, 65535, "")
    mode = load_plant(library / "plants" / "riverside", library=library).points["a-booster/mode"]
    assert decode(mode, [0xFFFF]) == (None, QUALITIES["sensor_fault"])


@pytest.mark.parametrize(
    ("name", "no_data", "is_its_own"), [(-1, 15, True), (15, -1, True), (-1, 65535, False)]
)
def test_of_a_field_its_own_numbers_are_compared(
    library: Path, name: int, no_data: int, *, is_its_own: bool
) -> None:
    """Four bits of a word; 65535 is of the whole word, of which the rest may be anything."""
    mode_may_be(library, "i16", name, no_data, "\nbit_width = 4", at="holding:5.0")
    if not is_its_own:
        assert any("leaves out" in said for said in mistakes(library))
        return
    mode = load_plant(library / "plants" / "riverside", library=library).points["a-booster/mode"]
    assert decode(mode, [0x000F]) == (None, QUALITIES["sensor_fault"])


def mode_may_be(library: Path, kind: str, name: int, no_data: int, more: str, at: str = "") -> None:
    spoil(library, BOOSTER, "0 = { id = \"off\"", f"\"{name}\" = {{ id = \"unknown\", en = \"Unknown\", zh = \"未知\" }}, 0 = {{ id = \"off\"")  # fmt: skip
    at = at or ("holding:300" if kind == "f32" else "holding:5")
    spoil(library, BOOSTER, 'at = "holding:5"', f'at = "{at}"\ntype = "{kind}"\nrange = [0, 2]\nno_data = [{no_data}]{more}')  # fmt: skip


def test_a_slower_poll_class_lengthens_the_silence_that_nobody_stated(library: Path) -> None:
    spoil(library, PLANT, 'calendar = "cn"', 'calendar = "none"\npoll = { fast = "5min" }')
    plant = load_plant(library / "plants" / "riverside", library=library)
    silences = {p.longest_silence_s for p in plant.points.values() if p.poll == "fast"}
    assert silences == {900.0}
    assert plant.points["a-booster/run_hours_total"].longest_silence_s == 300.0


def test_an_mqtt_device_says_where_its_refusal_stands(library: Path) -> None:
    spoil(library, "profiles/sump-pit.toml", 'time = "ts"', 'time = "ts"\nerror = "fault.text"')
    plant = load_plant(library / "plants" / "riverside", library=library)
    source = plant.points["sump-pit/level_m"].source
    assert isinstance(source, JsonPath)
    assert source.error_path == ("fault", "text")


def test_what_a_plan_cannot_see_is_allowed(library: Path) -> None:
    spoil(library, DUTIES, 'meter = "run_hours"', 'meter = "odometer"')
    spoil(library, DUTIES, 'ran = "run"', 'ran = "runs"')
    plant = load_plant(library / "plants" / "riverside", library=library)
    assert "grade-3/pump-hours@a-booster/pump-1" in plant.plans
    assert "grade-3/generator-trial-run@generator" in plant.plans


def test_how_a_point_may_move_goes_from_its_profile_to_the_plant(library: Path) -> None:
    spoil(library, BOOSTER, "range = [0, 16]", 'range = [0, 16]\nrate_max = 2\nfrozen_after = "1h"')
    plant = load_plant(library / "plants" / "riverside", library=library)
    point = plant.points["a-booster/discharge_pressure"]
    assert (point.rate_max, point.frozen_after_s) == (2.0, 3600.0)
    assert plant.points["a-booster/flow"].rate_max is None
