"""What does not answer is demoted: how often it is tried, what it costs the others, and what is read when it is back."""

from itertools import pairwise

import pytest

from config.plant import Line, Serial
from edge.poller import BACKOFF_S_MIN, DEAD_SHARE
from tests.unit.edge.polled_line import said
from tests.unit.edge.rows import line
from tests.unit.edge.virtual_line import Paces, Polled, after, play

CAP_S = 8.0
SILENT_S = 1.0
"""How long a read of a dead device takes."""
TICK_S = 1e-6
LINE = line(backoff_s_max=CAP_S)
OTHERS = ("a", "b", "c")


def tries(it: Polled, device: str) -> list[tuple[float, float]]:
    """When each read of a device began, and how long after the end of the one before."""
    of = [read for read in it.devices.reads if read.device == device]
    return [(b.begun, b.begun - a.ended) for a, b in pairwise(of)]


def test_a_dead_device_is_tried_ever_more_seldom_and_the_others_wait_for_one_silence_at_most() -> (
    None
):
    paces: Paces = dict.fromkeys(("dead", *OTHERS), (10.0,))
    takes_s = dict.fromkeys(OTHERS, 0.01) | {"dead": SILENT_S}
    it = after(600.0, paces, row=LINE, takes_s=takes_s, says={"dead": "no_answer"})
    waits = [wait for _, wait in tries(it, "dead")]
    for number, wait in enumerate(waits):
        longest = min(CAP_S, BACKOFF_S_MIN * 2**number)
        assert longest / 2 - TICK_S <= wait <= longest + len(OTHERS) * 0.01 + TICK_S
    assert len({round(wait, 3) for wait in waits[5:]}) == len(waits[5:]), "jitter"
    assert it.stats.missed == 0
    idle = after(20.0, paces)
    for name in OTHERS:
        late = [(at - idle.begun(name)[1] + TICK_S) % 10.0 for at in it.begun(name, since=10.0)]
        assert len(late) == 59
        assert max(late) <= SILENT_S + len(OTHERS) * 0.01 + TICK_S


def test_a_dead_device_is_told_so_at_its_own_pace_and_counted_by_what_was_asked() -> None:
    it = after(600.0, {"dead": (10.0, 60.0)}, row=LINE, says={"dead": "no_answer"})
    fast, slow = ([at for at, r in it.told if r.point == f"dead/{n}"] for n in (0, 1))
    assert [b - a for a, b in pairwise(fast[1:])] == pytest.approx([10.0] * (len(fast) - 2))
    assert [b - a for a, b in pairwise(slow[1:])] == pytest.approx([60.0] * (len(slow) - 2))
    assert (len(fast), len(slow)) == (61, 11)
    first, *tried = [read.points for read in it.devices.reads]
    assert set(map(tuple, tried)) == {("dead/0",)}, "by what is read oftenest"
    assert it.stats.errors == {"no_answer": len(first) + len(tried)}
    assert (it.stats.lost, it.stats.last_good_s) == ({"device dead"}, {})


MANY = tuple(f"d{n}" for n in range(30))
LONG_CAP_S = 30.0
WATCHED_S = 1800.0
SETTLED_S = 120.0
"""By then each was lost and has come to its longest back-off."""


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_however_many_are_dead_the_rest_of_the_line_keeps_its_time_and_each_is_tried_in_its_turn(
    lost: int,
) -> None:
    dead, alive = MANY[:lost], MANY[lost:]

    async def story(it: Polled) -> None:
        await it.lasts(WATCHED_S)
        it.devices.takes_s, it.devices.says = dict.fromkeys(MANY, 0.02), {}
        await it.lasts(LONG_CAP_S + SILENT_S / DEAD_SHARE + 1.0)
        assert it.stats.lost == set(), "those that answer again cost no turn"

    it = play(
        story, dict.fromkeys(MANY, (1.0,)), row=line(backoff_s_max=LONG_CAP_S),
        takes_s=dict.fromkeys(alive, 0.02) | dict.fromkeys(dead, SILENT_S),
        says=dict.fromkeys(dead, "no_answer"),
    )  # fmt: skip
    settled = [read for read in it.devices.reads if SETTLED_S <= read.begun < WATCHED_S]
    tried_s = sum(read.ended - read.begun for read in settled if read.device in dead)
    assert tried_s <= DEAD_SHARE * (WATCHED_S - SETTLED_S) + SILENT_S
    turn_s = SILENT_S / DEAD_SHARE if lost > 1 else 0.0
    waits = [wait for name in dead for at, wait in tries(it, name) if SETTLED_S < at < WATCHED_S]
    assert max(waits) <= max(LONG_CAP_S, lost * turn_s) + turn_s + len(alive) * 0.02 + TICK_S
    read = sum(read.device in alive for read in settled)
    assert read >= 0.99 * len(alive) * (WATCHED_S - SETTLED_S)


