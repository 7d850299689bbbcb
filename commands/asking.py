"""How commands ask the running server of a data folder: over HTTP, with the owner's token from that folder."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from commands.access import token_of
from commands.local_http import open_local
from config.settings import Settings, SettingsError

SHOWN_BYTES = 300
UNAVAILABLE = 503


class ServerAway(Exception):
    """No server runs on this data folder, or it cannot be reached; the message says what to do.

    `said` is what a server that does run says of something else that it cannot reach, else empty; `answer`
    is all that it answers then.
    """

    def __init__(self, message: str, said: str = "", answer: bytes = b"") -> None:
        super().__init__(message)
        self.said = said
        self.answer = answer


class Refused(Exception):
    """The server answers and does not do what was asked; the message is its reason.

    `kind` is the problem's name as the API has it, empty where the answer has none.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


ANSWER_S: Final = 30.0


def ask(
    settings: Settings, path: str, body: Mapping[str, Any] | None = None, method: str = "",
    *, wait_s: float = ANSWER_S,
) -> Any:  # fmt: skip
    """One call to `/api/v1/<path>`; the answer's JSON, for which no pause is longer than `wait_s`.

    Raises:
        ServerAway: nobody answers, the server fails, or the token is not known.
        Refused: what was asked is wrong.
    """
    base = f"http://{settings.http_host}:{settings.http_port}/api/v1"
    try:
        token = token_of("owner", settings)
    except SettingsError as error:
        raise ServerAway(
            f"no server has run on the data folder {settings.data}: start one (./steward up PLANT, or ./steward demo), or set "
            "STEWARD_DATA to the folder of the one that runs; who may ask it is known by its secret token-owner"
        ) from error
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{base}/{path}", data, headers, method=method or None)  # noqa: S310  # our own server
    try:
        with open_local(request, wait_s) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        answered = error.read()
        said = _reason(answered)
        if error.code in (401, 403) or error.code >= 500:
            away = (said, answered) if error.code == UNAVAILABLE else ()
            raise ServerAway(f"{base}/{path} answers {error.code}: {said}", *away) from error
        raise Refused(said, _kind(answered)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise ServerAway(f"the server at {base} took the question and has not answered for {wait_s:g} s: it is busy with this or something else, and goes on; ask again in a while") from error  # fmt: skip
        why = getattr(reason, "strerror", None) or reason
        raise ServerAway(f"no server answers at {base} ({why}): start one (./steward up PLANT), or set STEWARD_HTTP_PORT and STEWARD_DATA as it was started with") from error  # fmt: skip


def _reason(body: bytes) -> str:
    """A problem's own words: what the API says of it, else how the answer begins."""
    try:
        problem = json.loads(body)
        words = [str(problem[name]) for name in ("title", "detail") if problem.get(name)]
    except (ValueError, AttributeError):
        words = []
    return ": ".join(words) or body[:SHOWN_BYTES].decode(errors="replace")


def _kind(body: bytes) -> str:
    """A problem's name: `too-many-readings`."""
    try:
        return str(json.loads(body)["type"]).removeprefix("/problems/")
    except (ValueError, TypeError, KeyError):
        return ""
