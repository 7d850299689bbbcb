"""Getting in: by a one-time link at first, by name and password after; and in the language one reads."""

import re

from playwright.sync_api import expect

from commands.installation import Installation
from commands.shooting import DESK, NAME, PASSWORD, Look, settle
from tests.console.conftest import Visits


def test_a_link_sets_the_password_once_and_says_what_is_still_missing(
    visit: Visits, demo: Installation
) -> None:
    link = demo.call("people", {"name": "li.na", "roles": ["viewer"]})["link"]
    page = visit.anyone()
    page.goto(f"/setup?link={link.rpartition('link=')[2]}")
    button = page.locator("button[type=submit]")
    expect(button).to_have_text("Set password: a name")
    page.locator("input[name=name]").fill("li.na")
    page.locator("input[name=password]").fill("short")
    expect(button).to_have_text("Set password: 5 characters more")
    page.locator("input[name=password]").fill(PASSWORD)
    expect(button).to_have_text("Set password: both the same")
    page.locator("input[name=again]").fill(PASSWORD)
    expect(button).to_have_text("Set password")
    page.keyboard.press("Enter")
    settle(page)
    expect(page.locator(".top .status")).to_contain_text("li.na")
    again = visit.anyone()
    again.goto(f"/setup?link={link.rpartition('link=')[2]}")
    expect(again.locator("main")).to_contain_text("This link has been used")


def test_a_wrong_password_is_refused_in_words_and_the_right_one_lets_in_and_out(
    visit: Visits,
) -> None:
    page = visit.anyone()
    page.goto("/")
    page.locator("input[name=name]").fill(NAME)
    page.locator("input[name=password]").fill("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    assert any("401" in one for one in visit.complaints), visit.complaints
    visit.complaints.clear()  # the browser says the refusal that we asked for
    page.locator("input[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    settle(page)
    expect(page).to_have_url(re.compile("/sites/riverside$"))
    page.get_by_role("button", name="Sign out").press("Enter")
    expect(page.locator("input[name=password]")).to_be_visible()


def test_the_language_changes_at_once_and_stays(visit: Visits) -> None:
    page = visit.to("/sites/riverside", Look(DESK))
    expect(page.locator("nav.nav")).to_contain_text("Alarms")
    page.get_by_role("button", name="中文").press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("nav.nav")).to_contain_text("报警")
    expect(page).to_have_title("总览 · Steward")
    page.reload()
    settle(page)
    expect(page.locator("nav.nav a").first).to_have_text("总览")
    page.get_by_role("button", name="English").press("Enter")
    expect(page.locator("nav.nav a").first).to_have_text("Overview")


def test_an_address_that_means_nothing_says_so(visit: Visits) -> None:
    page = visit.to("/sites/riverside")
    page.goto("/sites/riverside/nowhere")
    expect(page.locator("main")).to_contain_text("There is no such page.")
