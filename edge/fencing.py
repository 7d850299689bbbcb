"""Calls into code that is not ours: bounded in time, whatever they raise given back, no password in what they say."""

import asyncio
import contextlib
import re
import threading
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, unquote

from config.plant import Secret
from config.reading import LOGIN

T = TypeVar("T")
ENDING_S: Final = 1.0
"""How long what was cancelled may take to end, in real seconds."""
SAID_MAX: Final = 500
"""Characters that are kept of what is said."""
_PASSWORD_IN: Final = re.compile(r"//[^:/\s]*:(\S+)@")

Outcome = tuple[T | None, BaseException | None]
"""What a call gave, or what it raised."""


class Late(Exception):
    """A call has not ended in time; it was cancelled."""


class Busy(Exception):
    """A call that was cancelled has not ended yet."""


class Raised(Exception):
    """What a call raised, whatever it was, is the cause."""


class Calls(Generic[T]):
    """One call at a time, each in a task of its own: what it swallows or cancels is its own task."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Outcome[T]] | None = None

    async def run(self, call: Callable[[], Awaitable[T]], within_s: float) -> T:
        """What the call gives within so many real seconds. Cancelling this ends the call, or leaves it behind.

        Raises:
            Late: it did not end in time.
            Busy: an earlier one, late or cancelled, goes on.
            Raised: it raised.
        """
        if self._task is not None and not self._task.done():
            raise Busy
        task = self._task = asyncio.create_task(_caught(call))
        try:
            done, _ = await asyncio.wait([task], timeout=within_s)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=ENDING_S)
        if not done:
            raise Late
        return given(task.result())


async def _caught(call: Callable[[], Awaitable[T]]) -> Outcome[T]:
    try:
        return await call(), None
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  # a stranger's SystemExit would end the process
        return None, error


def in_thread(call: Callable[[], T]) -> asyncio.Future[Outcome[T]]:
    """The call in a thread of its own, which holds up no end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Outcome[T]] = loop.create_future()

    def run() -> None:
        outcome = outcome_of(call)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_tell, future, outcome)

    threading.Thread(target=run, daemon=True, name="fenced call").start()
    return future


def outcome_of(call: Callable[[], T]) -> Outcome[T]:
    """Calls it here and now."""
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001  # as above
        return None, error


def _tell(future: asyncio.Future[Any], outcome: Outcome[Any]) -> None:
    if not future.done():
        future.set_result(outcome)


def given(outcome: Outcome[T]) -> T:
    """What the call gave. Raises `Raised` if it raised."""
    value, error = outcome
    if error is not None:
        raise Raised from error
    return value  # type: ignore[return-value]  # nothing was raised: it is there


class Passwords:
    """Hands passwords out, and takes them out of what is said by whoever got them."""

    def __init__(self, at: str, password_of: Callable[[Secret], str]) -> None:
        self._password_of = password_of
        written = _PASSWORD_IN.findall(at)
        self._given = {*written, *map(unquote, written)}

    def __call__(self, secret: Secret) -> str:
        word = self._password_of(secret)
        self._given.add(word)
        return word

    def hidden(self, text: str) -> str:
        """The text without any password, and without any login before an address."""
        for word in sorted(filter(None, list(self._given)), key=len, reverse=True):
            for written in (word, repr(word)[1:-1], quote(word, safe="")):
                text = text.replace(written, "…")
        return LOGIN.sub("//…@", text)

    def line(self, text: object) -> str:
        """The same as one line of text that can be sent and is not long. Raises TypeError if it is no text."""
        if not isinstance(text, str):
            raise TypeError(f"{type(text).__name__} is no text")
        sound = str.encode(text, errors="replace").decode()
        return " ".join(self.hidden(sound).split())[:SAID_MAX]

    def said(self, error: BaseException | None) -> str:
        """Type and text of an error."""
        name = type(error).__name__
        try:
            return f"{name}: {self.line(str(error))}"
        except Exception:  # noqa: BLE001  # an error that cannot even be told
            return name

    def trace(self, error: BaseException | None) -> str:
        """Where an error came from, for the package's author."""
        return self.hidden("".join(traceback.format_exception(error)))
