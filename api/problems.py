"""Refusals as values: every error that HTTP shows is one of these rows, with a stable type."""

from collections.abc import Mapping
from typing import Any

KINDS: Mapping[str, tuple[int, str]] = {
    "malformed": (400, "The request cannot be read"),
    "not-signed-in": (401, "Sign in first"),
    "wrong-name-or-password": (401, "Name or password is wrong"),
    "csrf": (403, "The X-CSRF header is missing or wrong"),
    "role-missing": (403, "Your roles do not allow this"),
    "not-found": (404, "There is no such thing"),
    "method": (405, "This address does not take that method"),
    "refused": (409, "Refused"),
    "illegal-move": (409, "The order's state does not allow this move"),
    "conflict": (409, "It changed meanwhile; read it again"),
    "link-used": (410, "The link has been used or is too old"),
    "stale": (412, "It changed meanwhile; read it again"),
    "too-large": (413, "The request is too large"),
    "media-type": (415, "Send application/json"),
    "invalid": (422, "Something in the request is wrong"),
    "too-many-readings": (422, "The span holds too many readings for this resolution"),
    "locked": (429, "Too many failures; wait"),
    "failed": (500, "Something went wrong here; it has been logged"),
    "agent-away": (503, "The agent cannot be asked now"),
    "unavailable": (503, "Something needed cannot be reached now; try again"),
}
"""Name to (status, title). A name never changes its meaning."""
BY_STATUS = {404: "not-found", 405: "method", 400: "malformed", 413: "too-large"}


class Problem(Exception):
    """One refusal; `extras` become members of the problem document."""

    def __init__(self, kind: str, detail: str = "", **extras: Any) -> None:
        super().__init__(detail or kind)
        self.kind = kind
        self.detail = detail
        self.extras = extras
        self.status, self.title = KINDS[kind]

    def document(self) -> dict[str, Any]:
        """The problem as RFC 9457 has it."""
        return {
            "type": f"/problems/{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extras,
        }
