"""Three NATS servers: who gave a journal more copies finds them there after the next start."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from nats.js.client import JetStreamContext

from collector.adapters.journal_nats import NatsJournal
from collector.adapters.leases_nats import BUCKET, NatsLeases
from collector.adapters.nats_link import NatsAt, close, connect, unavailable
from collector.ports import Unavailable
from commands.part_servers import free_ports

pytestmark = pytest.mark.system

HOST = "127.0.0.1"
NAME = "riverside"
STREAMS = (f"steward-journal-{NAME}", f"KV_steward-journal-{NAME}", f"KV_{BUCKET}")


@pytest.fixture
def three(part_programs: Callable[[str], Path], tmp_path: Path) -> Iterator[NatsAt]:
    """Where they are."""
    program, ports = str(part_programs("nats")), free_ports(6)
    own, between = ports[:3], ports[3:]
    running = []
    for n, (port, route) in enumerate(zip(own, between, strict=True)):
        folder = tmp_path / f"nats-{n}"
        folder.mkdir()
        said = {
            "server_name": f"nats-{n}",
            "listen": f"{HOST}:{port}",
            "jetstream": {"store_dir": str(folder)},
            "cluster": {
                "name": "three",
                "listen": f"{HOST}:{route}",
                "routes": [f"nats://{HOST}:{other}" for other in between if other != route],
            },
        }
        (folder / "nats.conf").write_text(json.dumps(said))
        with (folder / "said").open("wb") as out:
            running.append(
                subprocess.Popen([program, "-c", str(folder / "nats.conf")], stdout=out, stderr=out)
            )
    yield NatsAt(",".join(f"nats://{HOST}:{port}" for port in own))
    for server in running:
        server.terminate()
    for server in running:
        server.wait()


async def test_copies_that_somebody_gave_a_journal_and_the_leases_stay(three: NatsAt) -> None:
    await until_used(three)
    await opened(three)
    client = await connect(three)
    try:
        js = client.jetstream()
        for stream in STREAMS:
            await until_available(partial(give_copies, js, stream))
        await opened(three)
        copies = [(await js.stream_info(stream)).config.num_replicas for stream in STREAMS]
    finally:
        await close(client)
    assert copies == [3, 3, 3]


async def give_copies(js: JetStreamContext, stream: str) -> None:
    """As somebody with a tool of NATS; a leader does not place them while it has not heard of the others."""
    with unavailable(f"copies of {stream}"):
        found = (await js.stream_info(stream)).config
        await js.update_stream(found, num_replicas=3)


async def until_used(at: NatsAt) -> None:
    """Until they have a leader: before that they keep no streams."""

    async def look() -> None:
        await close(await connect(at))

    await until_available(look)


async def until_available(work: Callable[[], Awaitable[None]]) -> None:
    """As a server does that is started again."""
    last: Unavailable | None = None
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    return await work()
                except Unavailable as error:
                    last = error
                    await asyncio.sleep(0)
    except TimeoutError as error:
        raise TimeoutError(f"not available within 30 s: {last}") from (last or error)


async def opened(at: NatsAt) -> None:
    """As one that starts does it, and ends; of a stream just made the server at hand may not have heard yet."""

    async def opens() -> None:
        journal = await asyncio.to_thread(NatsJournal, at, NAME, cap_bytes=1 << 24)
        await asyncio.to_thread(journal.close)
        leases = await asyncio.to_thread(NatsLeases, at, "left", 1.0)
        await leases.close()

    await until_available(opens)