def test_a_line_that_never_rests_tries_the_dead_when_its_longest_back_off_is_over() -> None:
    """Before that, the others must end first; later, it must."""

    async def story(it: Polled) -> None:
        await it.lasts(400.0)
        it.devices.says.clear()
        await it.lasts(2.0 * CAP_S + 2.0)

    paces: Paces = dict.fromkeys(("dead", *"abcde"), (1.0,))
    takes_s = dict.fromkeys("abcde", 0.4) | {"dead": SILENT_S}
    it = play(story, paces, row=LINE, takes_s=takes_s, says={"dead": "no_answer"})
    late = [wait for at, wait in tries(it, "dead") if 100.0 < at < 400.0]
    assert len(late) > 15
    assert min(late) > 0.5 * CAP_S + CAP_S - 2.0
    assert max(late) < CAP_S + CAP_S + 2.0
    assert it.stats.lost == set()


@pytest.mark.parametrize(
    ("row", "why", "least_s"),
    [
        (line(timeout_s=3.0), "no_answer", 0.5 * BACKOFF_S_MIN),
        (line(timeout_s=3.0, kind="rtu", serial=Serial(9600, "none", 2)), "no_answer", 3.0),
        (line(timeout_s=3.0, kind="rtu", serial=Serial(9600, "none", 2)), "link_down", 0.25),
    ],
)
def test_on_a_bus_a_silent_device_is_left_alone_until_no_late_answer_can_come(
    row: Line, why: str, least_s: float
) -> None:
    it = after(60.0, {"d": (1.0,)}, row=row, says={"d": why})
    first = tries(it, "d")[0][1]
    assert least_s - TICK_S <= first <= max(least_s, BACKOFF_S_MIN) + TICK_S


def test_behind_a_lost_line_each_device_is_told_so_and_only_the_line_is_tried() -> None:
    it = after(300.0, dict.fromkeys(OTHERS, (10.0,)), row=LINE, says=dict.fromkeys(OTHERS, "link_down"))  # fmt: skip
    assert it.stats.lost == {"line l"}
    asked = [read.device for read in it.devices.reads]
    assert len(asked) < 300 / (CAP_S / 2) + 10
    assert len(set(asked)) == 3, "each in turn: one of them may be the reason"
    for name in OTHERS:
        steps = [b - a for a, b in pairwise(it.told_of(name, "link_down", since=15.0))]
        assert steps == pytest.approx([10.0] * len(steps))
        assert len(steps) >= 27


def test_a_link_that_broke_within_a_read_is_the_lines() -> None:
    it = after(5.0, {"d": (1.0, 1.0)}, says={"d/0": "no_answer", "d/1": "link_down"})
    assert it.stats.lost == {"line l"}


def test_what_sends_by_itself_is_told_lost_as_often_as_its_quickest_point() -> None:
    it = after(100.0, {"d": (10.0, 60.0)}, row=line(kind="mqtt"), says={"d": "link_down"})
    steps = [b - a for a, b in pairwise(sorted(set(it.told_of("d", "link_down"))))]
    assert steps[1:] == pytest.approx([10.0] * (len(steps) - 1))
    assert len(steps) > 8


