"""A site is worked on by the one collector that holds its lease; the others stand by."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from collector.ports import Leases, TakenOver, Unavailable

Work = Coroutine[Any, Any, None]
Waiting = Callable[[], AbstractAsyncContextManager[None]]
log = logging.getLogger("steward.lease")


async def hold(
    leases: Leases, site: str, work: Callable[[], Work], waiting: Waiting = nullcontext
) -> None:
    """Do `work` each time the site's lease is ours; it is cancelled when the lease is lost.

    Work that raises `Unavailable` (`TakenOver` too) gives the lease back, leaves it to others for as long as one
    lasts, and is done again when it is ours again; the same reason is said once. Otherwise ends as the work does when that ends by itself, or when
    cancelled; the lease is given back then. `waiting` is entered for as long as there is nothing to do.
    """
    ended, said = False, ""
    while not ended:
        trouble = ""
        try:
            async with waiting():
                await asyncio.sleep(leases.lasts_s if said else 0.0)
                await leases.taken(site)
            try:
                ended = await _ended(work(), leases.lost(site))
            except Unavailable as error:
                ours = leases.holds(site) and not isinstance(error, TakenOver)
                trouble = f"{error}{' (whoever runs this server mends that)' if ours else ''}"
        finally:
            await leases.give_back(site)
        if trouble not in ("", said):
            log.error("%s is left to others: %s; this one stands by again", site, trouble)
        said = trouble


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
