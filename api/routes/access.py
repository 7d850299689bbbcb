"""Who may ask what: every route but the named few wants a caller, a role and a site in scope."""

from collections.abc import Awaitable, Callable, Sequence
from hmac import compare_digest
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Path, Request
from fastapi.responses import Response

from api.desk.work_orders import OPERATOR, PLANNER, SUPERVISORS, TECHNICIAN, VIEWER
from api.people import Caller, Carried
from api.problems import Problem
from api.services import Services
from config.plant import Plant

COOKIE = "steward_session"
SAFE = frozenset({"GET", "HEAD"})
TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"
"""What people write: no control characters but tab and line feed."""
ID = r"^[^\x00-\x1f\x7f]+$"


def json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Data as JSON; NaN becomes null."""
    return Response(msgspec.json.encode(data), status, headers, "application/json")


async def services_of(request: Request) -> Services:
    """What the application was built with; not async it would be called in a thread, at each request."""
    services: Services = request.app.state.services
    return services


Given = Annotated[Services, Depends(services_of)]


async def known_caller(request: Request, services: Services) -> Caller | None:
    """Whose token or session the request carries now; None if it ended or there is none."""
    carried = carried_by(request)
    return await services.callers.ask(carried) if carried.secret else None


def carried_by(request: Request) -> Carried:
    """The bearer token of a request, else its session."""
    header = request.headers.get("authorization", "")
    if not header:
        return Carried("session", request.cookies.get(COOKIE, ""))
    scheme, _, token = header.partition(" ")
    return Carried("token", token.strip() if scheme.lower() == "bearer" else "")


async def maybe_caller(request: Request, services: Given) -> Caller | None:
    """The caller by token or session, None if there is none. A session's changes need its CSRF word.

    Raises:
        Problem: `csrf`, or `not-signed-in` for a token that is not right.
    """
    caller = await known_caller(request, services)
    if caller is None and request.headers.get("authorization", ""):
        raise Problem("not-signed-in")
    if caller is not None and caller.session and request.method not in SAFE:
        word = request.headers.get("x-csrf", "")
        if not compare_digest(word.encode(), caller.csrf.encode()):
            raise Problem("csrf")
    return caller


MaybeCaller = Annotated[Caller | None, Depends(maybe_caller)]


async def signed_in(caller: MaybeCaller) -> Caller:
    """The caller.

    Raises:
        Problem: `not-signed-in`.
    """
    if caller is None:
        raise Problem("not-signed-in")
    return caller


SignedIn = Annotated[Caller, Depends(signed_in)]


def _need(*roles: str) -> Callable[[Caller], Awaitable[Caller]]:
    allowed = {*roles, *SUPERVISORS}

    async def check(caller: SignedIn) -> Caller:
        if not allowed & set(caller.roles):
            raise Problem("role-missing", f"one of {', '.join(sorted(allowed))}")
        return caller

    return check


async def _admin(caller: SignedIn) -> Caller:
    if "admin" not in caller.roles:
        raise Problem("role-missing", "admin")
    return caller


async def _whole(caller: SignedIn) -> Caller:
    if "*" not in caller.sites:
        raise Problem("role-missing", "this is of all sites", reason="scope_missing")
    return caller


Anyone = SignedIn
Whole = Annotated[Caller, Depends(_whole)]
"""Who may see what is of all sites together."""
Operator = Annotated[Caller, Depends(_need(OPERATOR))]
Planner = Annotated[Caller, Depends(_need(PLANNER))]
Doer = Annotated[Caller, Depends(_need(TECHNICIAN, PLANNER))]
Writer = Annotated[Caller, Depends(_need(OPERATOR, PLANNER))]
Mover = Annotated[Caller, Depends(_need(OPERATOR, TECHNICIAN, PLANNER))]
Admin = Annotated[Caller, Depends(_admin)]
EVERY_ROLE = (VIEWER, OPERATOR, TECHNICIAN, PLANNER, *SUPERVISORS)


async def plant_in_scope(site: str, caller: SignedIn, services: Given) -> Plant:
    """The site's plant; one outside the caller's scope is not there.

    Raises:
        Problem: `not-found`.
    """
    if not caller.may_see(site):
        raise Problem("not-found", "there is no such site")
    return services.plant(site)


Site = Annotated[Plant, Depends(plant_in_scope)]


def check_grant(caller: Caller, sites: Sequence[str]) -> None:
    """Refuse to give more than the caller has.

    Raises:
        Problem: `role-missing` with `scope_missing`.
    """
    if not caller.covers(sites):
        raise Problem("role-missing", "these sites are not yours to give", reason="scope_missing")


Named = Annotated[str, Path(max_length=64, pattern=TEXT)]
TokenId = Annotated[str, Path(max_length=40, pattern="^[0-9a-f]+$")]


async def person_in_scope(name: Named, caller: Admin, services: Given) -> str:
    """The name of a person whom the caller administers; one outside the scope is not there.

    Raises:
        Problem: `not-found`.
    """
    if not caller.covers(await services.offload(lambda: services.people.sites_of(name))):
        raise Problem("not-found", "there is no such person")
    return name


async def token_in_scope(id: TokenId, caller: Admin, services: Given) -> str:
    """The id of a token that the caller administers; one outside the scope is not there.

    Raises:
        Problem: `not-found`.
    """
    if not caller.covers(await services.offload(lambda: services.people.token_sites(id))):
        raise Problem("not-found", "there is no such token")
    return id


PersonInScope = Annotated[str, Depends(person_in_scope)]
TokenInScope = Annotated[str, Depends(token_in_scope)]
