"""Questions that many ask at once, answered by one call beside the loop, the same one once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Together(Generic[Q, A]):
    """`answer` may block; `beside` runs what blocks. No answer is older than its question."""

    def __init__(
        self,
        answer: Callable[[Q], A],
        beside: Callable[[Callable[[], dict[Q, A | Exception]]], Awaitable[dict[Q, A | Exception]]],
    ) -> None:
        self._answer = answer
        self._beside = beside
        self._asked: set[Q] = set()
        self._answers: asyncio.Task[dict[Q, A | Exception]] | None = None

    async def ask(self, question: Q) -> A:
        """What the call says that begins at the loop's next turn; raises what it raises to who asked this."""
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

    def _all(self, asked: Iterable[Q]) -> dict[Q, A | Exception]:
        answers: dict[Q, A | Exception] = {}
        for question in asked:
            try:
                answers[question] = self._answer(question)
            except Exception as error:  # noqa: BLE001  # raised to who asked
                answers[question] = error
        return answers
