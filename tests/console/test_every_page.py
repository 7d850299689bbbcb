"""Every page, at a desk and on a phone, in both languages: for everybody, quiet, and in its bounds."""

from collections.abc import Iterable, Iterator, Mapping

import pytest
from playwright.sync_api import Page, expect

from commands.shooting import DESK, LANGUAGES, PHONE, Look, Screen, settle
from tests.console.conftest import Visits

LOOKS = [Look(screen, language) for screen, language in zip((DESK, PHONE), LANGUAGES, strict=True)]
"""Each screen and each language once; widths are measured below in all four."""
NIGHTS = [Look(screen, "en", "night") for screen in (DESK, PHONE)]
BY_NIGHT = ("overview", "asset", "alarm", "order")
GRAVE = ("serious", "critical")
FINGER_PX = 44

RUN_AXE = """async () => {
  const rules = { "target-size": { enabled: true } };
  const found = await axe.run(document, { rules, resultTypes: ["violations"] });
  return found.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.target.join(" "))]);
}"""
WALK = (
    """(to) => { history.pushState(null, "", to); dispatchEvent(new PopStateEvent("popstate")); }"""
)
"""As a click on one of the page's own links: nothing is loaded anew."""
SMALL = """(least) => [...document.querySelectorAll("a[href], button, input, select")]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest("p, dd, .sub"))
  .map((e) => [e, e.closest("label, th, td, li")?.matches("label") ? e.closest("label") : e])
  .map(([e, box]) => [e, box.getBoundingClientRect()])
  .filter(([, r]) => r.height < least - 0.5 || r.width < least - 0.5)
  .map(([e, r]) => `${e.outerHTML.slice(0, 90)} ${r.width.toFixed(0)}x${r.height.toFixed(0)}`)"""
"""Links inside a sentence are text; everything else that a finger meets is measured."""
RETURNED_MS_MAX = 90_000
"""The silence that the demo was given ends as soon as it is read again, which may take a back-off."""
CUT = """(tag) => {
  const [inner, outer] = [tag, tag.closest("td, .card")].map((e) => e.getBoundingClientRect());
  return inner.right > outer.right || inner.left < outer.left;
}"""
TOO_WIDE = """() => [document.documentElement.scrollWidth, innerWidth]"""


def walk(page: Page, pages: Mapping[str, str], names: Iterable[str] = ()) -> Iterator[str]:
    """From page to page without loading the console anew; the name of each once it is there."""
    for name in names or pages:
        page.evaluate(WALK, pages[name])
        settle(page, name)
        yield name


def grave_faults(page: Page) -> list[str]:
    found = page.evaluate(RUN_AXE)
    return [f"{rule} at {', '.join(where)}" for impact, rule, where in found if impact in GRAVE]


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_is_there_for_everybody(
    look: Look, visit: Visits, pages: Mapping[str, str], axe: str
) -> None:
    page = visit.to(pages["overview"], look)
    page.evaluate(axe)
    assert {name: grave_faults(page) for name in walk(page, pages)} == {name: [] for name in pages}


@pytest.mark.parametrize("look", NIGHTS, ids=str)
def test_by_night_too(look: Look, visit: Visits, pages: Mapping[str, str], axe: str) -> None:
    page = visit.to(pages["overview"], look)
    page.evaluate(axe)
    found = {name: grave_faults(page) for name in walk(page, pages, BY_NIGHT)}
    assert found == {name: [] for name in BY_NIGHT}


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_before_signing_in_too(look: Look, visit: Visits, axe: str) -> None:
    page = visit.anyone(look)
    for address in ("/", "/setup?link=used"):
        page.goto(address)
        page.wait_for_selector("h1")
        page.evaluate(axe)
        assert grave_faults(page) == []


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_point_shows_what_it_is_to_other_systems(look: Look, visit: Visits) -> None:
    page = visit.to("/sites/riverside/assets/a-booster?point=a-booster%2Fflow", look)
    expect(page.get_by_text("Brick Water_Flow_Sensor · Haystack domestic water flow sensor", exact=True)).to_be_visible()  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_on_a_phone_no_page_scrolls_sideways_and_fingers_meet_what_they_want(
    language: str, visit: Visits, pages: Mapping[str, str]
) -> None:
    page = visit.to(pages["overview"], Look(PHONE, language))
    wide, small = {}, {}
    for name in walk(page, pages):
        content, window = page.evaluate(TOO_WIDE)
        assert window == PHONE.width
        wide[name] = content - window
        small[name] = page.evaluate(SMALL, FINGER_PX)
    assert wide == dict.fromkeys(pages, 0)
    assert small == {name: [] for name in pages}


@pytest.mark.parametrize("language", LANGUAGES)
def test_at_a_desk_the_page_itself_never_scrolls(
    language: str, visit: Visits, pages: Mapping[str, str]
) -> None:
    page = visit.to(pages["overview"], Look(DESK, language))
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    sizes = {name: page.evaluate(size) for name in walk(page, pages)}
    assert sizes == {name: [DESK.width, DESK.height] for name in pages}


@pytest.mark.usefixtures("nobodys_alarm")
@pytest.mark.parametrize("screen", [DESK, PHONE], ids=str)
def test_an_alarm_that_has_returned_says_so_however_long_its_names_are(
    screen: Screen, visit: Visits
) -> None:
    page = visit.to("/sites/riverside/alarms", Look(screen))
    said = page.locator("tr .tag.n, .card .tag.n", has_text="returned").first
    said.wait_for(state="visible", timeout=RETURNED_MS_MAX)
    assert said.evaluate(CUT) is False
