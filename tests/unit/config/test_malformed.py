"""Configuration that cannot be right, beyond the slips of test_load: each is refused and named, nothing crashes."""

from pathlib import Path

import pytest

from config.plant import Secret
from config.settings import SettingsError, read_secret, read_settings
from tests.unit.config.test_load import ALARMS, BOOSTER, DUTIES, PLANT, library, mistakes, spoil

__all__ = ["library"]
pytestmark = pytest.mark.usefixtures("unmeasured")  # a thousand ways through the same lines

PIT, BENCH, CAMERA = (
    "profiles/sump-pit.toml",
    "profiles/skab-pump.toml",
    "profiles/network-camera.toml",
)
NINES = "9" * 5000
DEEP = ".".join(["a"] * 2000)

# name, file, what stands there, what is put there, what is said
SPOILED = [
    ("a number of 5000 digits", PLANT, "unit = 3", f"unit = {NINES}", "plant.toml: is not TOML"),
    ("a hexadecimal of 5000 digits", PLANT, "unit = 3", f"unit = 0x{NINES}", "is not TOML"),
    ("10^30 for a unit", PLANT, "unit = 3", "unit = 1" + "0" * 30, "beyond 64 bits"),
    ("a negative unit", PLANT, "unit = 3", "unit = -3", "not in 1..247"),
    ("a fraction for a unit", PLANT, "unit = 3", "unit = 3.5", "devices.booster-a.unit"),
    ("NaN for a unit", PLANT, "unit = 3", "unit = nan", "devices.booster-a.unit"),
    ("a list for a unit", PLANT, "unit = 3", "unit = [3]", "devices.booster-a.unit"),
    ("a time of day for a unit", PLANT, "unit = 3", "unit = 07:32:00", "devices.booster-a.unit"),
    ("a NUL in a text", PLANT, 'site = "riverside"', 'site = "river\0side"', "is not TOML"),
    ("an escaped NUL in a text", PLANT, 'site = "riverside"', 'site = "river\\u0000side"', "not of the form"),
    ("a lone surrogate in a text", PLANT, 'site = "riverside"', 'site = "river\\ud800"', "is not TOML"),
    ("a line feed in a text", PLANT, 'site = "riverside"', 'site = "river\nside"', "is not TOML"),
    ("a site with a line feed behind", PLANT, 'site = "riverside"', 'site = "riverside\\n"', "not of the form"),
    ("a site that climbs", PLANT, 'site = "riverside"', 'site = "../riverside"', "not of the form"),
    ("a site in capitals", PLANT, 'site = "riverside"', 'site = "Riverside"', "not of the form"),
    ("an empty site", PLANT, 'site = "riverside"', 'site = ""', "not of the form"),
    ("a site of 100 000 signs", PLANT, 'site = "riverside"', f'site = "{"!" * 100_000}"', "not of the form"),
    ("a number for the site", PLANT, 'site = "riverside"', "site = 5", "site: 5 is a whole number, not a text in quotes"),
    ("no site", PLANT, 'site = "riverside"', "", "site: is missing"),
    ("a table for the site", PLANT, 'site = "riverside"', 'site = { id = "riverside" }', "is a table in { }, not a text in quotes"),
    ("keys nested deeply", PLANT, 'site = "riverside"', f"site.{DEEP} = 1", "plant.toml"),
    ("two thousand brackets", PLANT, 'site = "riverside"', f"site = {'[' * 2000}", "nested too deep"),
    ("a zone that climbs", PLANT, "Asia/Shanghai", "../../etc/passwd", "IANA zone"),
    ("an empty zone", PLANT, "Asia/Shanghai", "", "IANA zone"),
    ("a season in month 13", PLANT, "06-01..09-30", "13-01..09-30", "not of the form"),
    ("a season from day 0", PLANT, "06-01..09-30", "06-00..09-30", "not of the form"),
    ("a standard that climbs", PLANT, '["grade-3"]', '["../grade-3"]', "not of the form"),
    ("a text for the standards", PLANT, '["grade-3"]', '"grade-3"', "standards"),
    ("a profile that climbs", PLANT, '"booster-duo"', '"../profiles/booster-duo"', "not of the form"),
    ("an absolute path for a profile", PLANT, '"booster-duo"', '"/etc/passwd"', "not of the form"),
    ("a location that climbs", PLANT, '"tower-a/roof" =', '"tower-a/../roof" =', "building/floor/room"),
    ("a location in Chinese", PLANT, '"tower-a/roof" =', '"屋顶" =', "building/floor/room"),
    ("a port that is 0", PLANT, "127.0.0.1:15020", "127.0.0.1:0", "not in 1..65535"),
    ("a port of six digits", PLANT, "127.0.0.1:15020", "127.0.0.1:150200", "not of the form"),
    ("a host with a blank", PLANT, "127.0.0.1:15020", "127.0.0.1 :15020", "not of the form"),
    ("a host with nothing between two dots", PLANT, "127.0.0.1:15020", "cam..lan:15020", "lines.a-pumps.tcp: 'cam..lan:15020' is not of the form 10.0.3.7:502, a host (between the dots of its name 1 to 63 letters"),
    ("a host that begins with a dot", PLANT, "127.0.0.1:15020", ".lan:15020", "not of the form"),
    ("a host with 64 letters before a dot", PLANT, "127.0.0.1:15020", f"{'a' * 64}.lan:15020", "not of the form"),
    ("a host with 64 letters behind a dot", PLANT, "127.0.0.1:15020", f"cam.{'a' * 64}:15020", "not of the form"),
    ("an address of the web", PLANT, "127.0.0.1:15020", "http://127.0.0.1:15020", "not of the form"),
    ("a password in clear", PLANT, 'agent = "edge-a"', 'agent = "edge-a"\npassword = "x"', "password"),
    ("a secret that climbs", PLANT, 'agent = "edge-a"', 'agent = "edge-a"\npassword = { secret = "../x" }', "not of the form"),
    ("an agent with a wildcard", PLANT, 'agent = "edge-a"', 'agent = "+"', "not of the form"),
    ("an agent with a slash", PLANT, 'agent = "edge-a"', 'agent = "edge/a"', "not of the form"),
    ("a back-off below 0", PLANT, 'backoff_max = "5s"', 'backoff_max = "-5s"', "is not a duration"),
    ("a back-off of 400 digits", PLANT, 'backoff_max = "5s"', f'backoff_max = "{"9" * 400}s"', "longer than 100 years"),
    ("a back-off of a million days", PLANT, 'backoff_max = "5s"', 'backoff_max = "1000000 days"', "longer than 100 years"),
    ("a back-off in other digits", PLANT, 'backoff_max = "5s"', 'backoff_max = "NaN s"', "is not a duration"),
    ("a timeout of nothing", PLANT, 'backoff_max = "5s"', 'timeout = "0s"', "greater than 0"),
    ("a poll class of nothing", PLANT, 'calendar = "cn"', 'calendar = "cn"\npoll = { fast = "0s" }', "greater than 0"),
    ("in service in 1066", PLANT, "in_service = 2021-05-01", "in_service = 1066-10-14", "1900 to 2199"),
    ("in service in 9999", PLANT, "in_service = 2021-05-01", "in_service = 9999-12-31", "1900 to 2199"),
    ("in service at an instant", PLANT, "in_service = 2021-05-01", "in_service = 2021-05-01T00:00:00Z", "is not a date"),
    ("in service on February 31", PLANT, "in_service = 2021-05-01", "in_service = 2021-02-31", "is not TOML"),
    ("plans that start in year 1", PLANT, 'calendar = "cn"', 'calendar = "cn"\nplans_start = 0001-01-01', "1900 to 2199"),
    ("a line twice", PLANT, "[lines.b-pumps]", "[lines.a-pumps]", "is not TOML"),
    ("a device twice", PLANT, "[devices.booster-b]", "[devices.booster-a]", "is not TOML"),
    ("fed by nothing there", PLANT, "in_service = 2021-05-01", 'fed_by = "z-board"', "'z-board' is unknown; allowed:"),
    ("fed by itself", PLANT, "in_service = 2021-05-01", 'fed_by = "a-booster"', "is in the end fed by a-booster"),
    ("serving no place there", PLANT, "in_service = 2021-05-01", 'serves = ["moon"]', "'moon' is unknown; allowed:"),
    ("a register of 5000 digits", BOOSTER, '"holding:0"', f'"holding:{NINES}"', "of the form table:address"),
    ("a register in hexadecimal", BOOSTER, '"holding:0"', '"holding:0x10"', "of the form table:address"),
    ("a register without a number", BOOSTER, '"holding:0"', '"holding:"', "of the form table:address"),
    ("a bit of 5000 digits", BOOSTER, '"holding:0"', f'"holding:0.{NINES}"', "of the form table:address"),
    ("bit 16 of a word", BOOSTER, '"holding:0"', '"holding:0.16"', "not in 0..15"),
    ("a named bit of 5000 digits", BOOSTER, "7 = { id", f"{NINES} = {{ id", "not a bit in 0..15"),
    ("a named bit below 0", BOOSTER, "7 = { id", "-7 = { id", "not a bit in 0..15"),
    ("a state of 5000 digits", BOOSTER, '{ 0 = { id = "off"', f'{{ {NINES} = {{ id = "off"', "not a whole number"),
    ("a state of two signs", BOOSTER, '{ 0 = { id = "off"', '{ --1 = { id = "off"', "not a whole number"),
    ("an infinite scale", BOOSTER, "scale = 0.01", "scale = inf", "finite"),
    ("a scale of 1e400", BOOSTER, "scale = 0.01", "scale = 1e400", "finite"),
    ("a scale of 400 digits", BOOSTER, "scale = 0.01", f"scale = {'9' * 400}", "beyond 64 bits"),
    ("a range with NaN", BOOSTER, "range = [0, 16]", "range = [nan, 16]", "finite"),
    ("a range of words", BOOSTER, "range = [0, 16]", 'range = ["low", "high"]', "range[0]: 'low' is a text in quotes, not a number"),
    ("a range of three", BOOSTER, "range = [0, 16]", "range = [0, 8, 16]", "has 3 entries; allowed: at most 2"),
    ("a version of 0.5", BOOSTER, "version = 1", "version = 0.5", "version"),
    ("a version in words", BOOSTER, "version = 1", 'version = "one"', "version"),
    ("a priority in Chinese", BOOSTER, 'priority = "high"', 'priority = "高"', "is not one of"),
    ("a rate of 0", BOOSTER, "range = [0, 16]", "range = [0, 16]\nrate_max = 0", "greater than 0"),
    ("a flag that freezes", BOOSTER, 'kind = "flags"', 'kind = "flags"\nfrozen_after = "1h"', "means nothing for a flags; only for measurement"),
    ("a state with a rate", BOOSTER, 'kind = "state"', 'kind = "state"\nrate_max = 1', "means nothing for a state; only for measurement and counter"),
    ("a measurement that rolls over", BOOSTER, "range = [0, 16]", "range = [0, 16]\nrolls_over_at = 100", "points.discharge_pressure.rolls_over_at: means nothing for a measurement; only for counter, and for measurement with rate_max"),
    ("a state that rolls over", BOOSTER, 'kind = "state"', 'kind = "state"\nrolls_over_at = 4', "means nothing for a state; only for counter, and"),
    ("a counter that rolls over at 0", BOOSTER, "rolls_over_at = 4294967295", "rolls_over_at = 0", "greater than 0"),
    ("a counter that rolls over below 0", BOOSTER, "rolls_over_at = 4294967295", "rolls_over_at = -5", "greater than 0"),
    ("frozen with the second reading", BOOSTER, "range = [0, 16]", 'range = [0, 16]\nfrozen_after = "1s"', "points.discharge_pressure.frozen_after: 1 s are over with the second reading, which may well be the same; allowed: more than 1 s (poll fast)"),
    ("frozen before the second reading", CAMERA, 'rung = "segment_age"', 'rung = "segment_age"\nfrozen_after = "1s"', "frozen_after: 1 s are over with the second reading"),
    ("nothing expected that can be", BOOSTER, "expected = [0.5, 10]", "expected = [17, 20]", "points.discharge_pressure.expected: [17.0, 20.0] is all outside the range; allowed: some of [0.0, 16.0]"),
    ("only expected what is too low", BOOSTER, "expected = [0.5, 10]", "expected = [-9, -1]", "is all outside the range"),
    ("a state that its range leaves out", BOOSTER, 'kind = "state"', 'kind = "state"\nrange = [1, 9]', "range: [1.0, 9.0] leaves out 0, which the state can be"),
    ("a flag that its range leaves out", ALARMS, 'at = "discrete:0"', 'at = "discrete:0"\nrange = [5, 9]', "[5.0, 9.0] leaves out 0, 1, which the flag can be"),
    ("a limit of NaN", BOOSTER, "high = 7.1", "high = nan", "finite"),
    ("a limit in a text", BOOSTER, "high = 7.1", 'high = "7.1"', "high: '7.1' is a text in quotes, not a number or a table in { } with limit, priority"),
    ("a deadband of NaN", BOOSTER, "deadband = 0.02", "deadband = nan", "points."),
    ("65 000 words at once", BOOSTER, "max_words = 64", "max_words = 65000", "less than or equal to 125"),
    ("a rule's unknown key", ALARMS, 'abnormal = ["fault"]', 'abnormal = ["fault"]\nhigher = 5', "unknown key; allowed:"),
    ("a rule of no kind", ALARMS, 'kind = "state"\nabnormal = ["fault"]', 'abnormal = ["fault"]', "kind: is missing"),
    ("a duty of no times", DUTIES, "times = 2", "times = -1", "greater than or equal to 1"),
    ("a duty of many times", DUTIES, "times = 2", "times = 1000000", "less than or equal to 48"),
    ("a gap of a million days", DUTIES, '"15 days"', '"1000000 days"', "longer than 100 years"),
    ("a grid from year 9999", DUTIES, "anchor = 2026-01-05", "anchor = 9999-12-31", "1900 to 2199"),
    ("a calendar of another world", PLANT, 'calendar = "cn"', 'calendar = "mars"', "is not one of 'cn' or 'none'"),
    ("a scale of 0", BOOSTER, "scale = 0.01", "scale = 0.0", "points.discharge_pressure.scale: is 0"),
    ("one word for a u32", BOOSTER, 'type = "u32"', 'type = "u32"\nwords = 1', "allowed: 2"),
    ("a bit of a signed word", BOOSTER, 'at = "holding:8"', 'at = "holding:8"\ntype = "i16"', "has no bits to take; allowed: u16"),
    ("flags in a coil", BOOSTER, 'at = "holding:8"', 'at = "coil:8"', "flags stand in a word; allowed: holding:N"),
    ("bits of a state", BOOSTER, 'at = "holding:5"', 'at = "holding:5"\nbits = { 0 = "x" }', "allowed: with kind = 'flags'"),
    ("a scale of a discrete input", ALARMS, 'at = "discrete:0"', 'at = "discrete:0"\nscale = 0.1', "is not used by a single bit; allowed: at, class,"),
    ("a float in a discrete input", ALARMS, 'at = "discrete:0"', 'at = "discrete:0"\ntype = "f32"', "is not used by a single bit"),
    ("a register's type by MQTT", PIT, 'at = "temp"', 'at = "temp"\ntype = "i16"', "is not used by a point of protocol mqtt; allowed:"),
    ("Modbus limits of an MQTT device", PIT, "[mqtt]", "[modbus]\n[mqtt]", "modbus: is not used by protocol mqtt"),
    ("a sentinel below a signed word", BOOSTER, "no_data = [32768]", "no_data = [-32769]", "allowed: -32768..65535"),
    ("a sentinel beyond a word", BOOSTER, "no_data = [65535]", "no_data = [65536]", "allowed: 0..65535"),
    ("a negative sentinel of an unsigned word", BOOSTER, "no_data = [65535]", "no_data = [-1]", "-1 never stands in u16"),
    ("a negative sentinel of a float", BENCH, "no_data = [2143289344]", "no_data = [-9999]", "NaN of f32 = 2143289344"),
    ("a sentinel that flags never hold", BOOSTER, 'at = "holding:8"', 'at = "holding:8"\nno_data = [65536]', "65536 never stands in u16; allowed: 0..65535"),
    ("a sentinel that a bit itself may be", BOOSTER, 'at = "holding:5"', 'at = "holding:5.3"\nno_data = [1]', "1 is what the bit itself may be"),
    ("registers together backwards", BOOSTER, '"holding:0-3"', '"holding:20-3"', "modbus.together: 'holding:20-3' does not go from low to high"),
    ("registers together beyond the end", BOOSTER, '"holding:0-3"', '"holding:65530-65536"', "is not in 0..65535"),
    ("more together than a request has", BOOSTER, '"holding:0-3"', '"holding:0-64"', "in one request of 65; allowed: max_words = 64"),
    ("together with a forbidden one", BOOSTER, '"holding:0-3"', '"holding:190-200"', "modbus.together: holding:190-200 touches holding:200-219"),
    ("more together by a chain", BOOSTER, '["holding:0-3"]', '["holding:0-40", "holding:40-70"]', "holding:0-70 must come in one request of 71"),
    ("a forbidden point", BOOSTER, '"holding:200-219"', '"holding:4"', "points.set_pressure.at: holding:4 touches holding:4, which is forbidden"),
    ("everything forbidden", BOOSTER, '"holding:200-219"', '"holding:0-65535"', "points.pump.state.at: holding:62 touches holding:0-65535"),
    ("forbidden backwards", BOOSTER, '"holding:200-219"', '"holding:219-200"', "modbus.forbidden: 'holding:219-200' does not go"),
    ("a value longer than a request", BOOSTER, "max_words = 64", "max_words = 1", "allowed: max_words = 1"),
    ("a silence shorter than a poll", BOOSTER, 'poll = "fast"', 'poll = "slow"\nlongest_silence = "60s"', "60 s ends before the next reading is sure to be there; allowed: 92 s or more (1.5 x 60 s of poll slow + 2 s"),
    ("a silence of one poll and no more", CAMERA, 'rung = "tcp"', 'rung = "tcp"\nlongest_silence = "16s"', "allowed: 17 s or more"),
    ("a rule silent before an unchanged value is sent", BOOSTER, 'kind = "silent"', 'kind = "silent"\nsilent_after = "20s"', "allowed: its longest silence, 60 s, or more"),
    ("an enumeration without its abnormal states", BOOSTER, 'abnormal = ["tripped"]', "", "allowed: 0 (stopped), 1 (running), 2 (tripped), 3 (manual)"),
    ("a state 99", BOOSTER, 'abnormal = ["tripped"]', "abnormal = [99]", "abnormal: 99 is unknown; allowed: 0 (stopped)"),
    ("a flag that is 2", CAMERA, "abnormal = [0]", "abnormal = [2]", "abnormal: 2 is unknown; allowed: 0, 1"),
    ("a state rule on a number", BOOSTER, 'on = "pump.state"', 'on = "pump.current"', "a state rule needs a state or a flag"),
    ("a state rule with a limit", BOOSTER, 'abnormal = ["tripped"]', 'abnormal = ["tripped"]\nhigh = 1', "is not used by a state rule; allowed: abnormal"),
    ("a silent rule with a deadband", BOOSTER, 'kind = "silent"', 'kind = "silent"\ndeadband = 1', "is not used by a silent rule"),
    ("high above high_high", BOOSTER, "high = 85", "high = 105", "high_high: 100 is not above high = 105"),
    ("low below low_low", BOOSTER, "low = 2.5", "low = 1.0", "low_low: 1.5 is not below low = 1"),
    ("a limit that is never passed", BOOSTER, "high = 7.1", "high = 50", "inside a-booster/pump-1/vibration's range, 0 to 50"),
    ("a low limit below the range", BOOSTER, "limit = 1.5,", "limit = 0,", "low_low: 0 with deadband 0.2 is never passed"),
    ("a limit that is never left again", BOOSTER, "deadband = 0.5\non_delay", "deadband = 7.5\non_delay", "or never left again"),
    ("a gap of a day and a half", DUTIES, '"15 days"', '"36h"', "max_gap of 1.5 days: due dates count whole days"),
    ("a gap of 15.9 days", DUTIES, '"15 days"', '"15.9 days"', "max_gap of 15.9 days"),
    ("a tolerance of hours", DUTIES, "anchor = 2026-01-05 }", 'anchor = 2026-01-05 }\ntolerance = "6h"', "tolerance of 0.25 days"),
    ("a tolerance that nothing uses", DUTIES, "times = 2 }", 'times = 2 }\ntolerance = "1 day"', "tolerance: is not used by per_period; allowed: with fixed and max_gap"),
    ("hours between the times of a day", DUTIES, "times = 2 }", 'times = 2, min_spacing = "6h" }', "min_spacing is not used by duties of each day"),
    ("hours between the times of a year", DUTIES, 'per_period = "year", times = 2 }', 'per_period = "year", times = 2, min_spacing = "36h" }', "min_spacing of 1.5 days"),
    ("times that cannot be so far apart", DUTIES, 'per_period = "year", times = 2 }', 'per_period = "year", times = 3, min_spacing = "200 days" }', "allowed: min_spacing up to 182 days"),
    ("40 times in a month", DUTIES, 'per_period = "month" }', 'per_period = "month", times = 40 }', "shortest month has days; allowed: 1..28"),
    ("an anchor of a period", DUTIES, 'per_period = "week" }', 'per_period = "week", anchor = 2026-01-05, floating = true }', "per_period does not use anchor, floating; allowed: per_period, min_spacing, times"),
    ("times of a gap", DUTIES, '"15 days" }', '"15 days", times = 2 }', "max_gap does not use times; allowed: max_gap"),
    ("closed by readings of nothing", DUTIES, 'source = ["M039"]', 'closes = "by_readings"\nsource = ["M039"]', "closes: by_readings needs evidence"),
    ("evidence by a number", DUTIES, 'ran = "pump_1"', 'ran = "level_m"', "is a measurement: evidence needs a state or a flag"),
    ("evidence by a state that is none", DUTIES, '"pump-2/state"] }', '"pump-2/state"], is = 9 }', "9 is not a state of a-booster/pump-1/state; allowed: 0 (stopped)"),
    ("evidence by a flag that is 5", DUTIES, 'ran = "pump_1"', 'is = 5, ran = "pump_1"', "allowed: 0, 1"),
    ("a duration of a changeover", DUTIES, '"pump-2/state"] }', '"pump-2/state"], for_at_least = "1min" }', "changed_over does not use for_at_least"),
    ("a changeover of unlike states", DUTIES, '"pump-2/state"] }', '"mode"], is = "manual" }', "'manual' is not the same number in each"),
    ("a state for a meter", DUTIES, 'meter = "run_hours"', 'meter = "state"', "a meter needs a counter or a measurement"),
    ("a source twice as long", DUTIES, '"M039"', '"M039039"', "not of the form"),
    ("a width without a bit", BOOSTER, 'at = "holding:0"', 'at = "holding:0"\nbit_width = 8', "needs the lowest bit"),
    ("a width beyond the word", BOOSTER, 'at = "holding:0"', 'at = "holding:0.9"\nbit_width = 8', "bit 9 is not in 0..8"),
    ("a width of nothing", BOOSTER, 'at = "holding:0"', 'at = "holding:0.8"\nbit_width = 0', "greater than or equal to 1"),
    ("a width of a JSON member", PIT, 'at = "level_m"', 'at = "level_m"\nbit_width = 8', "is not used by a point of protocol mqtt"),
    ("a sentinel that the whole of a field never holds", BENCH, 'at = "input:0"\ntype = "u32"', 'at = "input:0.0"\nbit_width = 8', "4294967295 never stands in u16"),
    ("a field of a fraction", BENCH, 'at = "input:2"', 'at = "input:2.0"\nbit_width = 8', "'f32' has no bits to take; allowed: u16, u32"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "old", "new", "said"), SPOILED, ids=[s[0] for s in SPOILED])  # fmt: skip