@pytest.mark.parametrize("lost", ["line", "device"])
def test_what_is_back_is_read_whole_at_once_and_then_in_its_old_phase(
    lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    paces: Paces = {"a": (10.0, 60.0, 3600.0), "b": (10.0, 3600.0)}
    behind = {"a", "b"} if lost == "line" else {"a"}

    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        it.devices.says = dict.fromkeys(behind, "link_down" if lost == "line" else "no_answer")
        await it.lasts(100.0)
        it.devices.says.clear()
        await it.lasts(100.0)

    it, idle = play(story, paces, row=LINE), after(300.0, paces, row=LINE)
    back = min(read.ended for read in it.devices.reads if read.begun >= 200.0)
    assert back < 200.0 + CAP_S + TICK_S
    at_once = [set(read.points) for read in it.devices.reads if 0 <= read.begun - back < 0.01]
    wanted = {f"{name}/{n}" for name in behind for n in range(len(paces[name]))}
    assert set().union(*at_once) == wanted
    assert len(at_once) == len(wanted), "once each"
    later = [r for r in it.devices.reads if r.begun > back + 0.01]
    same = [r for r in idle.devices.reads if r.begun > back + 0.01]
    assert [r.points for r in later] == [r.points for r in same]
    assert [r.begun for r in later] == pytest.approx([r.begun for r in same])
    (lines,) = said(caplog).values()
    begun = min(read.ended for read in it.devices.reads if read.begun >= 100.0)
    why = "link_down" if lost == "line" else "no_answer"
    assert lines == [f"lost: {why}", f"back after {back - begun:.1f} s"]
    assert it.stats.lost == set()


def test_a_device_that_is_lost_twice_begins_with_the_shortest_back_off_again() -> None:
    async def story(it: Polled) -> None:
        for why in ("no_answer", "good", "no_answer"):
            it.devices.says = {"d": why}
            await it.lasts(100.0)

    it = play(story, {"d": (1.0,)}, row=LINE)
    assert min(wait for at, wait in tries(it, "d") if at > 200.0) <= BACKOFF_S_MIN + TICK_S


def test_of_a_retry_that_is_lost_again_only_values_are_told() -> None:
    """The others are told at their own pace, whatever is tried between."""

    async def story(it: Polled) -> None:
        await it.lasts(60.0)
        it.devices.says = {"d/1": "no_answer"}
        await it.lasts(60.0)

    it = play(story, {"d": (30.0, 30.0)}, row=LINE, says={"d": "no_answer"})
    values = [at for at, r in it.told if r.point == "d/0" and r.quality == 0]
    assert values == it.begun(since=60.0)
    assert len([at for at, r in it.told if r.point == "d/1"]) <= 5


def test_a_read_that_fails_in_us_is_counted_and_costs_only_its_device_a_period(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = after(60.0, {"d": (10.0,), "e": (10.0,)}, raises={"d"})
    assert it.stats.faults == len(it.begun("d")) == len(it.begun("e")) == 7
    assert len(it.told_of("e", "good")) == 7
    assert it.told_of("d", "no_answer") == it.begun("d"), "nothing unknown looks normal"
    assert "line l: reading device d failed" in caplog.text


def test_a_retry_that_fails_in_us_waits_for_the_longest_back_off() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(60.0)
        it.devices.raises = {"d"}
        await it.lasts(100.0)

    it = play(story, {"d": (1000.0,)}, row=LINE, says={"d": "no_answer"})
    waits = [wait for at, wait in tries(it, "d") if at > 60.0 + CAP_S]
    assert waits == pytest.approx([CAP_S] * len(waits))
    assert len(waits) >= 10


def test_behind_a_lost_line_another_device_is_tried_after_a_retry_that_fails_in_us() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(60.0)
        it.devices.raises, it.devices.says = {"d"}, {}
        await it.lasts(3.0 * CAP_S)

    paces: Paces = {"d": (10.0,), "e": (10.0,)}
    it = play(story, paces, row=LINE, says=dict.fromkeys("de", "link_down"))
    assert len(it.told_of("e", "good")) >= 1
    assert it.stats.lost == set()


def test_a_retry_that_fails_in_us_leaves_its_device_its_own_pace() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(60.0)
        it.devices.raises = {"d"}
        await it.lasts(600.0)
        it.devices.raises, it.devices.says = set(), {}
        await it.lasts(600.0)

    it = play(story, {"d": (60.0,), "e": (10.0,)}, row=LINE, says={"d": "no_answer"})
    told = it.told_of("d", "no_answer")[1:]  # the first is not in its phase yet
    assert [b - a for a, b in pairwise(told)] == pytest.approx([60.0] * 10)
    assert len(it.told_of("d", "good")) >= 10


# --- an answer without values


@pytest.mark.parametrize("why", ["device_refused", "undecodable"])
def test_a_device_without_values_is_asked_again_before_long_and_said_once(
    why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        it.devices.says = {"d/1": why}
        await it.lasts(100.0)
        assert len(said(caplog)["device d"]) == 1, "all of it must give values again"
        it.devices.says.clear()
        await it.lasts(100.0)

    it = play(story, {"d": (3600.0, 1800.0)}, row=LINE, says={"d": why})
    for number, healed in enumerate((100.0, 200.0)):
        of = [read.begun for read in it.devices.reads if read.points == [f"d/{number}"]]
        assert [b - a for a, b in pairwise(of)] == pytest.approx([CAP_S] * (len(of) - 1))
        assert of[-2] < healed <= of[-1], "what gave a value waits for its own time"
    (lines,) = said(caplog).values()
    assert [words.split()[0] for words in lines] == ["answers", "gives"]
    assert lines[1] == f"gives values again after {of[-1] - of[0]:.1f} s"
    assert it.stats.lost == set()


def test_what_is_due_before_its_longest_back_off_keeps_its_pace_without_values() -> None:
    it = after(60.0, {"d": (5.0,)}, row=LINE, says={"d": "undecodable"})
    steps = [b - a for a, b in pairwise(it.begun())][1:]
    assert steps == pytest.approx([5.0] * len(steps))


def test_one_value_is_enough_to_be_read_at_its_pace() -> None:
    it = after(60.0, {"d": (3600.0, 3600.0)}, row=LINE, says={"d/0": "undecodable"})
    assert len(it.begun()) == 1
    assert not it.stats.lost
