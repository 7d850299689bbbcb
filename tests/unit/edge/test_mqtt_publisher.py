import asyncio
import gc
from pathlib import Path
from typing import Any

from commands.part_servers import free_port
from edge.mqtt_publisher import paho_connect
from edge.ports import LinkLost
from tests.waiting import until


async def refused(port: int) -> bool:
    try:
        async with paho_connect("127.0.0.1", port, "s/a", "word", "s", "a")(b"{}"):
            return False
    except LinkLost:
        return True


async def test_a_broker_that_is_not_there_is_a_lost_link_and_leaves_no_error_behind() -> None:
    left: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    assert await refused(free_port())
    gc.collect()
    assert left == []


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_connection_that_ended_gives_its_sockets_back_at_once() -> None:
    """paho has a pair of its own, which stays open as long as anybody holds the client."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await refused(port)  # threads and modules that the first one needs
    gc.collect()
    gc.disable()
    try:
        before = descriptors()
        for _ in range(3):
            assert await refused(port)
        await until(lambda: descriptors() <= before)
    finally:
        gc.enable()
        server.close()
        await server.wait_closed()
