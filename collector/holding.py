"""A site is worked on by the one collector that holds its lease; the others stand by."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from collector.ports import Leases, TakenOver

Work = Coroutine[Any, Any, None]
Waiting = Callable[[], AbstractAsyncContextManager[None]]
log = logging.getLogger("steward.lease")


async def hold(
    leases: Leases, site: str, work: Callable[[], Work], waiting: Waiting = nullcontext
) -> None:
    """Do `work` each time the site's lease is ours; it is cancelled when the lease is lost.

    Work that raises `TakenOver` gives the lease back, leaves it to others for as long as one lasts, and is
    done again when it is ours again. Otherwise ends as the work does when that ends by itself, or when
    cancelled; the lease is given back then. `waiting` is entered for as long as there is nothing to do.
    """
    ended, pause_s = False, 0.0
    while not ended:
        try:
            async with waiting():
                await asyncio.sleep(pause_s)
                await leases.taken(site)
            ended = await _ended(work(), leases.lost(site))
            pause_s = 0.0
        except TakenOver as error:
            log.error("%s: %s; this one stands by again", site, error)
            pause_s = leases.lasts_s
        finally:
            await leases.give_back(site)


async def _ended(work: Work, lost: Work) -> bool:
    """Whether the work ended by itself; raises what it raised."""
    doing, losing = asyncio.create_task(work), asyncio.create_task(lost)
    try:
        await asyncio.wait([doing, losing], return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
        return doing.done()
    finally:
        await _let_go(doing, losing)


async def _let_go(*tasks: "asyncio.Task[None]") -> None:
    """Cancel them and wait for their end, once: who is cancelled meanwhile does not disturb their tidying."""
    cancelled: asyncio.CancelledError | None = None
    for task in tasks:
        task.cancel()
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as asked:
            cancelled = asked
    if cancelled is not None:
        raise cancelled
