"""Who asks at once is answered by one call; nobody gets an answer that is older than the question."""

import asyncio
from collections.abc import Callable, Collection, Sequence

import pytest

from api.together import Together

Answers = dict[str, str | Exception]


class Beside:
    """Calls begin and end when the test lets them; what each was asked is kept."""

    def __init__(self, *, held: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.says = "old"
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        if not held:
            self.go_on.set()

    def look(self, questions: Collection[str]) -> Callable[[str], str]:
        self.calls[-1] += questions
        if "all?" in questions:
            raise ConnectionError
        return self.answer

    def answer(self, question: str) -> str:
        if question == "who?":
            raise LookupError(question)
        return f"{self.says} {question}"

    async def run(self, call: Callable[[], Answers]) -> Answers:
        self.calls.append([])
        self.begun.set()
        answers = call()
        await self.go_on.wait()
        return answers


async def asked(together: Together[str, str], questions: Sequence[str]) -> list[str]:
    return await asyncio.gather(*(together.ask(question) for question in questions))


async def test_one_call_answers_all_and_the_same_question_once() -> None:
    beside = Beside()
    together = Together(beside.look, beside.run)
    assert await asked(together, ["a", "b", "a"]) == ["old a", "old b", "old a"]
    assert [sorted(call) for call in beside.calls] == [["a", "b"]]


async def test_who_asks_while_a_call_runs_waits_for_the_next() -> None:
    beside = Beside(held=True)
    together = Together(beside.look, beside.run)
    first = asyncio.create_task(together.ask("a"))
    await beside.begun.wait()
    beside.says = "new"
    second = asyncio.create_task(together.ask("a"))
    beside.go_on.set()
    assert (await first, await second) == ("old a", "new a")


async def test_who_goes_away_takes_no_answer_from_others() -> None:
    beside = Beside(held=True)
    together = Together(beside.look, beside.run)
    gone, stays = (asyncio.create_task(together.ask(question)) for question in "ab")
    await beside.begun.wait()
    gone.cancel()
    beside.go_on.set()
    assert await stays == "old b"
    assert gone.cancelled()


async def test_what_one_question_raises_is_raised_to_who_asked_it_and_to_nobody_else() -> None:
    beside = Beside()
    together = Together(beside.look, beside.run)
    found = await asyncio.gather(together.ask("who?"), together.ask("a"), return_exceptions=True)
    assert [type(found[0]), found[1]] == [LookupError, "old a"]
    with pytest.raises(LookupError):
        await together.ask("who?")
    assert await together.ask("a") == "old a"


async def test_what_the_look_raises_is_raised_to_all_who_asked_and_to_nobody_later() -> None:
    beside = Beside()
    together = Together(beside.look, beside.run)
    found = await asyncio.gather(together.ask("all?"), together.ask("a"), return_exceptions=True)
    assert [type(answer) for answer in found] == [ConnectionError, ConnectionError]
    assert await together.ask("a") == "old a"
