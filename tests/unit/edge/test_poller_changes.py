"""Another plant under a poller at work: what changed is read anew, the rest keeps pace, phase and losses."""

from collections.abc import Sequence

import pytest

from tests.unit.edge.rows import line
from tests.unit.edge.virtual_line import Paces, Polled, after, play, site

PACES: Paces = {"a": (10.0,), "b": (10.0, 60.0), "c": (60.0,)}
LINE = line(backoff_s_max=8.0)
DOWN = dict.fromkeys(PACES, "link_down")


def changed(it: Polled, touched: Sequence[str], **to: Sequence[float]) -> None:
    it.poller.change(site({**PACES, **to}, LINE), touched)


def test_only_what_changed_is_read_anew_and_forgotten() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        changed(it, ["b"], b=(5.0,))
        await it.lasts(100.0)

    it, idle = play(story, PACES, row=LINE), after(200.0, PACES, row=LINE)
    assert it.devices.forgotten == ["b"]
    for name in ("a", "c"):
        assert it.begun(name) == pytest.approx(idle.begun(name))
    first, second, *rest = it.begun("b", since=100.0)
    assert first < 101.0
    assert second < 105.0
    assert [at - second for at in rest] == pytest.approx([5.0 * n for n in range(1, 20)])
    assert it.stats.missed == 0


def test_a_device_that_changed_is_no_longer_lost_and_the_others_are() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        it.devices.says = {"a": "no_answer"}
        changed(it, ["b"])
        assert it.stats.lost == {"device a"}
        it.devices.reads.clear()
        await it.lasts(1.0)
        assert it.told_of("b", "no_answer", since=100.0) == []
        assert {tuple(read.points) for read in it.devices.reads if read.device == "b"} == {
            ("b/0",),
            ("b/1",),
        }
        assert "device a lost" in it.poller.words(it.clock.monotonic())
        assert "device b lost" not in it.poller.words(it.clock.monotonic())

    play(story, PACES, row=LINE, says=dict.fromkeys("ab", "no_answer"))


def test_a_lost_line_stays_lost_whatever_changes_on_it() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        changed(it, ["b"])
        it.devices.reads.clear()
        await it.lasts(4.0)
        assert it.stats.lost == {"line l"}
        assert len(it.devices.reads) <= 1
        assert it.told_of("b", "link_down", since=100.0)

    play(story, PACES, row=LINE, says=DOWN)


def test_texts_of_points_that_are_gone_go_and_the_others_stay() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        assert it.poller.facts == facts
        it.devices.facts = {}
        changed(it, ["b"], b=(10.0,))
        assert it.poller.facts == {"a/0": "A1"}

    facts = {"a/0": "A1", "b/1": "B2"}
    play(story, PACES, row=LINE, facts=facts)


def test_what_changed_while_it_gave_no_values_is_said_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        changed(it, ["b"])
        await it.lasts(100.0)

    play(story, PACES, row=LINE, says=dict.fromkeys("ab", "undecodable"))
    said = [record.getMessage().split(":")[0] for record in caplog.records]
    assert said == ["device a answers without values", *["device b answers without values"] * 2]


def test_a_device_that_is_gone_is_read_no_more_and_one_that_came_is() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        paces = {"a": PACES["a"], "c": PACES["c"], "new": (3600.0,)}
        it.poller.change(site(paces, LINE), ["b", "new"])
        assert it.poller.devices() == {"a", "c", "new"}
        await it.lasts(100.0)

    it = play(story, PACES, row=LINE)
    assert it.begun("b", since=100.0) == []
    assert 100.0 <= it.begun("new")[0] <= 101.0


def test_a_line_that_is_ended_asks_nothing_more() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        it.devices.reads.clear()
        it.poller.end()
        await it.lasts(100.0)
        assert (it.devices.reads, it.devices.closed) == ([], 1)

    play(story, PACES, row=LINE)


def test_a_line_without_devices_ends_and_gives_its_link_back() -> None:
    async def story(it: Polled) -> None:
        await it.lasts(100.0)
        it.poller.change(site({}, LINE), list(PACES))
        it.devices.reads.clear()
        await it.lasts(100.0)
        assert (it.devices.reads, it.devices.closed) == ([], 1)

    play(story, PACES, row=LINE)


@pytest.mark.parametrize("changes", ["a", "b"])
def test_what_is_being_read_is_told_unless_it_is_what_changed(changes: str) -> None:
    async def story(it: Polled) -> None:
        await it.lasts(20.0)
        it.devices.takes_s = {"a": 0.5}
        await it.lasts(it.begun("a")[-1] + 10.25 - it.clock.monotonic())
        assert it.devices.busy
        changed(it, [changes])
        begun = it.clock.monotonic()
        await it.lasts(0.25)
        (read,) = [read for read in it.devices.reads if read.ended > begun]
        assert read.device == "a"
        assert it.told_of("a", "good", since=begun) == [read.ended] * (changes == "b")

    play(story, {"a": (10.0,), "b": (10.0,)}, row=LINE)
