"""Questions that many ask at once, answered by one look beside the loop, the same one once."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Together(Generic[Q, A]):
    """`look` may block: it finds out what all answers need, what it returns answers each question.

    `beside` runs what blocks. No answer is older than its question.
    """

    def __init__(
        self,
        look: Callable[[Collection[Q]], Callable[[Q], A]],
        beside: Callable[[Callable[[], dict[Q, A | Exception]]], Awaitable[dict[Q, A | Exception]]],
    ) -> None:
        self._look = look
        self._beside = beside
        self._asked: set[Q] = set()
        self._answers: asyncio.Task[dict[Q, A | Exception]] | None = None

    async def ask(self, question: Q) -> A:
        """What the look says that begins at the loop's next turn; raises what it raises, or what this question's answer raises."""
        self._asked.add(question)
        if self._answers is None:
            self._answers = asyncio.create_task(self._begin())
        answer = (await asyncio.shield(self._answers))[question]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _begin(self) -> dict[Q, A | Exception]:
        asked, self._asked, self._answers = self._asked, set(), None
        return await self._beside(lambda: self._all(asked))

    def _all(self, asked: Collection[Q]) -> dict[Q, A | Exception]:
        answer = self._look(asked)
        answers: dict[Q, A | Exception] = {}
        for question in asked:
            try:
                answers[question] = answer(question)
            except Exception as error:  # noqa: BLE001  # raised to who asked
                answers[question] = error
        return answers
