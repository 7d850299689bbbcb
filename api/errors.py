"""Every error leaves as a problem document; nothing of the request is repeated in it."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.ports import Conflict
from api.problems import BY_STATUS, Problem
from collector.ports import Unavailable

log = logging.getLogger(__name__)
BODY_MAX = 64 * 1024
Handler = Callable[[Request, Any], Awaitable[Response]]


def problem_response(problem: Problem) -> Response:
    """The problem as a response."""
    wait = problem.extras.get("retry_after_s")
    return Response(
        msgspec.json.encode(problem.document()),
        status_code=problem.status,
        media_type="application/problem+json",
        headers={"Retry-After": str(wait)} if wait else None,
    )


async def _problem(_request: Request, error: Problem) -> Response:
    return problem_response(error)


async def _invalid(_request: Request, error: RequestValidationError) -> Response:
    faults = [
        {"where": [str(part)[:60] for part in fault["loc"]], "what": str(fault["type"])}
        for fault in error.errors()[:20]
    ]
    malformed = any(fault["what"] == "json_invalid" for fault in faults)
    kind = "malformed" if malformed else "invalid"
    detail = "; ".join(f"{'.'.join(f['where'])}: {f['what']}" for f in faults)
    return problem_response(Problem(kind, detail, errors=faults))


async def _http(_request: Request, error: HTTPException) -> Response:
    cause = error.__cause__  # what reading a body raised, wrapped by the framework
    kind = BY_STATUS.get(error.status_code, "malformed")
    response = problem_response(cause if isinstance(cause, Problem) else Problem(kind))
    if error.headers:
        response.headers.update(error.headers)
    return response


async def _conflict(_request: Request, error: Conflict) -> Response:
    return problem_response(Problem("conflict", str(error)[:200]))


async def _unavailable(_request: Request, error: Unavailable) -> Response:
    log.warning("a request waits for something that is away: %s", error)
    return problem_response(Problem("unavailable"))


async def _failed(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(Problem("failed"))


def install(app: FastAPI) -> None:
    """Let every error of the application become a problem document."""
    handlers: dict[type[Exception], Handler] = {
        Problem: _problem,
        RequestValidationError: _invalid,
        HTTPException: _http,
        Conflict: _conflict,
        Unavailable: _unavailable,
        Exception: _failed,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


class BodyLimit:
    """Refuses bodies above `BODY_MAX` bytes and bodies that do not say they are JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        problem = _refused(headers)
        if problem is not None:
            await problem_response(problem)(scope, receive, send)
            return
        await self._app(scope, _counted(receive), send)


def _refused(headers: dict[bytes, bytes]) -> Problem | None:
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length[:20]) > BODY_MAX:
        return Problem("too-large", f"at most {BODY_MAX} bytes")
    has_body = length.strip(b"0") != b"" or b"transfer-encoding" in headers
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    return Problem("media-type") if has_body and kind != b"application/json" else None


def _counted(receive: Receive) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_MAX:
            raise Problem("too-large", f"at most {BODY_MAX} bytes")
        return message

    return counted


SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class SecurityHeaders:
    """Puts the security headers on every answer; what the API says is never kept by a cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {name.lower() for name, _ in message["headers"]}
                more = dict(SECURITY)
                if scope["path"].startswith("/api/"):
                    more["cache-control"] = "no-store"
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in more.items() if k.encode() not in have),
                ]
            await send(message)

        await self._app(scope, receive, secured)
