"""Leases in a key-value bucket of NATS: a key lives as long as a lease, and only its last writer renews it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StorageType
from nats.js.client import JetStreamContext
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.nuid import NUID

from collector.adapters.nats_link import NatsAt, NatsThread, have_bucket

log = logging.getLogger("steward.lease")

BUCKET: Final = "steward-leases"
LASTS_S: Final = 6.0
"""With a look every quarter of it, another collector has a site 7.5 s after the end of one that had it, at most."""
PART: Final = 4
"""A lease is renewed, and looked for, so many times while it lasts."""


@dataclass(slots=True)
class _Held:
    """A lease of ours: the number of our last renewal, until when that is (monotonic), and the task that renews it."""

    revision: int
    until: float
    keeping: "asyncio.Task[None] | None" = None


class _AnothersError(Exception):
    """Another collector has the site: that of this name."""


class NatsLeases:
    """One collector's leases, renewed by a thread: a loop that is busy for long does not lose them.

    `owner` is only for those who look: what makes a lease ours is written behind it. All collectors of a bucket
    give the same `lasts_s`.

    Raises:
        Unavailable: NATS cannot be used.
    """

    def __init__(self, at: NatsAt, owner: str, lasts_s: float = LASTS_S) -> None:
        self.lasts_s = lasts_s
        self._ours = f"{owner} {NUID().next().decode()}".encode()
        self._held: dict[str, _Held] = {}
        self._others: dict[str, str] = {}
        self._link = NatsThread(at)
        self._trouble = ""
        self._wanted = KeyValueConfig(
            BUCKET, ttl=lasts_s, replicas=at.replicas, storage=StorageType.MEMORY
        )
        try:
            self._bucket = self._link.ask(
                "leases cannot be kept", lambda js: have_bucket(js, self._wanted)
            )
        except BaseException:
            self._link.close()
            raise

    # --- the port, in the caller's loop

    async def taken(self, site: str) -> None:
        await asyncio.wrap_future(self._link.begin(partial(self._taken, site)))

    async def lost(self, site: str) -> None:
        await asyncio.wrap_future(self._link.begin(partial(self._lost, site)))

    def found(self, site: str) -> str:
        if self._trouble:
            return f"NATS cannot be asked: {self._trouble}"
        return f"{self._others[site]} has it" if site in self._others else ""

    def holds(self, site: str) -> bool:
        held = self._held.get(site)
        return held is not None and time.monotonic() < held.until

    async def give_back(self, site: str) -> None:
        if site in self._held:
            await asyncio.wrap_future(self._link.begin(partial(self._give_back, site)))

    async def close(self) -> None:
        self._held.clear()
        await asyncio.to_thread(self._link.close)

    # --- in the thread

    async def _taken(self, site: str, js: JetStreamContext) -> None:
        while True:
            asked = time.monotonic()
            try:
                async with self._asking(js):
                    revision = await self._written(site, 0)
            except _AnothersError as error:
                if self._others.get(site) != str(error):
                    log.info("%s has %s; this one waits", error, site)
                self._others[site] = str(error)
            except (NatsError, OSError, TimeoutError) as error:
                log.debug("the lease of %s cannot be asked for: %s", site, error)
            else:
                self._others.pop(site, None)
                held = self._held[site] = _Held(revision, asked + self.lasts_s)
                held.keeping = asyncio.create_task(self._keep(site, held, js))
                return
            await asyncio.sleep(self.lasts_s / PART)

    async def _keep(self, site: str, held: _Held, js: JetStreamContext) -> None:
        """Renew until it is not ours any more; a renewal counts from when it was asked for."""
        while (left := held.until - time.monotonic()) > 0:
            await asyncio.sleep(min(self.lasts_s / PART, left))
            asked = time.monotonic()
            try:
                async with self._asking(js):
                    held.revision = await self._written(site, held.revision)
                held.until = asked + self.lasts_s
            except _AnothersError:
                held.until = 0.0
            except (NatsError, OSError, TimeoutError) as error:
                log.debug("the lease of %s cannot be renewed: %s", site, error)
        log.warning("the lease of %s is lost", site)

    async def _written(self, site: str, revision: int) -> int:
        """Write that we have it over this number, 0: over nobody's; its number then. Raises `_AnothersError`."""
        try:
            if revision:
                return await self._bucket.update(site, self._ours, revision)
            return await self._bucket.create(site, self._ours)
        except KeyWrongLastSequenceError:
            pass
        try:  # a write of ours may have come through though its answer was late
            found = await self._bucket.get(site)
        except KeyNotFoundError:  # of a bucket that was made again, or it ran out just now
            return await self._bucket.create(site, self._ours)
        if found.value != self._ours:
            raise _AnothersError((found.value or b"").decode().partition(" ")[0])
        return await self._bucket.update(site, self._ours, found.revision)

    @asynccontextmanager
    async def _asking(self, js: JetStreamContext) -> AsyncIterator[None]:
        """One try, with what came of it said once; a bucket that went with its server is made again before the next."""
        try:
            async with asyncio.timeout(self.lasts_s / PART):
                if self._trouble:
                    self._bucket = await have_bucket(js, self._wanted)
                yield
        except _AnothersError:
            self._answered()
            raise
        except (NatsError, OSError, TimeoutError) as error:
            if not self._trouble:
                log.warning("NATS keeps no lease for us: %s; trying on", _said(error))
            self._trouble = _said(error)
            raise
        self._answered()

    def _answered(self) -> None:
        if self._trouble:
            log.warning("NATS keeps leases again")
        self._trouble = ""

    async def _lost(self, site: str, _: JetStreamContext) -> None:
        held = self._held.get(site)
        if held is not None and held.keeping is not None:
            await asyncio.wait([held.keeping])

    async def _give_back(self, site: str, _: JetStreamContext) -> None:
        held = self._held.pop(site, None)
        if held is None or held.keeping is None or held.keeping.done():
            return
        held.keeping.cancel()
        await asyncio.gather(held.keeping, return_exceptions=True)
        try:
            async with asyncio.timeout(self.lasts_s / PART):
                await self._bucket.delete(site, held.revision)
        except (NatsError, OSError, TimeoutError) as error:
            log.debug("the lease of %s ends by itself: %s", site, error)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
