"""When the playing of recordings is over."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands import replaying
from commands.installation import Installation, Stop
from commands.replaying import _Run
from simulators.replay import Player

ROWS = 40


def shows(*numbers: float | None) -> tuple[Installation, Iterator[float | None]]:
    """A site that shows these row numbers of its one device, one after the other; the last stays to come."""
    left = iter(numbers)

    def call(path: str) -> dict[str, Any]:
        value = next(left)
        if value is None:
            raise OSError("the server does not answer")
        return {"points": ["m/row_number"], "value": [value], "quality": [0]}

    site = SimpleNamespace(call=call, say=print, children=SimpleNamespace(look=list, rows=()))
    return cast(Installation, site), left


def run_of() -> _Run:
    players = {"m": cast(Player, range(ROWS))}
    return _Run((), Path(), Stop(install=False), players=players)


async def test_it_waits_for_the_last_row_that_a_device_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replaying, "LOOK_S", 0.0)
    site, left = shows(38.0, None, 39.0, 40.0, -1.0)
    await run_of()._arrived(site, ["m"], 0.0)
    assert list(left) == [-1.0]


async def test_it_does_not_wait_for_ever_for_a_row_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replaying, "ARRIVING_S_MAX", 0.0)
    site, left = shows(38.0, 39.0)
    await run_of()._arrived(site, ["m"], 0.0)
    assert len(list(left)) == 2
