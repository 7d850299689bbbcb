"""How commands ask the running server of a data folder: over HTTP, with the owner's token from that folder."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from commands.access import token_of
from config.settings import Settings, SettingsError


class ServerAway(Exception):
    """No server runs on this data folder, or it cannot be reached; the message says what to do."""


def ask(
    settings: Settings, path: str, body: Mapping[str, Any] | None = None, method: str = ""
) -> Any:
    """One call to `/api/v1/<path>`; the answer's JSON.

    Raises:
        ServerAway: nobody answers, or the token is not known.
    """
    base = f"http://{settings.http_host}:{settings.http_port}/api/v1"
    try:
        token = token_of("owner", settings)
    except SettingsError as error:
        raise ServerAway(f"{error}. Start the server once, or set STEWARD_DATA to its data folder") from error  # fmt: skip
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{base}/{path}", data, headers, method=method or None)  # noqa: S310  # our own server
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own server
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise ServerAway(f"{base}/{path} answers {error.code}: {error.read()[:300].decode(errors='replace')}") from error  # fmt: skip
    except (OSError, ValueError) as error:
        raise ServerAway(f"no server answers at {base} ({error}). Start it, or set STEWARD_HTTP_PORT and STEWARD_DATA as it was started with") from error  # fmt: skip
