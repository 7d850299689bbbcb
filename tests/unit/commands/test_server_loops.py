"""Which loops of a server end it: those on the side do not."""

from pathlib import Path

import pytest

from commands.access import SERVER, private_folder, secret_name, secrets_folder, write_secret
from commands.part_servers import free_port
from commands.server import Server, build, running
from config.clock import ScaledClock
from config.settings import Settings
from tests.unit.collector.feeding import plant
from tests.waiting import until


def server(folder: Path) -> Server:
    """Without a broker: nobody listens on its port. A minute is a tenth of a second."""
    now = ScaledClock().now()
    settings = Settings(data=folder, broker_port=free_port(), clock_origin_ms=now, clock_factor=600)
    private_folder(folder)
    private_folder(secrets_folder(settings))
    write_secret(secrets_folder(settings) / secret_name(SERVER), "any word")
    return build([plant()], settings)


BROKEN = [("trends", "trending", "_watched"), ("deriving", "deriving", "_sites"), ("self-watch", "watch", "_offload")]  # fmt: skip


@pytest.mark.parametrize(("name", "part", "lacks"), BROKEN)
async def test_a_side_loop_that_stumbles_ends_no_server_and_health_says_so(
    name: str, part: str, lacks: str, tmp_path: Path
) -> None:
    its = server(tmp_path)
    setattr(getattr(its, part), lacks, None)
    async with running(its) as loops:
        await until(lambda: its.side.troubles())
        assert list(its.side.troubles()) == [name]
        assert not any(loop.done() for loop in loops)
        health = its.services.health()["side_loops"]
        assert (health.ok, health.needed) == (False, False)
        assert name in health.detail
        assert any(f.name == "steward_loop_restarts_total" for f in its.services.figures())
