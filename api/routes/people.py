"""People and API tokens, for administrators: each gives, sees and ends what lies in his own scope."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.routes.access import (
    TEXT,
    Admin,
    Given,
    PersonInScope,
    TokenInScope,
    check_grant,
    json,
)
from api.routes.session import STRICT, Word

router = APIRouter()
Names = Annotated[list[Word], Field(max_length=50)]


class NewPerson(BaseModel):
    """A person; without a password they get a one-time link to choose one."""

    model_config = STRICT
    name: Annotated[str, Field(max_length=64, pattern=TEXT)]
    roles: Names
    sites: Names = ["*"]
    password: Word = ""


class NewToken(BaseModel):
    """A token for a program."""

    model_config = STRICT
    name: Annotated[str, Field(max_length=64, pattern=TEXT)]
    roles: Names
    sites: Names = ["*"]


@router.get("/people", response_model=list[dict[str, Any]])
async def people(caller: Admin, services: Given) -> Response:
    """Everyone in the caller's scope who has or had an account."""
    everybody = await services.offload(services.people.everybody)
    return json([p for p in everybody if caller.covers(p["sites"])])


@router.post("/people", response_model=dict[str, Any], status_code=201)
async def add_person(caller: Admin, services: Given, body: NewPerson) -> Response:
    """Add a person; the answer holds the one-time link unless a password was given."""
    check_grant(caller, body.sites)
    link = await services.offload(
        lambda: services.people.add(
            body.name, body.roles, body.sites, by=caller.name, password=body.password
        )
    )
    return json({"name": body.name, "link": link}, 201)


@router.post("/people/{name}/link", response_model=dict[str, str], status_code=201)
async def new_link(caller: Admin, services: Given, name: PersonInScope) -> Response:
    """A one-time link by which a person chooses a new password."""
    link = await services.offload(lambda: services.people.new_link(name, caller.name))
    return json({"name": name, "link": link}, 201)


@router.delete("/people/{name}", status_code=204)
async def close_account(caller: Admin, services: Given, name: PersonInScope) -> Response:
    """End an account and its sessions."""
    await services.offload(lambda: services.people.close(name, caller.name))
    return Response(status_code=204)


@router.get("/tokens", response_model=list[dict[str, Any]])
async def tokens(caller: Admin, services: Given) -> Response:
    """Tokens in use in the caller's scope, without their secrets."""
    rows = await services.offload(services.people.tokens)
    return json([t for t in rows if caller.covers(t["sites"])])


@router.post("/tokens", response_model=dict[str, str], status_code=201)
async def make_token(caller: Admin, services: Given, body: NewToken) -> Response:
    """Make a token; its secret is shown this once."""
    check_grant(caller, body.sites)
    token = await services.offload(
        lambda: services.people.make_token(body.name, body.roles, body.sites, caller.name)
    )
    return json({"token": token, "id": token.split("_")[1]}, 201)


@router.delete("/tokens/{id}", status_code=204)
async def revoke_token(caller: Admin, services: Given, id: TokenInScope) -> Response:
    """End a token."""
    await services.offload(lambda: services.people.revoke(id, caller.name))
    return Response(status_code=204)