def test_what_cannot_be_right_is_named_and_what_is_allowed_said(
    library: Path, name: str, file: str, old: str, new: str, said: str
) -> None:
    spoil(library, file, old, new)
    found = mistakes(library)
    assert any(said in m for m in found), found
    assert all(m.startswith(("plants/", "profiles/", "standards/")) for m in found), found
    assert all(len(m) < 2300 for m in found)


@pytest.mark.parametrize(
    "written",
    [
        'password = "hunter2"', 'password = ["hunter2"]', 'password = { secret = "Hunter2 hunter2" }',
        'password = { secret = ["hunter2"] }', 'password = { word = "hunter2" }', 'key = "hunter2"',
        'rtsp = "rtsp://admin:hunter2@10.0.0.7:554"', 'mqtt = "//hunter2@broker:1883"',
        'rtsp = "rtsp://admin:hunter2/x@10.0.0.7:554"', 'rtsp = "rtsp://admin:x@hunter2@10.0.0.7:554"',
    ],
)  # fmt: skip
def test_a_secret_that_was_written_where_its_name_belongs_is_not_repeated(
    library: Path, written: str
) -> None:
    spoil(library, PLANT, 'agent = "edge-a"', f'agent = "edge-a"\n{written}')
    found = mistakes(library)
    assert found
    assert "hunter2" not in " ".join(found).lower()


