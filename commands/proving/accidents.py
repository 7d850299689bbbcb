"""What may happen to a small site of real processes, and by what each accident is seen to have happened."""

import asyncio
import contextlib
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from commands.access import edge_user, password
from commands.installation import Installation
from commands.proving.counting_plant import AGENT, SITE
from commands.proving.kills import keep_journal
from commands.proving.link_proxy import Link, LinkProxy
from commands.proving.stranger import ANSWER_S_MAX, Refused, Stranger, coming_in
from edge.readings import topic

LOOK_S: Final = 0.02
RETURN_S_MAX: Final = 8.0
SPEAKS_S_MAX: Final = 30.0
NOTICED_S_MAX: Final = 50.0
"""An agent hears nothing for its keep-alive (20 s), asks, and hears nothing for as long again."""
DOWN_S_MAX: Final = 1.5
EDGE: Final = f"{SITE}.{AGENT}"


@dataclass(frozen=True, slots=True)
class Scene:
    """The site that accidents happen to, and what lies between its agent and its broker.

    `agent_kills` are the kills of the agent so far: signal sent and process dead (UTC ms).
    """

    site: Installation
    proxy: LinkProxy
    agent_kills: list[tuple[int, int]] = field(default_factory=list)

    @property
    def outbox(self) -> Path:
        """The agent's outbox file."""
        return self.site.data / "edge" / f"{EDGE}.outbox"

    def pid(self, name: str) -> int:
        """The process id of one of its processes now, 0 while there is none."""
        return self.site.by_name[name].pid

    def stranger(self) -> contextlib.AbstractAsyncContextManager[Stranger]:
        """Somebody under the agent's name at the broker."""
        user = edge_user(SITE, AGENT)
        return coming_in(self.site.broker_port, f"{SITE}-{AGENT}", user, password(user, self.site.settings))  # fmt: skip

    async def agent_returns(self, taken: int) -> bool:
        """Whether the agent comes by another connection than its first `taken`."""
        return await within(RETURN_S_MAX, lambda: self.proxy.taken > taken)


async def within(seconds: float, seen: Callable[[], object]) -> bool:
    """Whether `seen()` becomes true in so many real seconds; returns as soon as it does."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not seen():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(LOOK_S)
    return True


# --- the link


async def _end(scene: Scene, rng: np.random.Generator, *, end: Callable[[Link], None]) -> bool:
    """The link ends and both sides hear of it. Seen by: the agent comes again."""
    link, taken = scene.proxy.link, scene.proxy.taken
    if link is None:
        return False
    end(link)
    return await scene.agent_returns(taken)


async def _half_open(scene: Scene, rng: np.random.Generator) -> bool:
    """Nothing comes through and nobody is told, until the network resets it. Seen by what was said into it."""
    link, taken = scene.proxy.link, scene.proxy.taken
    if link is None:
        return False
    link.half_open = True
    await asyncio.sleep(rng.uniform(0.5, 3.0))
    link.reset()
    return link.swallowed > 0 and await scene.agent_returns(taken)


async def _broker_not_told(scene: Scene, rng: np.random.Generator) -> bool:
    """The agent's half is reset and the broker's stays. Seen by: the broker itself ends its half."""
    link, pid = scene.proxy.link, scene.pid("broker")
    if link is None:
        return False
    link.lose_agent()
    return await within(RETURN_S_MAX, lambda: link.gone) and scene.pid("broker") == pid


async def _delay(scene: Scene, rng: np.random.Generator) -> bool:
    """Each piece comes late, up to later than the agent waits before it sends again. Seen by late bytes."""
    before = scene.proxy.held_back
    scene.proxy.delay_s = rng.uniform(0.05, 2.5)
    await asyncio.sleep(rng.uniform(1.0, 3.0))
    scene.proxy.delay_s = 0.0
    return scene.proxy.held_back > before


async def _refuse(scene: Scene, rng: np.random.Generator) -> bool:
    """Connections are refused. Seen by an attempt, which the agent numbers by its time (UTC ms)."""
    began = _now_ms()
    scene.proxy.refuse()
    await asyncio.sleep(rng.uniform(0.5, 2.5))
    attempted = _newest_attempt(scene.outbox)
    await scene.proxy.open()
    return attempted > began


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _newest_attempt(outbox: Path) -> int:
    """The number of the agent's newest connection, 0 where its outbox cannot be read just now."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT value FROM meta WHERE name = 'connection'").fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(row[0]) if row else 0


