"""Two small journals of one agent: what is planted in them is found, whatever accident befell another reading."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from collector.adapters.memory_bus import MemoryBus
from collector.ports import Entry, SeriesKey, StoreBatch
from commands.proving.delivery_history import (
    SITE,
    Key,
    Made,
    WitnessedJournal,
    WitnessedStore,
    compare,
    of_store,
    older_copy,
)
from commands.proving.delivery_parts import DROPPED, Machine, plant
from commands.proving.delivery_witness import CountingDevice
from config.clock import SteppedClock
from edge.batches import Outgoing, columns_of, payload_of
from edge.outbox import Dropped, OutboxLimits
from edge.outbox_file import OutboxFile
from edge.point_table import grown
from edge.ports import LinkLost, PointReading
from edge.readings import CONTRACT, Birth, Committed, PointRow, encode
from tests.unit.edge.rows import register_point

T0 = 1_763_700_000_000
POINT = "pump/flow"
TABLE = grown((), [register_point(POINT, 0, id=POINT)])
KEYS: list[Key] = [(POINT, T0 + 500 * n) for n in range(8)]
ERROR_MS = 90_000
"""A clock error that is believed."""


@dataclass
class Left:
    """What a run left: readings KEYS[n] of value n, thinned or given to journal and store one by one."""

    made: Made = field(default_factory=Made)
    journal: WitnessedJournal = field(default_factory=WitnessedJournal)
    store: WitnessedStore = field(default_factory=WitnessedStore)
    thinned: int = 0
    seqs: Counter[str] = field(default_factory=Counter)

    def make(self, *numbers: int) -> None:
        self.made.made |= {KEYS[n]: float(n) for n in numbers}

    def take(self, *numbers: int, epoch: str = "e1", clock_error: int = 0) -> None:
        """Journal them and give what the journal holds to the store."""
        if epoch not in self.seqs:
            row = PointRow(0, POINT, "bar", "measurement", 1, "data", 1.0, 10.0)
            birth = Birth(CONTRACT, 1, epoch, "0", "", [row])
            self.journal.append([Entry(T0, "birth", SITE, "a", epoch=epoch, payload=encode(birth))])
        for n in numbers:
            self.seqs[epoch] += 1
            columns = columns_of([PointReading(POINT, float(n), 0, KEYS[n][1])], TABLE)
            seq = self.seqs[epoch]
            payload = payload_of(Outgoing("data", seq, columns), epoch=epoch, oldest=seq, now=T0)
            entry = Entry(T0, "batch", SITE, "a", "data", epoch, seq, 0, payload, clock_error, "", 1)  # fmt: skip
            self.journal.append([entry])
            self.write(n, clock_error=clock_error)

    def write(self, n: int, *, clock_error: int = 0) -> None:
        series = SeriesKey(SITE, POINT, "bar", "measurement")
        time, value = np.array([KEYS[n][1] - clock_error]), np.array([float(n)])
        none = np.zeros(1, np.int64)
        batch = StoreBatch([series], none, time, value, none.astype(np.uint8))
        self.store.write([batch], self.journal.last())

    def put_back(self, *numbers: int) -> None:
        self.made.put_back.update(KEYS[n] for n in numbers)

    def restore(self, position: int) -> None:
        """The journal becomes an older copy of itself."""
        older_copy(self.made, self.journal, position, cursor=self.store.cursor())
        self.journal.rise(self.store.cursor())
        self.seqs["e1"] = self.journal.marks()[SITE, "a", "e1", "data"]

    def problems(self) -> list[str]:
        found = compare(self.made, [self.journal], thinned=self.thinned)
        stored = of_store(self.journal, self.store, self.made.stored_and_forgotten)
        return [*found.problems, *stored]


def left() -> Left:
    """0 to 3 arrived; then a disk on which 2 and 3 waited was put back, and 3 came again."""
    run = Left()
    run.make(0, 1, 2, 3)
    run.take(0, 1, 2, 3)
    run.put_back(2, 3)
    run.take(3, epoch="e2")
    return run


def restored() -> Left:
    """The store had 0 to 3 when the journal forgot 2 and 3, one of them under a clock error; both came again."""
    run = Left()
    run.make(0, 1, 2, 3)
    run.take(0, 1, 2)
    run.take(3, clock_error=ERROR_MS)
    run.restore(3)
    run.take(2, 3)
    return run


def test_what_an_old_copy_brings_again_is_no_fault() -> None:
    run = left()
    assert run.problems() == []
    assert compare(run.made, [run.journal], thinned=0).absorbed == 1


def test_what_a_restored_journal_is_told_again_is_no_fault() -> None:
    run = restored()
    assert run.problems() == []
    assert run.store.writes[KEYS[2]] == 2


def test_what_a_restored_journal_forgot_and_never_heard_again_is_counted() -> None:
    run = restored()
    assert compare(run.made, [run.journal], thinned=0).forgotten == frozenset()
    run.restore(run.journal.last() - 1)
    assert compare(run.made, [run.journal], thinned=0).forgotten == {KEYS[3]}


@pytest.mark.parametrize("again", [False, True], ids=["nothing yet", "all of it"])
def test_a_journal_that_grows_older_while_its_store_begins_again_is_no_fault(again: bool) -> None:
    """The store had all, the journal had let go of 0 and 1 and forgot 3; now it forgets all but 0."""
    run = Left()
    run.make(0, 1, 2, 3)
    run.take(0, 1, 2, 3)
    run.journal.trim(3)
    older_copy(run.made, run.journal, 4, cursor=run.store.cursor())
    run.store.write([], 0)
    if again:
        run.write(2)
    older_copy(run.made, run.journal, 2, cursor=run.store.cursor())
    written = run.made.stored_and_forgotten + run.made.stored_again
    assert of_store(run.journal, run.store, written) == []


def test_what_was_thinned_on_an_old_copy_may_have_arrived_before() -> None:
    run = left()
    run.make(4)
    run.thinned = 2  # 4, and 2 of the old copy
    assert run.problems() == []


def thinned(count: int) -> Callable[[Left], None]:
    def plant(run: Left) -> None:
        run.thinned = count

    return plant


def lose_in_the_store(run: Left) -> None:
    run.store.writes[KEYS[2]] -= 1


PLANTED: list[tuple[str, Callable[[], Left], Callable[[Left], None], str]] = [
    ("another one journalled again", left, lambda run: run.take(1, epoch="e2"), "1 journalled again"),
    ("one of the copy journalled once more", left, lambda run: run.take(3), "1 journalled again"),
    ("another one stored again", restored, lambda run: run.write(1), "1 written to the store more often"),
    ("one of the forgotten stored once more", restored, lambda run: run.write(2), "1 written to the store more often"),
    ("the same one stored again where its clock was right", restored, lambda run: run.write(3), "1 written to the store more often"),
    ("one that came again and was not stored again", restored, lose_in_the_store, "1 journalled and not stored as often"),
    ("more thinned than the copy explains", left, thinned(3), "0 lost, but 3 counted as thinned"),
    ("one lost that nobody thinned", left, lambda run: run.make(5), "1 lost, but 0 counted as thinned"),
]  # fmt: skip


@pytest.mark.parametrize(("run", "plant", "said"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])  # fmt: skip
def test_what_is_planted_beside_an_accident_is_found(
    run: Callable[[], Left], plant: Callable[[Left], None], said: str
) -> None:
    history = run()
    plant(history)
    found = history.problems()
    assert any(said in problem for problem in found), found


def test_another_quality_than_was_made_is_found() -> None:
    run = left()
    run.made.quality |= {KEYS[1]: 0, KEYS[2]: 1}
    assert any("1 journalled with another quality" in problem for problem in run.problems())


def machine_of(made: Made) -> Machine:
    """A machine whose outbox holds KEYS 0 to 3, of which 0 and 1 have numbers."""
    clock, rng = SteppedClock(), np.random.default_rng(1)
    machine = Machine(
        MemoryBus(clock, rng, LinkLost), clock, rng, made, OutboxLimits(), CountingDevice(clock)
    )
    machine.outbox.define(plant().points.values(), T0)
    for n in range(4):
        reading = PointReading(POINT, float(n), 0, KEYS[n][1])
        machine.outbox.keep([reading], KEYS[n][1], monotonic=float(n))
        if n == 1:
            assert machine.outbox.number("data", KEYS[n][1], float(n)) == 2
    return machine


async def test_a_power_cut_undoes_what_did_not_wait_for_the_disk_and_a_kill_does_not() -> None:
    machine = machine_of(Made())
    machine.outbox.commit(Committed(machine.outbox.epoch, data=1), KEYS[4][1])
    await machine.kill()
    assert (machine.outbox.mark("data"), machine.outbox.batches) == (1, 3)
    machine.outbox.commit(Committed(machine.outbox.epoch, data=2), KEYS[4][1])
    await machine.power_cut()
    assert (machine.outbox.mark("data"), machine.outbox.batches) == (1, 3)
    machine.outbox.close()


async def test_what_is_kept_without_waiting_for_the_disk_is_gone_after_a_power_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    durably = OutboxFile.durably
    monkeypatch.setattr(
        OutboxFile, "durably", lambda file, work, *, soon=False: durably(file, work, soon=True)
    )
    machine = machine_of(Made())
    await machine.power_cut()
    assert machine.outbox.batches == 0
    machine.outbox.close()


def test_what_was_dropped_and_nobody_was_told_of_is_counted() -> None:
    machine = machine_of(Made())
    machine.outbox.dropped = Dropped(5, T0, T0)
    machine.history.made[DROPPED, T0] = 3.0
    assert machine.untold == 2
    machine.history.made[DROPPED, T0 + 1] = 5.0
    assert machine.untold == 0
    machine.outbox.close()


async def test_of_an_old_copy_only_what_no_mark_covers_may_come_again() -> None:
    made = Made()
    machine = machine_of(made)
    image = machine.outbox.image()
    await machine.kill()
    assert not made.put_back
    await machine.kill(image=image)
    assert made.put_back == Counter({KEYS[2]: 1, KEYS[3]: 1})
    far = Committed(machine.outbox.epoch, data=1, event=9, backfill=0)
    assert machine.outbox.commit(far, KEYS[4][1])
    assert made.put_back == Counter({KEYS[1]: 1, KEYS[2]: 1, KEYS[3]: 1})
    machine.outbox.close()


def test_a_store_that_lags_had_only_a_part_of_what_the_journal_forgot() -> None:
    run = Left()
    run.make(0, 1, 2)
    run.take(0, 1, 2)
    writes, cursor = run.store.writes.copy(), 3
    run.store = WitnessedStore()
    run.write(0)
    run.write(1)
    run.store.write([], cursor)
    run.restore(2)
    assert writes[KEYS[2]] == 1
    assert run.made.stored_and_forgotten == Counter({KEYS[1]: 1})
    run.take(1, 2)
    assert run.problems() == []
