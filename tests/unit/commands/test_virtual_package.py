"""The package that scenarios bring: there for them alone, and an agent that reads its files anew for them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from commands.real_site import only_virtual
from commands.scenarios import run_scenario, scenario_plant
from commands.virtual import VirtualSite
from commands.virtual_package import NAME, _however, installed
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.mistakes import ConfigErrors
from config.plant import Plant
from config.readers import installed_readers, package_of
from edge.foreign import ForeignReader
from edge.reloading import CannotReload
from simulators.estate import Estate, UnknownFault
from simulators.scenario import Action, Scenario

START_MS = 1_763_700_000_000
AGENT, DEVICE = "edge-house", "sensor-room-1"


@pytest.fixture(scope="module")
def hillside() -> Plant:
    return scenario_plant("hillside")


def test_the_package_is_installed_for_as_long_as_a_scenario_needs_it() -> None:
    with installed():
        assert package_of(installed_readers()[NAME]) == "steward-simulated 1.0"
    assert NAME not in installed_readers()


def test_a_reader_of_another_package_is_not_simulated(hillside: Plant) -> None:
    lines = {id: replace(line, reader="bacnet") for id, line in hillside.lines.items()}
    nothing = Scenario("nothing", "", "hillside", 1, "2026-03-02T08:00:00", 1.0, (), ())
    with pytest.raises(ConfigErrors, match=r"lines\.hall: is bacnet, which is not simulated"):
        run_scenario(nothing, replace(hillside, lines=lines))


def test_what_befalls_packages_befalls_no_other_device(hillside: Plant) -> None:
    Estate(hillside).fault("room-1", "raises")
    with pytest.raises(UnknownFault, match="'raises' is no fault of pit-1"):
        Estate(scenario_plant("millside")).fault("pit-1", "raises")


def test_no_process_is_started_for_what_befalls_an_edges_files() -> None:
    reload = Action(1.0, "reload", "edge-a", "booster-a")
    scenario = Scenario("one", "", "riverside", 1, "2026-03-02T08:00:00", 1.0, (reload,), ())
    assert "files" in only_virtual(scenario, scenario_plant("riverside"))


def play(plant: Plant, folder: Path, does: Callable[[VirtualSite], Awaitable[None]]) -> VirtualSite:
    loop = VirtualLoop()
    site = VirtualSite(plant, VirtualClock(loop, START_MS), 1, None, folder)

    async def run() -> None:
        async with site.running():
            await does(site)

    with installed():
        run_virtual(run(), loop=loop)
    return site


def test_files_that_were_read_anew_are_those_of_the_next_start(
    hillside: Plant, tmp_path: Path
) -> None:
    async def twice(site: VirtualSite) -> None:
        await site.reload(AGENT, DEVICE)
        await site.restart_agent(AGENT)
        await site.reload(AGENT, DEVICE)

    site = play(hillside, tmp_path, twice)
    assert site._running[AGENT].plant.devices[DEVICE].learnt == 3
    assert hillside.devices[DEVICE].learnt == 1


def test_a_reload_that_is_refused_ends_the_scenario(hillside: Plant, tmp_path: Path) -> None:
    async def on_a_full_disk(site: VirtualSite) -> None:
        site.disk("fills")
        await site.clock.sleep_until(30.0)  # with readings that wait for the disk
        with pytest.raises(CannotReload, match="agent edge-house: refused"):
            await site.reload(AGENT, DEVICE)

    play(hillside, tmp_path, on_a_full_disk)


def test_a_packages_line_ends_within_four_seconds_whatever_its_reader_makes_of_it(
    hillside: Plant, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its read nor its end comes to an end: no reload waits for it as long as for a line that it gives up."""
    took: list[float] = []

    async def while_nothing_ends(site: VirtualSite) -> None:
        site.estate.fault("room-1", "stubborn", seconds=300)
        await site.clock.sleep_until(1.5)  # the first read has begun
        reader = site._running[AGENT].readers["room-1"]
        assert isinstance(reader, ForeignReader)
        assert reader._inner
        reader._inner.close = lambda: _however(300.0)  # type: ignore[method-assign]  # the package's own
        begun = site.clock.monotonic()
        await site.reload(AGENT, DEVICE)
        took.append(site.clock.monotonic() - begun)

    play(hillside, tmp_path, while_nothing_ends)
    assert took == [pytest.approx(4.0)]
    assert "does not close within 2 s" in caplog.text
    assert "not ended within" not in caplog.text


@pytest.mark.parametrize(("kind", "lost"), [("link_lost", "link_down"), ("slow", "no_answer")])
def test_what_befalls_the_link_of_any_device_befalls_a_packages_too(
    kind: str, lost: str, hillside: Plant, tmp_path: Path
) -> None:
    said: list[str] = []

    async def lost_at_once(site: VirtualSite) -> None:
        site.estate.fault("room-1", kind)
        await site.clock.sleep_until(3.0)
        said.append(site._running[AGENT].lines()["line room-1"])

    play(hillside, tmp_path, lost_at_once)
    assert f"({lost})" in said[0]
