"""What reads the store takes no thread from what writes it."""

import asyncio
import threading

from commands.server import READERS, Readers, off_the_loop


async def test_however_many_charts_are_read_other_work_goes_on() -> None:
    readers, let_go = Readers(), threading.Event()
    charts = [asyncio.create_task(readers(let_go.wait)) for _ in range(20 * READERS)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(off_the_loop(lambda: "written"), 30) == "written"
    let_go.set()
    assert all(await asyncio.gather(*charts))
    readers.close()


async def test_what_a_reader_raises_is_raised_where_it_is_awaited() -> None:
    def fails() -> None:
        raise ValueError("no store")

    readers = Readers()
    found = await asyncio.gather(readers(fails), return_exceptions=True)
    assert str(found[0]) == "no store"
    readers.close()
