"""The dead man's ping goes out only while all is well, and its failures are told once and harm nobody."""

import logging
from urllib.error import HTTPError, URLError

import pytest

from collector.projecting import inline
from commands.deadman import Deadman
from config.clock import SteppedClock

URL = "https://watch.example.org/ping/secret-of-ours"


class Outside:
    """Answers with what is set, and counts who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: Exception | None = None

    def get(self, url: str) -> None:
        self.asked.append(url)
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def outside() -> Outside:
    return Outside()


def switch(outside: Outside, why_not: list[str], url: str = URL) -> Deadman:
    return Deadman(url, lambda: "; ".join(why_not), SteppedClock(), inline, outside.get)


async def test_nobody_is_asked_while_something_vital_does_not_work(outside: Outside) -> None:
    why_not = ["journal: disk full"]
    one = switch(outside, why_not)
    await one.ping()
    assert (outside.asked, one.withheld, one.trouble) == ([], 1, "withheld: journal: disk full")
    why_not.clear()
    await one.ping()
    assert (outside.asked, one.sent, one.trouble) == ([URL], 1, "")


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (HTTPError(URL, 404, "Not Found", None, None), "it is answered with 404"),  # type: ignore[arg-type]  # headers that nobody reads
        (TimeoutError("timed out"), "TimeoutError"),
        (ValueError(f"unknown url type: {URL}"), "ValueError"),
    ],
)
async def test_a_failure_is_told_once_and_without_the_address(
    outside: Outside, fails: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one, outside.fails = switch(outside, []), fails
    for _ in range(3):
        await one.ping()
    assert (one.failed, one.trouble) == (3, f"did not arrive: {said}")
    outside.fails = None
    await one.ping()
    assert [record.getMessage() for record in caplog.records] == [
        f"the dead man's ping did not arrive: {said}",
        "the dead man's ping arrives again",
    ]
    assert one.trouble == ""
    assert "secret-of-ours" not in caplog.text


async def test_without_an_address_nothing_is_asked(outside: Outside) -> None:
    one = switch(outside, [], url="")
    await one.run()
    assert outside.asked == []
