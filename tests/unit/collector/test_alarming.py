"""Alarming as a running thing: timers by a clock, asks, a ledger that is away, restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from collector.alarm_ledger import TIME_CURSOR
from collector.domain.conditions import Condition
from collector.ports import Ask, Outcome, TakenOver, Unavailable
from config.clock import SteppedClock
from config.rules import Rule
from tests.alarm_world import SITE, START, Said, World, a_plant, a_rule, group_of, ms
from tests.waiting import until


def world(*rules: Rule) -> World:
    return World(a_plant(rules or [a_rule()]))


@asynccontextmanager
async def running(world: World, clock: SteppedClock) -> AsyncIterator[None]:
    task = asyncio.create_task(world.alarming.run(clock))
    await asyncio.sleep(0)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_delay_ends_by_the_clock_without_a_message() -> None:
    tank, clock = world(a_rule(on_delay_s=5)), SteppedClock(START)
    async with running(tank, clock):
        tank.read(Said(0, 11))
        await clock.advance(5)
        assert tank.story() == []
        await clock.advance(0.2)
        assert tank.story() == [(5, "raised"), (5, "annunciated")]


async def test_a_reading_received_before_the_instant_may_still_break_the_delay() -> None:
    tank, clock = world(a_rule(on_delay_s=5)), SteppedClock(START)
    async with running(tank, clock):
        tank.read(Said(0, 11))
        await clock.advance(5.05)
        tank.read(Said(4.9, 5), received=4.95)
        await clock.advance(1)
        assert tank.story() == [(4.9, "blip")]


async def test_an_ask_is_answered_soon() -> None:
    tank, clock = world(), SteppedClock(START)
    async with running(tank, clock):
        tank.read(Said(0, 11))
        id = tank.decisions.rows("alarm")[0].id
        tank.asks.ask(Ask("r1", SITE, "acknowledge", id, "li", ms(0)))
        await clock.advance(0.5)
        await until(lambda: tank.asks.outcome("r1"))
        assert tank.alarm()["acknowledged_by"] == "li"
        assert tank.alarm()["note"] is None


async def test_after_a_stop_readings_that_queued_speak_before_timers_that_passed() -> None:
    tank = world(a_rule(on_delay_s=5), a_rule("silent", kind="silent", levels=()))
    tank.read(Said(1, 11))
    tank.restart()
    clock = SteppedClock(ms(300))
    async with running(tank, clock):
        await clock.advance(1)
        assert tank.alarming.next_wake() is None
        tank.read(*(Said(2 + 50 * n, 5) for n in range(6)), Said(300.5, 5), received=301)
        await clock.advance(10)
    assert tank.story() == [(2, "blip")]


async def test_after_a_stop_what_no_reading_contradicts_is_announced_on_waking() -> None:
    tank = world(a_rule(on_delay_s=5))
    tank.read(Said(1, 11))
    tank.restart()
    clock = SteppedClock(ms(30))
    async with running(tank, clock):
        await clock.advance(4)
        assert tank.story() == []
        await clock.advance(2)
    assert tank.story("raised") == [(6, "raised")]
    assert tank.alarm()["announced_at"] == ms(35)


async def test_a_ledger_that_is_away_is_named_once_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tank, clock = world(a_rule(on_delay_s=1)), SteppedClock(START)
    async with running(tank, clock):
        tank.read(Said(0, 11))
        tank.decisions.away = tank.asks.away = True
        await clock.advance(5)
        tank.decisions.away = tank.asks.away = False
        with caplog.at_level("INFO"):
            await clock.advance(3)
    assert tank.story("raised") == [(1, "raised")]
    assert [record.getMessage() for record in caplog.records] == [
        "decisions wait for the ledger: the ledger is away",
        "the ledger is back",
    ]


async def test_who_lost_the_ledger_ends() -> None:
    tank, clock = world(), SteppedClock(START)

    def lost() -> None:
        raise TakenOver("another collector has it")

    tank.alarming.flush = lost  # type: ignore[method-assign]  # as that of a former owner
    with pytest.raises(TakenOver):
        await asyncio.wait_for(tank.alarming.run(clock), 5)


def test_a_ledger_that_was_away_a_moment_ago_is_not_asked_again() -> None:
    tank = world()
    tank.decisions.away = True
    with pytest.raises(Unavailable, match="is away"):
        tank.read(Said(1, 11))
    tank.decisions.away = False
    with pytest.raises(Unavailable, match="a moment ago"):
        tank.read(Said(1.5, 11))
    assert (tank.alarming.position, tank.alarming.waiting) == (0, 2)
    tank.read(Said(3, 11))
    assert tank.alarming.position == 3
    assert tank.story() == [(1, "raised"), (1, "annunciated")]


def test_without_events_the_cursor_is_written_once_a_second() -> None:
    tank = world()
    before = tank.decisions.appends
    tank.series(1, [5.0] * 50, every=0.1)
    assert tank.decisions.appends - before <= 6
    assert tank.alarming.position >= 40


def test_a_group_judged_already_changes_nothing() -> None:
    tank = world()
    tank.read(Said(1, 5))
    group = group_of(tank.live, [Said(2, 11)], 2, position=1)
    tank.alarming.judge(group)
    assert tank.now().condition is Condition.NORMAL


def test_an_ask_done_before_a_stop_that_lost_its_outcome_is_no_refusal() -> None:
    tank = world()
    tank.read(Said(1, 11))
    id = tank.decisions.rows("alarm")[0].id
    tank.asks.ask(Ask("r1", SITE, "acknowledge", id, "li", ms(2)))
    tank.asks.away = True
    tank.alarming.wake(ms(3))
    tank.asks.away = False
    tank.alarming.wake(ms(3))
    tank.asks.away = True
    with pytest.raises(Unavailable):
        tank.alarming.flush()
    tank.asks.away = False
    tank.restart()
    tank.wake(4)
    assert tank.asks.outcome("r1") == Outcome("r1", accepted=True, reason="", at=ms(4))
    assert len(tank.events("acknowledged")) == 1


def test_outcomes_are_kept_with_the_next_flush_when_only_they_failed() -> None:
    tank = world()
    tank.read(Said(1, 11))
    id = tank.decisions.rows("alarm")[0].id
    tank.asks.ask(Ask("r1", SITE, "acknowledge", id, "li", ms(2)))
    tank.alarming.wake(ms(3))
    tank.asks.away = True
    with pytest.raises(Unavailable):
        tank.alarming.flush()
    tank.asks.away = False
    tank.wake(5)
    assert tank.asks.outcome("r1") == Outcome("r1", accepted=True, reason="", at=ms(3))


def test_an_ask_for_an_alarm_that_is_not_there_is_refused_with_a_reason() -> None:
    tank = world()
    assert tank.ask("acknowledge", 1, subject="high~7").reason == "nothing_to_acknowledge"
    assert tank.ask("reset", 2, subject="high~7").reason == "not_latched"


def test_an_acknowledgement_is_never_from_the_future() -> None:
    tank = world()
    tank.read(Said(1, 11))
    id = tank.decisions.rows("alarm")[0].id
    tank.asks.ask(Ask("r1", SITE, "acknowledge", id, "li", ms(900)))
    tank.wake(3)
    assert tank.alarm()["acknowledged_at"] == ms(3)
    assert tank.events("acknowledged")[0].data["position"] == 1


def test_history_sent_twice_never_overwrites_what_was_judged_live() -> None:
    tank = world()
    tank.read(Said(1, 11))
    tank.read(Said(2, 12))
    tank.read(Said(1, 11, live=False), received=3)
    assert tank.alarm()["retrospective"] is False
    assert tank.events("retrospective") == []
    assert tank.now().letter == "B"


def test_history_shown_twice_is_one_occurrence() -> None:
    tank = world()
    tank.read(Said(10, 5))
    for received in (11, 12):
        tank.read(Said(1, 11, live=False), Said(2, 5, live=False), received=received)
    assert tank.story() == [(1, "retrospective"), (2, "retrospective_closed")]
    assert len(tank.decisions.rows("alarm")) == 1


def test_a_sensor_that_dies_while_its_alarm_is_active_freezes_it_and_is_told_apart() -> None:
    tank = world(a_rule(), a_rule("silent", kind="silent", levels=(), on_delay_s=10))
    tank.read(Said(1, 11))
    for n in range(2, 20):
        tank.read(Said(n, None, "no_answer"))
    assert (tank.now().letter, tank.now().condition) == ("B", Condition.UNKNOWN)
    assert tank.now("silent").letter == "B"
    assert tank.story("raised") == [(1, "raised"), (12, "raised")]
    tank.read(Said(30, 5))
    assert (tank.now().letter, tank.now("silent").letter) == ("D", "D")


def test_a_site_without_rules_is_watched_without_effort() -> None:
    tank = World(replace(a_plant([a_rule()]), rules={}))
    tank.read(Said(1, 11))
    assert tank.alarming.next_wake() is None
    assert tank.live.conditions(SITE) == {}


def test_rules_that_the_ledger_remembers_better_than_the_live_table_go_on() -> None:
    """The live table's file was lost: what was heard was heard until the stop, at the latest."""
    tank = world(a_rule(), a_rule("silent", kind="silent", levels=()))
    tank.series(1, [5, 5, 5])
    tank.saved = b""
    tank.restart()
    tank.wake(50)
    assert tank.events("raised") == []
    tank.wake(64)
    assert tank.story("raised") == [(63.001, "raised")]


