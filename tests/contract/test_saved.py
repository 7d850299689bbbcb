"""What is saved for a restart or an heir, over files and over NATS: values by name, as large as they come."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from collector.adapters.journal_nats import NatsJournal
from collector.adapters.nats_link import NatsAt
from collector.adapters.nats_values import PART_BYTES
from collector.live import TABLE, SavedFiles
from collector.ports import Saved, TakenOver
from commands.part_servers import NatsServer

LARGE = np.random.default_rng(1).bytes(5 * PART_BYTES // 2)
Opened = Callable[[], Saved]


@pytest.fixture
def in_nats(nats: NatsServer, tmp_path: Path) -> Iterator[Callable[[], NatsJournal]]:
    """One more owner of the same journal; all are closed at the end."""
    at = NatsAt(nats.url, "collector", nats.users["collector"])
    held: list[NatsJournal] = []

    def another() -> NatsJournal:
        held.append(NatsJournal(at, tmp_path.name, cap_bytes=1 << 24))
        return held[-1]

    yield another
    for journal in held:
        journal.close()


@pytest.fixture(params=["files", pytest.param("nats", marks=pytest.mark.system)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens it again, as after a restart."""
    if request.param == "files":
        return lambda: SavedFiles(tmp_path / "live.bin")
    made: Opened = request.getfixturevalue("in_nats")
    return made


def test_nothing_is_there_before_it_is_saved(opened: Opened) -> None:
    assert opened().load(TABLE) is None


@pytest.mark.parametrize("content", [b"", b"\x00short\xff", LARGE], ids=["empty", "short", "large"])
def test_what_was_saved_last_is_there_whole_after_a_restart(opened: Opened, content: bytes) -> None:
    opened().save(TABLE, b"before")
    opened().save(TABLE, content)
    assert opened().load(TABLE) == content
    opened().save(TABLE, LARGE[::-1])
    assert opened().load(TABLE) == LARGE[::-1]


def test_names_are_kept_apart(opened: Opened) -> None:
    opened().save(TABLE, b"one")
    opened().save("scores", b"other")
    assert (opened().load(TABLE), opened().load("scores")) == (b"one", b"other")


def test_people_are_told_where_it_is(opened: Opened) -> None:
    assert TABLE in opened().where(TABLE)


# --- in NATS -----------------------------------------------------------------------------------


def parts_of(journal: NatsJournal) -> int:
    """How many parts of long values the server keeps."""
    stream, subjects = f"KV_{journal._log._stream}", "$KV.*.*.*.*.*"
    info = journal._log._link.ask("-", lambda js: js.stream_info(stream, subjects_filter=subjects))
    return len(info.state.subjects or {})


@pytest.mark.system
def test_an_earlier_owner_saves_nothing_over_what_its_heir_saved(
    in_nats: Callable[[], NatsJournal],
) -> None:
    first = in_nats()
    first.save(TABLE, LARGE)
    heir = in_nats()
    assert heir.load(TABLE) == LARGE
    heir.save(TABLE, LARGE[::-1])
    with pytest.raises(TakenOver):
        first.save(TABLE, LARGE[1:])
    assert first.load(TABLE) == LARGE[::-1]


@pytest.mark.system
def test_of_long_values_only_the_last_one_takes_room(in_nats: Callable[[], NatsJournal]) -> None:
    first = in_nats()
    for turn in range(3):
        first.save(TABLE, LARGE[turn:])
    assert parts_of(first) == 3
    heir = in_nats()
    heir.save(TABLE, LARGE[9:])
    with pytest.raises(TakenOver):
        first.save(TABLE, LARGE)
    heir.save(TABLE, LARGE[10:])
    assert parts_of(heir) == 3
    assert in_nats().load(TABLE) == LARGE[10:]
    heir.save(TABLE, b"short")
    assert parts_of(heir) == 0
