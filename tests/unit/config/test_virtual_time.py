"""Virtual time knows no threads: what is given to them is done at once, and every run is the same."""

import asyncio

import pytest

from config.clock import VirtualLoop, run_virtual


def test_what_is_given_to_a_thread_is_done_at_its_instant() -> None:
    loop = VirtualLoop()

    async def asked() -> tuple[str, float]:
        await asyncio.sleep(5.0)
        return await asyncio.to_thread("done {}".format, "it"), loop.time()

    assert run_virtual(asked(), loop=loop) == ("done it", 5.0)


def test_what_a_thread_would_raise_is_heard_by_who_awaits_it() -> None:
    async def asked() -> int:
        return await asyncio.to_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        run_virtual(asked(), loop=VirtualLoop())