def test_a_restart_without_recall_takes_it_up_with_the_first_group() -> None:
    tank = world(a_rule(), a_rule("silent", kind="silent", levels=()))
    tank.series(1, [5, 5, 5])
    tank._start()
    tank.read(Said(40, 5))
    tank.wake(90)
    assert tank.events("raised") == []
    tank.wake(101)
    assert tank.story("raised") == [(100.001, "raised")]


def test_an_edit_of_a_rule_whose_point_was_never_read_waits_for_a_reading() -> None:
    tank = world()
    tank.restart(rules=[a_rule(version="2", on_delay_s=3)])
    tank.wake(5)
    assert (tank.events(), tank.now().condition) == ([], Condition.UNKNOWN)


def test_a_reading_of_the_instant_at_which_silence_begins_comes_after_it() -> None:
    """Rules-alarms 8: at one instant timers, then readings; silence of 60 s after second 1 begins at 61.001."""
    tank = World(a_plant([a_rule()]))
    tank.read(Said(1, 5))
    tank.read(Said(61.001, 5))
    assert tank.story("condition") == [(61.001, "condition"), (61.001, "condition")]


def test_what_silence_broke_begins_anew_with_a_reading_of_its_instant() -> None:
    """An on-delay of 100 s, dropped by silence, ends 100 s after the reading and not before."""
    tank = World(a_plant([a_rule(on_delay_s=100.0)]))
    tank.read(Said(1, 15))
    tank.read(Said(61.001, 15))
    tank.read(Said(102, 15))
    assert tank.story("raised") == []