async def left_half_open(scene: Scene) -> bool:
    """A half-open link of which no network tells: the agent itself must find out."""
    if not await within(SPEAKS_S_MAX, lambda: scene.proxy.speaking):
        return False
    link, taken = scene.proxy.link, scene.proxy.taken
    if link is None:
        return False
    link.half_open = True
    found_out = await within(NOTICED_S_MAX, lambda: scene.proxy.taken > taken)
    link.reset()
    return found_out and link.swallowed > 0


# --- processes


async def _kill(scene: Scene, rng: np.random.Generator, *, name: str) -> bool:
    """`kill -9`, and start again at once or after a while. Seen by: it died of that."""
    child = scene.site.by_name[name]
    if child.process is None:
        return False
    sent = _now_ms()
    child.signal(signal.SIGKILL)
    code = await asyncio.to_thread(child.process.wait)
    if name == EDGE:
        scene.agent_kills.append((sent, _now_ms()))
    keep_journal(scene.site.data)
    if rng.random() < 0.5:
        await asyncio.sleep(rng.uniform(0.0, DOWN_S_MAX))
    child.start()
    return code == -signal.SIGKILL


# --- the session


async def _take_over(scene: Scene, rng: np.random.Generator) -> bool:
    """A stranger comes in under the agent's name and says nothing. Seen by: the broker ends the agent's link."""
    link, pid = scene.proxy.link, scene.pid("broker")
    if link is None:
        return False
    try:
        async with scene.stranger():
            await within(ANSWER_S_MAX, lambda: link.ended_by)
            await asyncio.sleep(rng.uniform(0.0, DOWN_S_MAX))
    except (OSError, TimeoutError):
        return False
    return link.ended_by == "broker" and scene.pid("broker") == pid


async def _repeat(scene: Scene, rng: np.random.Generator) -> bool:
    """A stranger publishes again what the agent published. Seen by: the collector says that it has it."""
    said = list(scene.proxy.said)
    if not said:
        return False
    chosen = [said[n] for n in rng.integers(len(said), size=rng.integers(1, 4))]
    try:
        async with scene.stranger() as stranger:
            await stranger.listen(topic(SITE, AGENT, "committed"))
            return await stranger.repeat(chosen)
    except (OSError, TimeoutError):
        return False


async def _guess(scene: Scene, rng: np.random.Generator) -> bool:
    """A stranger asks for the agent's session with a wrong password. Seen by: it was refused."""
    try:
        async with coming_in(
            scene.site.broker_port,
            f"{SITE}-{AGENT}",
            edge_user(SITE, AGENT),
            "guessed",
            clean=False,
        ):
            return False
    except Refused:
        return True
    except (OSError, TimeoutError):
        return False


@dataclass(frozen=True, slots=True)
class Accident:
    """One kind. Of one `subject` one thing happens at a time; `happen` says whether it was seen to."""

    subject: str
    happen: Callable[[Scene, np.random.Generator], Awaitable[bool]]


ACCIDENTS: Final[Mapping[str, Accident]] = {
    "link cut": Accident("link", partial(_end, end=Link.cut)),
    "link reset": Accident("link", partial(_end, end=Link.reset)),
    "link half-open": Accident("link", _half_open),
    "link lost, broker not told": Accident("link", _broker_not_told),
    "connections refused": Accident("link", _refuse),
    "link delayed": Accident("delay", _delay),
    "edge killed": Accident(EDGE, partial(_kill, name=EDGE)),
    "broker killed": Accident("broker", partial(_kill, name="broker")),
    "server killed": Accident("server", partial(_kill, name="server")),
    "session taken": Accident("session", _take_over),
    "password guessed": Accident("session", _guess),
    "batches said again": Accident("session", _repeat),
}
LEFT_HALF_OPEN: Final = "link half-open until the agent finds out"
"""Takes 40 s, so that only some lives end with it."""
