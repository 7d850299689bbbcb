"""Everything by keyboard: finding, acknowledging, opening, and moving an order along its way."""

import re
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page, expect

from commands.installation import Installation
from commands.shooting import DESK, NAME, PASSWORD, PHONE, Look, Screen, settle
from tests.console.conftest import Visits

SITE = "/sites/riverside"
FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const look = getComputedStyle(e), box = e.getBoundingClientRect();
  const x = Math.min(innerWidth - 1, box.x + Math.min(box.width, 24) / 2), y = Math.min(innerHeight - 1, box.y + Math.min(box.height, 24) / 2);
  const top = document.elementFromPoint(x, y);
  const own = e.closest("label") ?? e;
  return {
    what: e.outerHTML.slice(0, 80),
    ringed: [e, own].some((o) => { const l = getComputedStyle(o); return (l.outlineStyle !== "none" && parseFloat(l.outlineWidth) > 0) || l.boxShadow !== "none"; }),
    seen: own.contains(top) || (top?.contains(e) ?? false),
  };
}"""


def order_of(demo: Installation, page: Page) -> dict[str, Any]:
    number = page.url.rpartition("/")[2]
    found: dict[str, Any] = demo.call(f"sites/riverside/orders/{number}")
    return found


@pytest.mark.parametrize("look", [DESK, PHONE], ids=["desk", "phone"])
def test_an_alarm_is_found_acknowledged_and_its_asset_opened(
    visit: Visits, demo: Installation, nobodys_alarm: str, look: Screen
) -> None:
    del nobodys_alarm  # there are some that nobody has
    page = visit.to(SITE, Look(look))
    page.keyboard.press("l")
    expect(page).to_have_url(re.compile("/alarms$"))
    rows = page.locator("tr[aria-selected=true]")
    expect(rows).to_have_count(1 if look is DESK else 0)  # a phone shows cards
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("/alarms/.+"))
    first = page.url
    page.keyboard.press("n")
    expect(page).not_to_have_url(first)
    alarm_id = unquote(page.url.rpartition("/alarms/")[2])
    if look is DESK:
        expect(rows).to_have_attribute("data-id", alarm_id)
    why = page.locator(".why")
    expect(why.get_by_role("button", name="Acknowledge")).to_be_visible()
    page.keyboard.press("a")
    expect(why.get_by_role("button", name="Acknowledge")).to_have_count(0)
    expect(why.locator(".facts")).to_contain_text(f"acknowledged by {NAME}")
    alarm = demo.call(f"sites/riverside/alarms/{alarm_id}")
    assert alarm["acknowledged_by"] == NAME
    page.keyboard.press("o")
    expect(page).to_have_url(re.compile(f"/assets/{re.escape(alarm['asset'])}$"))
    expect(page.locator("h1")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(f"{SITE}$"))


def test_the_keys_of_a_page_stand_at_its_foot_and_all_of_them_on_asking(visit: Visits) -> None:
    page = visit.to(SITE)
    expect(page.locator("footer.keys")).to_contain_text("acknowledge")
    page.keyboard.press("?")
    expect(page.locator(".keylist")).to_contain_text("orders")
    page.keyboard.press("Escape")
    expect(page.locator(".keylist")).to_have_count(0)
    page.keyboard.press("2")
    expect(page).to_have_url(re.compile(r"/alarms\?level=high$"))
    page.keyboard.press("/")
    expect(page.locator(".search input")).to_be_focused()
    page.keyboard.type("nothing is called that")
    expect(page.locator("main")).to_contain_text("Nothing matches.")


def moves(page: Page) -> set[str]:
    return {str(b.get_attribute("data-move")) for b in page.locator("button[data-move]").all()}


def now(page: Page, state: str) -> None:
    expect(page.locator(".states [aria-current=step] b")).to_have_text(state)


def step(page: Page, demo: Installation, state: str) -> None:
    """`N` leads to that state, and every button there is a move that the state allows."""
    page.keyboard.press("n")
    now(page, state)
    legal_buttons(page, demo)


def legal_buttons(page: Page, demo: Installation) -> None:
    legal = {m["move"] for m in order_of(demo, page)["moves"]}
    expect(page.locator("button[data-move]")).to_have_count(len(legal))
    assert moves(page) == legal


def report(visit: Visits, title: str) -> Page:
    """A fault that somebody reports, from the overview to its own page, by keys alone."""
    page = visit.to(SITE)
    page.keyboard.press("w")
    expect(page).to_have_url(re.compile("/orders$"))
    page.keyboard.press("c")
    button = page.locator("form button[type=submit]")
    expect(button).to_have_text("Report: a title")
    page.keyboard.type(title)
    expect(button).to_have_text("Report: which asset")
    page.keyboard.press("Tab")
    page.keyboard.type("Elev")
    expect(button).to_have_text("Report")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(title)
    now(page, "reported")
    return page


def test_an_order_is_reported_and_goes_its_way_by_legal_moves_only(
    visit: Visits, demo: Installation
) -> None:
    page = report(visit, "Handrail is loose")
    legal_buttons(page, demo)
    step(page, demo, "triaged")
    page.keyboard.press("n")
    expect(page.get_by_role("textbox", name="Dispatch: to whom")).to_have_value(NAME)
    page.keyboard.press("Enter")
    now(page, "dispatched")
    for state in ("accepted", "departed", "arrived", "in progress", "completed"):
        step(page, demo, state)
    page.keyboard.press("n")
    page.get_by_role("textbox", name="Verify with a reason: why").fill("Tightened, looked at")
    page.keyboard.press("Enter")
    now(page, "verified")
    step(page, demo, "closed")
    assert order_of(demo, page)["closed_by"] == NAME


def test_a_move_that_must_be_told_something_waits_until_it_is(
    visit: Visits, demo: Installation
) -> None:
    page = report(visit, "Door closes slowly")
    step(page, demo, "triaged")
    page.keyboard.press("n")
    asked = page.get_by_role("textbox", name="Dispatch: to whom")
    expect(asked).to_be_focused()
    asked.fill("")
    expect(page.locator(".moves button[type=submit]")).to_have_text("Dispatch: say to whom")
    page.keyboard.press("Enter")
    expect(asked).to_be_focused()
    assert order_of(demo, page)["state"] == "triaged"
    page.keyboard.press("Escape")
    expect(asked).to_have_count(0)
    expect(page).to_have_url(re.compile("/orders/.+"))
    now(page, "triaged")


def test_a_refused_move_says_what_is_missing(visit: Visits, demo: Installation) -> None:
    demo.call("people", {"name": "guest", "roles": ["viewer"], "password": PASSWORD})
    (order, *_) = demo.call("sites/riverside/orders?state=open")["items"]
    page = visit.person("guest")
    page.goto(f"{SITE}/orders/{order['number']}")
    settle(page)
    refused = page.locator("button[data-move]")
    assert moves(page) == {m["move"] for m in order_of(demo, page)["moves"]}
    for button in refused.all():
        expect(button).to_have_attribute("aria-disabled", "true")
        expect(button).to_contain_text(": needs ")
    page.keyboard.press("n")
    refused.first.click(force=True)
    assert order_of(demo, page)["version"] == order["version"]


@pytest.mark.parametrize("look", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("path", ["", "/alarms", "/orders", "/due"])
def test_the_focus_is_always_seen(path: str, look: Screen, visit: Visits) -> None:
    page = visit.to(SITE + path, Look(look))
    met = []
    for _ in range(60):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUS)
        if at is None:
            break
        met.append(at)
    assert len(met) > 10
    assert [at["what"] for at in met if not (at["ringed"] and at["seen"])] == []
