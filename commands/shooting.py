"""Takes pictures of every page of a console: what a person sees at a desk and on a phone."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

from commands.installation import Installation

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
)
"""How a Chromium is started where nobody watches it."""
LANGUAGES: Final = ("en", "zh")
THEMES: Final = ("day", "night")
NAME, PASSWORD = "chen.wei", "a demo has no secrets"
READING: Final = ".note-block[role=status]"
"""What stands in the place of something that is still being read."""
ANY_MARK: Final = "main :is(tbody tr, .cards li, .states li, .note-block)"
MARKS: Final[Mapping[str, str]] = {"alarm": ".why .facts", "order": "main .states li"}
"""What a page is about, where a list beside it is there sooner."""
SETTLED_MS: Final = 400
TALL_MAX: Final = 4_000


@dataclass(frozen=True, slots=True)
class Screen:
    """One width at which people use the console, in CSS pixels."""

    width: int
    height: int

    @property
    def is_phone(self) -> bool:
        """Whether fingers use it and its pages scroll."""
        return self.width < 900


DESK: Final = Screen(1280, 800)
PHONE: Final = Screen(390, 844)


@dataclass(frozen=True, slots=True)
class Look:
    """One way to see the console."""

    screen: Screen
    language: str = "en"
    theme: str = "day"

    def __str__(self) -> str:
        return f"{self.screen.width}-{self.language}-{self.theme}"


LOOKS: Final = tuple(Look(*row) for row in product((DESK, PHONE), LANGUAGES, THEMES))


@contextmanager
def chromium(program: Path) -> Iterator[Browser]:
    """A Chromium of ours, ended with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Browser, look: Look, url: str, state: StorageState | None = None) -> Page:
    """An empty page in a context of its own, at `url` once it goes to an address; signed in by `state`."""
    context = browser.new_context(
        base_url=url,
        viewport={"width": look.screen.width, "height": look.screen.height},
        is_mobile=look.screen.is_phone,
        has_touch=look.screen.is_phone,
        storage_state=state,
        locale="zh-CN" if look.language == "zh" else "en-GB",
    )
    context.add_init_script(f"localStorage.setItem('steward.theme', '{look.theme}')")
    return context.new_page()


def first_start(page: Page, link: str, name: str = NAME, password: str = PASSWORD) -> StorageState:
    """Make the first administrator by the one-time link, as a person does; the state of being signed in."""
    page.goto(link)
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=again]").fill(password)
    page.keyboard.press("Enter")
    settle(page)
    return page.context.storage_state()


def settle(page: Page, name: str = "") -> None:
    """Until the page of that name shows what it is about, with live values and nothing still being read."""
    page.wait_for_selector('.feed[data-state="live"]', state="attached")
    page.wait_for_selector(MARKS.get(name, ANY_MARK), state="attached")
    expect(page.locator(READING)).to_have_count(0)


# --- which pages there are -------------------------------------------------------------------------


def addresses(demo: Installation) -> Mapping[str, str]:
    """Every page of the demo's site by name, each of those that show one thing with the one that says most."""
    (plant,) = demo.plants.values()
    base = f"/sites/{plant.site}"
    alarm = _first(demo.call(f"sites/{plant.site}/alarms?state=active")["items"])
    order = _first(demo.call(f"sites/{plant.site}/orders?state=open")["items"], kind="fault")
    asset = plant.assets[alarm["asset"]]
    return {
        "overview": base,
        "system": f"{base}/systems/{asset.system}",
        "asset": f"{base}/assets/{asset.parent or asset.id}",
        "alarms": f"{base}/alarms",
        "alarm": f"{base}/alarms/{alarm['id']}",
        "unknown": f"{base}/alarms?show=unknown",
        "journal": f"{base}/alarms?show=all",
        "orders": f"{base}/orders",
        "order": f"{base}/orders/{order['number']}",
        "due": f"{base}/due",
    }


def _first(items: Sequence[Mapping[str, Any]], **wanted: str) -> Mapping[str, Any]:
    """The most urgent of those that are as wanted, else of all."""
    urgent = ["critical", "high", "medium", "low"]
    some = [one for one in items if all(one[key] == word for key, word in wanted.items())]
    return min(some or items, key=lambda one: urgent.index(one["priority"]))


# --- pictures --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shooting:
    """Writes pictures of one demo into a folder; `say` is told of each."""

    browser: Browser
    demo: Installation
    folder: Path
    say: Callable[[str], None]

    def gates(self) -> StorageState:
        """The pages before signing in, then the first administrator; the state of being signed in."""
        link = self.demo.address()
        for look in LOOKS:
            page = open_page(self.browser, look, self.demo.url)
            for name, address in (("setup", link), ("login", "/")):
                page.goto(address)
                page.wait_for_selector("form")
                self._write(page, name, look)
            page.context.close()
        page = open_page(self.browser, LOOKS[0], self.demo.url)
        state = first_start(page, link)
        page.context.close()
        return state

    def pages(self, state: StorageState) -> None:
        """Every page in every look."""
        known = addresses(self.demo)
        for look in LOOKS:
            page = open_page(self.browser, look, self.demo.url, state)
            _speak(page, look.language)
            for name, address in known.items():
                page.goto(address)
                settle(page, name)
                self._write(page, name, look)
            page.context.close()

    def without(self, child: str, name: str, state: StorageState, seen: str, paths: Mapping[str, str]) -> None:  # fmt: skip
        """Pages while one process of the demo stands still, taken once `seen` shows on them."""
        for look in LOOKS:
            page = open_page(self.browser, look, self.demo.url, state)
            _speak(page, look.language)
            for what, address in paths.items():
                page.goto(address)
                settle(page)
                self.demo.by_name[child].signal(signal.SIGSTOP)
                try:
                    page.wait_for_selector(seen)
                    self._write(page, f"{what}-{name}", look)
                finally:
                    self.demo.by_name[child].signal(signal.SIGCONT)
            page.context.close()

    def _write(self, page: Page, name: str, look: Look) -> None:
        page.wait_for_timeout(SETTLED_MS)
        if look.screen.is_phone:
            _unroll(page, look.screen)
        path = self.folder / f"{name}-{look}.png"
        page.screenshot(path=path)
        self.say(path.name)


def _unroll(page: Page, screen: Screen) -> None:
    """Make the phone as tall as its page, so that what is fixed at the bottom stays there."""
    page.set_viewport_size({"width": screen.width, "height": screen.height})
    tall = int(page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": screen.width, "height": min(tall, TALL_MAX)})


def _speak(page: Page, language: str) -> None:
    page.context.add_init_script(f"localStorage.setItem('steward.language', '{language}')")


def shoot(program: Path, demo: Installation, folder: Path, ready: Callable[[], bool]) -> int:
    """Take every picture; how many there are. `ready` waits for something to see, false to end."""
    taken: list[str] = []

    def say(name: str) -> None:
        taken.append(name)
        demo.say(f"{len(taken):3} {name}")

    with chromium(program) as browser:
        shooting = Shooting(browser, demo, folder, say)
        state = shooting.gates()
        if not ready():
            return len(taken)
        shooting.pages(state)
        known = addresses(demo)
        lost = {"overview": known["overview"]}
        shooting.without("server", "feed-lost", state, ".lostbar", lost)
    return len(taken)
