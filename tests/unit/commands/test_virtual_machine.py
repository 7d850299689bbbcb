"""What befalls a virtual site's machine is over when it is: nothing of it stays with the process that played it."""

import contextlib
import resource
from pathlib import Path

import pytest

from commands.scenarios import PLANTS
from commands.virtual import VirtualSite
from commands.virtual_machine import PAGE_BYTES, spoil
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.load import load_plant

START_MS = 1_763_700_000_000


class Left(Exception):
    """The block is left before its time."""


@pytest.mark.usefixtures("unmeasured")
def test_a_site_that_is_left_with_its_disk_full_leaves_this_process_able_to_write(
    tmp_path: Path,
) -> None:
    loop = VirtualLoop()
    site = VirtualSite(load_plant(PLANTS / "riverside"), VirtualClock(loop, START_MS), 1, None, tmp_path)  # fmt: skip
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def left_on_a_full_disk() -> None:
        async with site.running():
            site.disk("fills")
            with pytest.raises(OSError, match="too large"):
                (tmp_path / "x").write_bytes(b"x")
            raise Left

    with contextlib.suppress(Left):
        run_virtual(left_on_a_full_disk(), loop=loop)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
    assert (tmp_path / "x").write_bytes(b"x") == 1


def test_every_page_behind_the_first_is_spoilt(tmp_path: Path) -> None:
    path = tmp_path / "o"
    path.write_bytes(bytes(3 * PAGE_BYTES))
    spoil(path)
    spoilt = path.read_bytes()
    assert len(spoilt) == 3 * PAGE_BYTES
    assert spoilt[:PAGE_BYTES] == bytes(PAGE_BYTES)
    assert 0 not in spoilt[PAGE_BYTES:]


@pytest.mark.parametrize("size", [0, 1, PAGE_BYTES])
def test_a_file_of_one_page_cannot_be_spoilt_in_silence(tmp_path: Path, size: int) -> None:
    path = tmp_path / "o"
    path.write_bytes(bytes(size))
    with pytest.raises(ValueError, match="no page behind the first"):
        spoil(path)
    assert path.read_bytes() == bytes(size)
