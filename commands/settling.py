"""Brings a run to rest: the agents end, what their outboxes still hold is sent, and the store takes all of it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from commands.delivering import outbox_counts
from commands.installation import Installation
from commands.supervising import Child

SETTLING_S_MAX = 60.0
END_S_MAX = 10.0
LOOK_S = 0.1


class NotSettled(Exception):
    """Something did not come to rest in time; the message says what."""


def settle(site: Installation, look: Callable[[], None]) -> None:
    """From here on nothing is read; returns when outboxes, journal and store stand still.

    `look` is called again and again meanwhile and may raise. Raises `NotSettled`.
    """
    deadline = time.monotonic() + SETTLING_S_MAX
    for child in _agents(site):
        child.end(END_S_MAX)
    with _draining(site):
        while any(count.held_batches for count in outbox_counts(site.data).values()):
            _wait(look, deadline, "the outboxes were not emptied")
    while _lag(site):
        _wait(look, deadline, "the store did not take everything")


def _agents(site: Installation) -> list[Child]:
    return [site.by_name[f"{plant.site}.{agent}"] for plant in site.plants.values() for agent in plant.agents]  # fmt: skip


@contextmanager
def _draining(site: Installation) -> Iterator[None]:
    """Agents that read nothing and only send what the outboxes hold."""
    children = [
        site.child(f"{plant.site}.{agent}", "edge", folder, agent, "--drain")
        for folder, plant in site.plants.items()
        for agent in plant.agents
    ]
    try:
        for child in children:
            child.start()
        yield
    finally:
        for child in children:
            child.end(END_S_MAX)


def _lag(site: Installation) -> bool:
    """Whether the store has less than the journal, or nobody can say."""
    with contextlib.suppress(OSError, ValueError):
        readings = site.call("delivery")["readings"]
        return readings["stored"] is None or readings["waiting_for_store"] > 0
    return True


def _wait(look: Callable[[], None], deadline: float, late: str) -> None:
    look()
    if time.monotonic() > deadline:
        raise NotSettled(late)
    time.sleep(LOOK_S)
