"""What people ask of an agent: sent through the broker once, answered by its reply or not in time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from collector.agents import AgentSeen
from collector.ports import Unavailable
from config.clock import Clock
from edge.readings import Reply, Request, encode, topic

REPLY_S_MAX: Final = 20.0
"""Reading the files of a large plant anew takes seconds, and lines take their time to end."""
SILENT_MS: Final = 30_000
"""An agent says its state every 10 s: whose is older than this is not there."""
WAITING_MAX: Final = 100
START: Final = "see that `steward edge` runs at the site and reaches the broker"
DEAF: Final = "the server cannot write its journal and hears no agent until it can: see that its disk has room, and its log"


class Send(Protocol):
    """`BatchSource.commit`: publishes, or drops it when there is no connection."""

    def __call__(self, topic: str, payload: bytes, *, retain: bool) -> Awaitable[None]: ...


@dataclass(slots=True)
class Requesting:
    """Asks agents and waits for their replies; whoever hears replies hands them to `replied`.

    `pace` is how much faster the site's clock runs than `wait_s`, which is in real seconds.
    """

    send: Send
    agents: Callable[[], Mapping[tuple[str, str], AgentSeen]]
    clock: Clock
    connected: Callable[[], bool] = lambda: True
    journal_ok: Callable[[], bool] = lambda: True
    """While the journal takes nothing, no message is taken from the broker either."""
    pace: float = 1.0
    wait_s: float = REPLY_S_MAX
    _asked: int = field(init=False, default=0)
    _waiting: dict[tuple[str, str, str], asyncio.Future[Reply]] = field(
        init=False, default_factory=dict
    )

    async def ask(self, site: str, agent: str, what: Literal["reload", "diagnose"]) -> Reply:
        """What the agent says came of it.

        Raises:
            Unavailable: it is not there or does not reply in time; the message says who must do what.
        """
        now, seen = self.clock.now(), self.agents().get((site, agent))
        if reason := self._why_not(seen, now):
            raise Unavailable(f"agent {agent} of {site} {reason}")
        self._asked += 1
        name = f"{what}-{now}-{self._asked}"
        # by the agent's own clock, which may be wrong
        expires = now + (seen.clock_error if seen else 0) + round(1000 * self.wait_s * self.pace)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[site, agent, name] = reply
        try:
            async with asyncio.timeout(self.wait_s):
                request = encode(Request(name, expires, what))
                await self.send(topic(site, agent, "request"), request, retain=False)
                return await reply
        except TimeoutError as error:
            see = "see its log" if self.journal_ok() else DEAF
            raise Unavailable(f"agent {agent} of {site} does not reply within {self.wait_s:g} s: {see}; what was asked may still be done") from error  # fmt: skip
        finally:
            del self._waiting[site, agent, name]

    def replied(self, site: str, agent: str, reply: Reply) -> None:
        """An agent has replied; what nobody waits for any more is let go."""
        waiting = self._waiting.get((site, agent, reply.id))
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def _why_not(self, seen: AgentSeen | None, now: int) -> str:
        """Why it cannot be asked now; "" if it can."""
        if not self.journal_ok():
            return f"cannot be asked: {DEAF}"
        if not self.connected():
            return "cannot be asked: the server has no connection to the broker; see that `steward broker` runs"
        if len(self._waiting) >= WAITING_MAX:
            return f"cannot be asked: {WAITING_MAX} requests wait for a reply; ask again later"
        if seen is None or not seen.heard:
            return f"is not connected: not heard since the server's start; {START}"
        silent_ms = now - seen.heard
        if seen.state != "ready" or silent_ms > SILENT_MS:
            return (
                f"is not connected: {seen.state}, last heard {silent_ms / 1000:.0f} s ago; {START}"
            )
        return ""
