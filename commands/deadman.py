"""The dead man's switch: somebody outside is told every minute that all is well, and speaks up when that ends."""

import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from typing import Final

from collector.projecting import Offload
from config.clock import Clock

PING_S: Final = 60.0
ANSWER_S_MAX: Final = 10.0
READ_BYTES_MAX: Final = 1000
log = logging.getLogger("steward.deadman")


def get(url: str) -> None:
    """One GET; what is answered counts for nothing but its status. Raises `OSError` or `HTTPException`."""
    with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:  # noqa: S310  # http or https: settings refuse others
        answer.read(READ_BYTES_MAX)


@dataclass(slots=True)
class Deadman:
    """`run` it beside everything else: one ping at a time, in a thread, given up after ten seconds.

    `why_not` says what is not well, empty when all is: then and only then the address is asked. The address
    is a secret of the service that watches, so it is never logged.
    """

    url: str
    why_not: Callable[[], str]
    clock: Clock
    offload: Offload
    get: Callable[[str], None] = get
    sent: int = 0
    failed: int = 0
    withheld: int = 0
    trouble: str = field(init=False, default="")
    """Why the last ping was not sent or did not arrive."""

    async def run(self) -> None:
        """For ever; at once where no address is set."""
        while self.url:
            await self.clock.sleep_until(self.clock.monotonic() + PING_S)
            await self.ping()

    async def ping(self) -> None:
        """Ask the address if all is well; log once when that ends, once when it is so again."""
        if reason := await self.offload(self.why_not):
            self.withheld += 1
            self._told(f"withheld: {reason}")
            return
        try:
            await self.offload(partial(self.get, self.url))
        except (OSError, HTTPException, ValueError) as error:
            self.failed += 1
            self._told(f"did not arrive: {_words(error)}")
        else:
            self.sent += 1
            self._told("")

    def _told(self, trouble: str) -> None:
        if bool(trouble) != bool(self.trouble):
            if trouble:
                log.warning("the dead man's ping %s", trouble)
            else:
                log.warning("the dead man's ping arrives again")
        self.trouble = trouble


def _words(error: Exception) -> str:
    """What went wrong, without the address."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it is answered with {error.code}"
    reason = getattr(error, "reason", None) or error
    return type(reason).__name__ if not isinstance(reason, OSError) else reason.strerror or type(reason).__name__  # fmt: skip
