"""A running demo and a real Chromium: in the console's tests everything is real but the equipment."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    StorageState,
    expect,
)

from commands import demo as demo_command
from commands.installation import ROOT, Installation, Stop
from commands.shooting import (
    DESK,
    PASSWORD,
    Look,
    addresses,
    chromium,
    first_start,
    open_page,
    settle,
)
from tests.parts import leave_out
from tests.waiting import until

SPEED = 5.0
SEED = 7
"""A day of faults without a camera that is lost for good: nobody repairs anything here."""
ALARMS_MIN = 3
ALARMS_S_MAX = 60.0
PATIENCE_MS = 15_000
AXE = ROOT / "api" / "console" / "node_modules" / "axe-core" / "axe.min.js"
BUILT = ROOT / "api" / "static" / "index.html"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


RUNNING: list[Installation] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """After the last test of this folder the demo ends, so that it slows no other test down."""
    if RUNNING and (nextitem is None or not nextitem.path.is_relative_to(Path(__file__).parent)):
        RUNNING.pop().children.stop()


@pytest.fixture(scope="session")
def program(part_programs: Callable[[str], Path]) -> Path:
    if not BUILT.exists():
        leave_out("console", "not built: ./steward builds it, or npm ci && npm run build in api/console")  # fmt: skip
    return part_programs("chromium")


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    if not AXE.exists():
        leave_out("axe-core", "not installed: npm ci in api/console installs it")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def demo(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The demo with its faults, which nobody but the tests attends to, and some alarms."""
    del program  # without a browser there is no need to start it
    running = demo_command.prepare(tmp_path_factory.mktemp("demo"), 0, SPEED)
    try:
        started = demo_command.start(running, Stop(install=False), SEED, technician=False)
        assert started is not None, "the demo did not come up; its last words are above"
        _some_alarms(running)
        RUNNING.append(running)
        yield running
    finally:
        running.children.stop()


def _some_alarms(running: Installation) -> None:
    """Equipment that says nothing for a while makes alarms that nobody has yet."""
    devices = running.by_name["devices"]
    if len(unacknowledged(running)) < ALARMS_MIN:
        devices.signal(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(1) as beside:  # a page's own loop runs in this thread
                enough = until(lambda: len(unacknowledged(running)) >= ALARMS_MIN, ALARMS_S_MAX)
                beside.submit(asyncio.run, enough).result()
        finally:
            devices.signal(signal.SIGCONT)


def unacknowledged(running: Installation) -> list[dict[str, Any]]:
    found = running.call("sites/riverside/alarms?state=unacknowledged")["items"]
    return [dict(one) for one in found]


@pytest.fixture
def nobodys_alarm(demo: Installation) -> str:
    """The page of an alarm that nobody has acknowledged, whatever the tests before this one did."""
    _some_alarms(demo)
    return f"/sites/riverside/alarms/{unacknowledged(demo)[0]['id']}"


@pytest.fixture(scope="session")
def signed_in(program: Path, demo: Installation) -> StorageState:
    """The first administrator, made by the link that the demo prints."""
    with chromium(program) as browser:
        page = open_page(browser, Look(DESK), demo.url)
        return first_start(page, demo.address())


@pytest.fixture(scope="session")
def pages(demo: Installation) -> Mapping[str, str]:
    """Every page of the site by name."""
    return addresses(demo)


@pytest.fixture(scope="module")
def browser(program: Path) -> Iterator[Browser]:
    """Ended with each module: its event loop would be in the way of other tests."""
    with chromium(program) as running:
        yield running


@dataclass
class Visits:
    """Opens pages as a person would, and hears every complaint of theirs."""

    browser: Browser
    url: str
    state: StorageState
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def anyone(self, look: Look = Look(DESK)) -> Page:  # noqa: B008  # frozen
        """A page on which nobody is signed in."""
        return self._heard(open_page(self.browser, look, self.url))

    def to(self, address: str, look: Look = Look(DESK)) -> Page:  # noqa: B008  # frozen
        """The administrator at an address of the site, everything read."""
        page = self._heard(open_page(self.browser, look, self.url, self.state))
        page.goto(address)
        settle(page)
        return page

    def person(self, name: str, look: Look = Look(DESK)) -> Page:  # noqa: B008  # frozen
        """Somebody else, signed in by name and password, at the site's overview."""
        page = self.anyone(look)
        page.goto("/")
        page.locator("input[name=name]").fill(name)
        page.locator("input[name=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        settle(page)
        return page

    def _heard(self, page: Page) -> Page:
        self.contexts.append(page.context)
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)
        return page

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # what the page itself no longer wants
            self.complaints.append(f"{request.failure}: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")


@pytest.fixture
def visit(browser: Browser, demo: Installation, signed_in: StorageState) -> Iterator[Visits]:
    """Visits that must leave no complaint: no message of the console, no failed request."""
    expect.set_options(timeout=PATIENCE_MS)
    visits = Visits(browser, demo.url, signed_in)
    yield visits
    for context in visits.contexts:
        context.close()
    assert visits.complaints == []
