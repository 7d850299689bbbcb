"""Every page, at a desk and on a phone, in both languages: for everybody, quiet, and in its bounds."""

from collections.abc import Mapping
from itertools import product

import pytest
from playwright.sync_api import Page

from commands.shooting import DESK, LANGUAGES, PHONE, Look
from tests.console.conftest import Visits

NAMES = ("overview", "system", "asset", "alarms", "alarm", "unknown", "journal", "orders", "order", "due")  # fmt: skip
LOOKS = [Look(screen, language) for screen, language in product((DESK, PHONE), LANGUAGES)]
NIGHTS = [Look(screen, "en", "night") for screen in (DESK, PHONE)]
GRAVE = ("serious", "critical")
FINGER_PX = 44

RUN_AXE = """async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
  return found.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.target.join(" "))]);
}"""
SMALL = """(least) => [...document.querySelectorAll("a[href], button, input, select")]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest("p, dd, .sub"))
  .map((e) => [e, e.closest("label, th, td, li")?.matches("label") ? e.closest("label") : e])
  .map(([e, box]) => [e, box.getBoundingClientRect()])
  .filter(([, r]) => r.height < least - 0.5 || r.width < least - 0.5)
  .map(([e, r]) => `${e.outerHTML.slice(0, 90)} ${r.width.toFixed(0)}x${r.height.toFixed(0)}`)"""
"""Links inside a sentence are text; everything else that a finger meets is measured."""
TOO_WIDE = """() => [document.documentElement.scrollWidth, innerWidth]"""


def grave_faults(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate(RUN_AXE)
    return [f"{rule} at {', '.join(where)}" for impact, rule, where in found if impact in GRAVE]


@pytest.mark.parametrize("look", [*LOOKS, *NIGHTS], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_there_for_everybody(
    name: str, look: Look, visit: Visits, pages: Mapping[str, str], axe: str
) -> None:
    assert grave_faults(visit.to(pages[name], look), axe) == []


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("address", ["/", "/setup?link=used"])
def test_the_pages_before_signing_in_are_there_for_everybody(
    address: str, look: Look, visit: Visits, axe: str
) -> None:
    page = visit.anyone(look)
    page.goto(address)
    page.wait_for_selector("h1")
    assert grave_faults(page, axe) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_on_a_phone_a_page_never_scrolls_sideways_and_fingers_meet_what_they_want(
    name: str, language: str, visit: Visits, pages: Mapping[str, str]
) -> None:
    page = visit.to(pages[name], Look(PHONE, language))
    content, window = page.evaluate(TOO_WIDE)
    assert content <= window == PHONE.width
    assert page.evaluate(SMALL, FINGER_PX) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_at_a_desk_the_page_itself_never_scrolls(
    name: str, language: str, visit: Visits, pages: Mapping[str, str]
) -> None:
    page = visit.to(pages[name], Look(DESK, language))
    content, window = page.evaluate(TOO_WIDE)
    assert content <= window
    assert page.evaluate("document.documentElement.scrollHeight") <= DESK.height
