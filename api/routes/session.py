"""Signing in and out, the one-time links, and who is here."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from api.people import SESSION_MS
from api.routes.access import COOKIE, TEXT, Anyone, Given, MaybeCaller, json
from api.shapes import Me

router = APIRouter()
open_router = APIRouter()
STRICT = ConfigDict(extra="forbid", strict=True)
Word = Annotated[str, Field(max_length=200, pattern=TEXT)]


class SignIn(BaseModel):
    """Name and password."""

    model_config = STRICT
    name: Word
    password: Word


class SetUp(BaseModel):
    """A one-time link with the name and password it is used for."""

    model_config = STRICT
    link: Word
    name: Word
    password: Word


@open_router.post("/session", status_code=204)
async def sign_in(body: SignIn, request: Request, services: Given) -> Response:
    """Sign in; the answer sets the session's cookie."""
    async with services.hashing:
        secret = await services.offload(lambda: services.people.sign_in(body.name, body.password))
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        secret,
        max_age=SESSION_MS // 1000,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@open_router.delete("/session", status_code=204)
async def sign_out(caller: MaybeCaller, services: Given) -> Response:
    """Sign out; nothing happens if nobody is signed in."""
    if caller is not None and caller.session:
        session = caller.session
        await services.offload(lambda: services.people.sign_out(session))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@open_router.get("/setup", response_model=dict[str, bool])
async def check_link(services: Given, link: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Whether a one-time link may still be used."""
    whose = await services.offload(lambda: services.people.link_person(link))
    return json({"valid": whose is not None})


@open_router.post("/setup", status_code=204)
async def set_up(body: SetUp, services: Given) -> Response:
    """Use a one-time link: the first makes the first admin, an invitation sets its password."""
    async with services.hashing:
        await services.offload(lambda: services.people.set_up(body.link, body.name, body.password))
    return Response(status_code=204)


@router.get("/me", response_model=Me)
async def me(caller: Anyone) -> Response:
    """Who is signed in."""
    return json(
        {
            "name": caller.name,
            "roles": list(caller.roles),
            "sites": list(caller.sites),
            "csrf": caller.csrf,
            "locale": caller.locale,
        }
    )
