"""Loops beside the one that takes readings in: what one of them stumbles over ends neither the server nor the others."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from config.clock import Clock

BACKOFF_S_MIN: Final = 1.0
BACKOFF_S_MAX: Final = 600.0
STEADY_S: Final = 2 * BACKOFF_S_MAX
"""A loop that has run for so long since it began again is well; what it stumbles over then is news."""
log = logging.getLogger("steward.server")


@dataclass(slots=True)
class _Trouble:
    """What a loop stumbled over last; `since` is when it began again (monotonic s), None while it is to wait."""

    said: str
    backoff_s: float
    since: float | None = None


@dataclass(slots=True)
class SideLoops:
    """`run` each of them beside the others; `restarts` counts by name what began again."""

    clock: Clock
    restarts: dict[str, int] = field(default_factory=dict)
    _troubles: dict[str, _Trouble] = field(default_factory=dict)

    async def run(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """For ever: a loop that ends or raises begins again, later each time. Only the first time is logged."""
        self.restarts[name] = 0
        while True:
            try:
                await loop()
                self._stumbled(name, "it ended", None)
            except Exception as error:  # noqa: BLE001  # the top of a task
                self._stumbled(name, f"{type(error).__name__}: {error}", error)
            trouble = self._troubles[name]
            await self.clock.sleep_until(self.clock.monotonic() + trouble.backoff_s)
            trouble.since = self.clock.monotonic()
            self.restarts[name] += 1

    def troubles(self) -> Mapping[str, str]:
        """What is not well now, by name."""
        return {name: one.said for name, one in self._troubles.items() if not self._is_steady(one)}

    def _is_steady(self, trouble: _Trouble) -> bool:
        return trouble.since is not None and self.clock.monotonic() - trouble.since >= STEADY_S

    def _stumbled(self, name: str, said: str, error: Exception | None) -> None:
        before = self._troubles.get(name)
        if before is None or self._is_steady(before):
            log.error("%s: %s; it begins again, the server goes on", name, said, exc_info=error)
            self._troubles[name] = _Trouble(said, BACKOFF_S_MIN)
        else:
            self._troubles[name] = _Trouble(said, min(2 * before.backoff_s, BACKOFF_S_MAX))