def test_the_silent_rule_speaks_though_a_reading_came_at_its_instant() -> None:
    tank = World(a_plant([a_rule("quiet", kind="silent", levels=())]))
    tank.read(Said(1, 5))
    tank.read(Said(61.001, 5))
    assert tank.story("raised") == [(61.001, "raised")]


HOUR_S = 3600


@pytest.mark.parametrize("restarted", [False, True])
def test_a_server_s_clock_that_was_set_back_does_not_blind_a_rule(*, restarted: bool) -> None:
    tank = world(a_rule())
    tank.read(Said(HOUR_S, 5))
    if restarted:
        tank.restart()
    tank.read(Said(2, 11))
    assert tank.story("raised") == [(2, "raised")]


def test_no_condition_is_shown_since_a_time_ahead_after_the_clock_was_set_back() -> None:
    tank = world()
    tank.read(Said(HOUR_S, 5))
    tank.read(Said(2, 5))
    assert tank.now().since == ms(2)


def test_who_falls_silent_after_the_clock_was_set_back_is_missed_in_time() -> None:
    tank = world(a_rule("silent", kind="silent", levels=()))
    tank.read(Said(HOUR_S, 5))
    tank.read(Said(2, 5))
    tank.wake(HOUR_S / 2)
    assert tank.story("abnormal_again") == [(62.001, "abnormal_again")]


def test_who_is_not_heard_again_after_the_clock_was_set_back_is_missed_in_time() -> None:
    tank = world(
        a_rule("silent", kind="silent", levels=()), a_rule("other", point="tank/temperature")
    )
    tank.read(Said(HOUR_S, 5), Said(HOUR_S, 5, point="tank/temperature"))
    for second in range(2, 100, 10):
        tank.read(Said(second, 5, point="tank/temperature"))
    assert tank.story("abnormal_again") == [(62.001, "abnormal_again")]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "event"), [(5, 11, "raised"), (11, 5, "returned")], ids=["on", "off"]
)
def test_a_delay_that_began_ahead_ends_in_time_after_the_clock_was_set_back(
    before: float, after: float, event: str, *, restarted: bool
) -> None:
    tank = world(a_rule(on_delay_s=30, off_delay_s=30))
    tank.series(-10, [before] * 9, every=5)
    tank.series(HOUR_S, [after] * 2)
    tank.read(Said(2, after))
    if restarted:
        tank.restart()
    tank.series(7, [after] * 6, every=5)
    assert tank.story(event) == [(32, event)]
    assert tank.now().since == ms(32)


@pytest.mark.parametrize("restarted", [False, True])
def test_who_is_watched_since_a_time_ahead_is_missed_in_time(*, restarted: bool) -> None:
    tank = world()
    tank.restart(rules=[a_rule(), a_rule("silent", kind="silent", levels=())])
    tank.wake(HOUR_S)
    tank.read(Said(HOUR_S + 1, 5))
    tank.read(Said(2, 5))
    if restarted:
        tank.restart()
    tank.wake(70)
    assert tank.story("raised") == [(62.001, "raised")]
    assert (tank.now().condition, tank.now().since) == (Condition.UNKNOWN, ms(62.001))


def test_the_ledger_s_time_goes_back_with_the_clock() -> None:
    tank = world()
    tank.read(Said(HOUR_S, 5))
    tank.read(Said(2, 5))
    tank.read(Said(4, 5))
    assert tank.decisions.cursor(TIME_CURSOR) == ms(4)


def test_the_cursor_moves_on_after_the_clock_was_set_back() -> None:
    """Or the journal could let go of nothing until the hour had passed."""
    tank = world(a_rule())
    tank.read(Said(HOUR_S, 5))
    for second in (2, 4, 6):
        tank.read(Said(second, 5))
    assert tank.alarming.position == 4
