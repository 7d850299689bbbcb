"""What leases promise, over the twin and over NATS: one collector has a site, and another when it is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from collector.adapters.leases_nats import NatsLeases
from collector.adapters.memory_leases import Board, MemoryLeases
from collector.adapters.nats_link import NatsAt
from collector.holding import hold
from collector.ports import Leases, TakenOver, Unavailable
from commands.part_servers import NatsServer
from tests.waiting import until

LASTS_S = 0.6
SITE = "riverside"
Comes = Callable[[str], Leases]


@pytest.fixture(params=["twin", pytest.param("nats", marks=pytest.mark.system)])
async def comes(request: pytest.FixtureRequest) -> AsyncIterator[Comes]:
    """Makes one more collector, by its name."""
    board, held = Board(), []

    def over_nats(name: str) -> Leases:
        server: NatsServer = request.getfixturevalue("nats")
        at = NatsAt(server.url, "collector", server.users["collector"])
        return NatsLeases(at, name, LASTS_S)

    def collector(name: str) -> Leases:
        made = over_nats(name) if request.param == "nats" else MemoryLeases(board, name, LASTS_S)
        held.append(made)
        return made

    yield collector
    for leases in held:
        await leases.give_back(SITE)
        await leases.close()


async def soon(wanted: "asyncio.Task[None]") -> bool:
    """Whether it is so after twice as long as a lease lasts."""
    await asyncio.wait([wanted], timeout=2 * LASTS_S)
    return wanted.done()


async def test_a_lease_is_kept_while_its_keeper_lives_and_nobody_else_gets_it(
    comes: Comes,
) -> None:
    first, second = comes("a"), comes("b")
    await asyncio.wait_for(first.taken(SITE), 5)
    other, lost = asyncio.create_task(second.taken(SITE)), asyncio.create_task(first.lost(SITE))
    assert not await soon(other)
    assert not lost.done()
    other.cancel()
    lost.cancel()
    await asyncio.gather(other, lost, return_exceptions=True)


async def test_who_holds_a_lease_is_known_without_asking_anybody(comes: Comes) -> None:
    first, second = comes("a"), comes("b")
    assert not first.holds(SITE)
    await asyncio.wait_for(first.taken(SITE), 5)
    assert (first.holds(SITE), second.holds(SITE)) == (True, False)
    await first.give_back(SITE)
    assert not first.holds(SITE)


async def test_who_waits_is_told_who_has_it(comes: Comes) -> None:
    first, second = comes("a"), comes("b")
    assert (first.found(SITE), second.found(SITE)) == ("", "")
    await asyncio.wait_for(first.taken(SITE), 5)
    other = asyncio.create_task(second.taken(SITE))
    await until(lambda: second.found(SITE) == "a has it", 5)
    assert first.found(SITE) == ""
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_a_lease_that_ran_out_is_not_held_though_nobody_noticed_it_yet(comes: Comes) -> None:
    """As of a process that was stopped: its clock went on, and none of its tasks ran."""
    first = comes("a")
    await asyncio.wait_for(first.taken(SITE), 5)
    run_out(first)
    assert not first.holds(SITE)


def run_out(leases: Leases) -> None:
    """Make it the end of the lease now."""
    if isinstance(leases, NatsLeases):
        leases._held[SITE].until = 0.0
    elif isinstance(leases, MemoryLeases):
        leases._until[SITE] = 0.0


async def test_sites_are_leased_apart(comes: Comes) -> None:
    first, second = comes("a"), comes("b")
    await asyncio.wait_for(first.taken(SITE), 5)
    await asyncio.wait_for(second.taken("hillside"), 5)
    await second.give_back("hillside")


async def test_another_gets_it_when_its_keeper_is_gone_without_a_word(comes: Comes) -> None:
    first, second = comes("a"), comes("b")
    await asyncio.wait_for(first.taken(SITE), 5)
    await first.close()
    await asyncio.wait_for(second.taken(SITE), 10)


async def test_what_is_given_back_is_free_at_once_and_may_be_taken_again(comes: Comes) -> None:
    first, second = comes("a"), comes("b")
    for _ in range(2):
        for leases in (first, second):
            await asyncio.wait_for(leases.taken(SITE), 5)
            await leases.give_back(SITE)
    await second.give_back(SITE)


async def test_work_is_done_by_one_and_by_the_next_when_that_ends(comes: Comes) -> None:
    at_work: list[str] = []

    async def work(name: str) -> None:
        at_work.append(name)
        await asyncio.Event().wait()

    first = asyncio.create_task(hold(comes("a"), SITE, lambda: work("a")))
    await until(lambda: at_work == ["a"], 10)
    second = asyncio.create_task(hold(comes("b"), SITE, lambda: work("b")))
    first.cancel()
    await until(lambda: at_work == ["a", "b"], 10)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_work_that_fails_gives_the_site_to_another(comes: Comes) -> None:
    async def fail() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await hold(comes("a"), SITE, fail)
    await asyncio.wait_for(comes("b").taken(SITE), 5)


@pytest.mark.parametrize("error", [TakenOver("the journal is another's"), Unavailable("the ledger is away")])  # fmt: skip
async def test_work_that_cannot_be_done_now_leaves_the_site_to_others_and_is_done_again(
    comes: Comes, caplog: pytest.LogCaptureFixture, error: Unavailable
) -> None:
    did: list[str] = []

    async def work(name: str) -> None:
        did.append(name)
        if did == ["a"]:
            raise error
        await asyncio.Event().wait()

    first = asyncio.create_task(hold(comes("a"), SITE, lambda: work("a")))
    await until(lambda: did == ["a"], 10)
    second = asyncio.create_task(hold(comes("b"), SITE, lambda: work("b")))
    await until(lambda: did == ["a", "b"], 10)
    second.cancel()
    await until(lambda: did == ["a", "b", "a"], 10)
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert f"is left to others: {error}" in caplog.text


async def test_why_work_cannot_be_done_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    did: list[str] = []

    async def work() -> None:
        did.append("a")
        raise Unavailable("the ledger is away")

    holding = asyncio.create_task(hold(MemoryLeases(Board(), "a", 0.1), SITE, work))
    await until(lambda: len(did) > 3, 10)
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    assert [r.levelname for r in caplog.records] == ["ERROR"]
    assert "whoever runs this server mends that" in caplog.text


async def test_nobody_is_to_mend_a_lease_that_ran_out(caplog: pytest.LogCaptureFixture) -> None:
    leases = MemoryLeases(Board(), "a", LASTS_S)

    async def work() -> None:
        run_out(leases)
        raise Unavailable("our lease ran out")

    holding = asyncio.create_task(hold(leases, SITE, work))
    await until(lambda: "our lease ran out; this one stands by again" in caplog.text, 10)
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


async def test_work_ends_when_nobody_can_be_asked_for_as_long_as_a_lease_lasts() -> None:
    board, began, ended = Board(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    holding = asyncio.create_task(hold(MemoryLeases(board, "a", LASTS_S), SITE, work))
    await asyncio.wait_for(began.wait(), 5)
    board.reachable = False
    await asyncio.wait_for(ended.wait(), 5)
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


async def test_work_is_tidied_up_though_its_end_is_asked_for_twice() -> None:
    began, ending, end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    tidied: list[bool] = []

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await end.wait()
            tidied.append(True)

    holding = asyncio.create_task(hold(MemoryLeases(Board(), "a", LASTS_S), SITE, work))
    await asyncio.wait_for(began.wait(), 5)
    holding.cancel()
    await asyncio.wait_for(ending.wait(), 5)
    holding.cancel()
    await asyncio.wait([holding], timeout=0)
    end.set()
    await asyncio.gather(holding, return_exceptions=True)
    assert tidied == [True]
