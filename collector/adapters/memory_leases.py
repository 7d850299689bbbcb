"""The leases' twin: a board in memory, held to the same contract, in the loop's time."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Board:
    """Who has which site, and until when in the loop's seconds."""

    held: dict[str, tuple[str, float]] = field(default_factory=dict)
    reachable: bool = True


class MemoryLeases:
    """One collector's view of the board. `lasts_s` of the loop's time."""

    def __init__(self, board: Board, owner: str, lasts_s: float) -> None:
        self.lasts_s = lasts_s
        self._board = board
        self._owner = owner
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._until: dict[str, float] = {}

    async def taken(self, site: str) -> None:
        while not self._take(site):  # noqa: ASYNC110  # as collectors on several machines do
            await asyncio.sleep(self.lasts_s / 4)
        self._keeping[site] = asyncio.create_task(self._keep(site))

    async def lost(self, site: str) -> None:
        if site in self._keeping:
            await asyncio.wait([self._keeping[site]])

    def found(self, site: str) -> str:
        if not self._board.reachable:
            return "the board cannot be asked"
        owner, _ = self._board.held.get(site, ("", 0.0))
        return f"{owner} has it" if owner not in ("", self._owner) else ""

    def holds(self, site: str) -> bool:
        return asyncio.get_running_loop().time() < self._until.get(site, 0.0)

    async def give_back(self, site: str) -> None:
        self._until.pop(site, None)
        keeping = self._keeping.pop(site, None)
        if keeping is None or keeping.done():
            return
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        if self._board.reachable:
            del self._board.held[site]

    async def close(self) -> None:
        for keeping in self._keeping.values():
            keeping.cancel()
        await asyncio.gather(*self._keeping.values(), return_exceptions=True)
        self._keeping.clear()
        self._until.clear()

    def _take(self, site: str) -> bool:
        now = asyncio.get_running_loop().time()
        owner, until = self._board.held.get(site, ("", 0.0))
        if not self._board.reachable or (owner != self._owner and until > now):
            return False
        self._until[site] = now + self.lasts_s
        self._board.held[site] = (self._owner, self._until[site])
        return True

    async def _keep(self, site: str) -> None:
        while self.holds(site):
            await asyncio.sleep(self.lasts_s / 4)
            if not self._take(site) and self._board.reachable:
                self._until[site] = 0.0
