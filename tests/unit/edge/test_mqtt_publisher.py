import asyncio
import gc
from typing import Any

from commands.part_servers import free_port
from edge.mqtt_publisher import paho_connect
from edge.ports import LinkLost


async def refused() -> bool:
    try:
        async with paho_connect("127.0.0.1", free_port(), "s/a", "word", "s", "a")(b"{}"):
            return False
    except LinkLost:
        return True


async def test_a_broker_that_is_not_there_is_a_lost_link_and_leaves_no_error_behind() -> None:
    left: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    assert await refused()
    gc.collect()
    assert left == []