def test_a_mistake_of_a_profile_that_two_devices_have_is_told_once(library: Path) -> None:
    spoil(library, BOOSTER, 'abnormal = ["tripped"]', "abnormal = [99]\nhigh = 1")
    found = mistakes(library)
    assert len(found) == len(set(found)) == 2


FILES: dict[str, bytes] = {
    "a byte order mark": b"\xef\xbb\xbf", "utf-16": "site = 'x'".encode("utf-16"), "binary": bytes(range(256)),
    "a NUL": b"\0", "bad utf-8 in a text": b'site = "\xff"', "overlong utf-8": b'site = "\xc0\xaf"',
    "JSON": b'{"site": "riverside"}', "YAML": b"site: riverside\n", "half a line": b'site = "riv', "a tab of zeros": b"\t\0\0",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("file", [PLANT, BOOSTER, DUTIES, "plants/riverside/alarms.toml"])
def test_a_file_that_is_no_text_or_no_toml_is_named(library: Path, file: str, name: str) -> None:
    path = library / file
    rest = path.read_bytes() if path.exists() else b""
    path.write_bytes(FILES[name] + rest)
    found = mistakes(library)
    assert any(m.startswith(f"{file}: is not ") for m in found), found


def test_a_folder_in_place_of_a_file_is_named(library: Path) -> None:
    (library / "plants/riverside/alarms.toml").mkdir()
    assert any("alarms.toml: cannot be read" in m for m in mistakes(library))


def test_a_ring_of_supply_is_told_at_each_of_its_assets(library: Path) -> None:
    path = library / PLANT
    text = path.read_text(encoding="utf-8")
    for one, other in (("a-booster", "b-booster"), ("b-booster", "a-booster")):
        text = text.replace(f"[assets.{one}]", f'[assets.{one}]\nfed_by = "{other}"', 1)
    path.write_text(text, encoding="utf-8")
    assert sum("is in the end fed by" in m for m in mistakes(library)) == 2


def test_mistakes_of_several_files_are_told_at_once(library: Path) -> None:
    spoil(library, PLANT, "Asia/Shanghai", "Asia/Atlantis")
    spoil(library, BOOSTER, "scale = 0.01", "scale = inf")
    spoil(library, DUTIES, "times = 2", "times = 0")
    assert {m.partition(":")[0] for m in mistakes(library)} >= {PLANT, BOOSTER, DUTIES}


# --- settings ----------------------------------------------------------------------------------

SETTINGS: dict[str, tuple[str, str]] = {
    "a port in words": ("STEWARD_HTTP_PORT", "eighty"),
    "a port that is a fraction": ("STEWARD_HTTP_PORT", "80.5"),
    "an empty port": ("STEWARD_HTTP_PORT", ""),
    "port 0": ("STEWARD_BROKER_PORT", "0"),
    "a port below 0": ("STEWARD_HTTP_PORT", "-1"),
    "a port beyond 65535": ("STEWARD_HTTP_PORT", "65536"),
    "a port of 5000 digits": ("STEWARD_HTTP_PORT", NINES),
    "a port in hexadecimal": ("STEWARD_HTTP_PORT", "0x50"),
    "a factor of NaN": ("STEWARD_CLOCK_FACTOR", "nan"),
    "an infinite factor": ("STEWARD_CLOCK_FACTOR", "inf"),
    "a factor of 0": ("STEWARD_CLOCK_FACTOR", "0"),
    "a factor below 0": ("STEWARD_CLOCK_FACTOR", "-1"),
    "a factor in words": ("STEWARD_CLOCK_FACTOR", "fast"),
    "an origin below 0": ("STEWARD_CLOCK_ORIGIN_MS", "-1"),
    "an origin beyond 2099": ("STEWARD_CLOCK_ORIGIN_MS", "9" * 20),
    "a store that is none": ("STEWARD_STORE", "oracle"),
    "a store in capitals": ("STEWARD_STORE", "DUCKDB"),
    "a log level that is none": ("STEWARD_LOG_LEVEL", "LOUD"),
    "a folder with a NUL": ("STEWARD_DATA", "data\0x"),
    "an empty folder": ("STEWARD_DATA", ""),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_cannot_be_right_is_named(name: str) -> None:
    variable, value = SETTINGS[name]
    with pytest.raises(SettingsError) as raised:
        read_settings({variable: value, "STEWARD_HTTP_HOST": "127.0.0.1"})
    assert str(raised.value).startswith(f"{variable}: ")
    assert len(str(raised.value)) < 300


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(dict(SETTINGS.values()))
    assert len(str(raised.value).splitlines()) == len({v for v, _ in SETTINGS.values()})


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"two\nlines", b"a\0b"])
def test_a_secret_that_cannot_be_one_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cam-1").write_bytes(content)
    with pytest.raises(SettingsError, match="cam-1"):
        read_secret(Secret("cam-1"), tmp_path, {})
