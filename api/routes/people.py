"""People and API tokens, for administrators."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.routes.access import TEXT, Admin, Given, json
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
async def people(_caller: Admin, services: Given) -> Response:
    """Everyone who has an account."""
    return json(await services.offload(services.people.everybody))


@router.post("/people", response_model=dict[str, Any], status_code=201)
async def add_person(caller: Admin, services: Given, body: NewPerson) -> Response:
    """Add a person; the answer holds the one-time link unless a password was given."""
    link = await services.offload(
        lambda: services.people.add(
            body.name, body.roles, body.sites, by=caller.name, password=body.password
        )
    )
    return json({"name": body.name, "link": link}, 201)


Named = Annotated[str, Path(max_length=64, pattern=TEXT)]


@router.post("/people/{name}/link", response_model=dict[str, str], status_code=201)
async def new_link(caller: Admin, services: Given, name: Named) -> Response:
    """A one-time link by which a person chooses a new password."""
    link = await services.offload(lambda: services.people.new_link(name, caller.name))
    return json({"name": name, "link": link}, 201)


@router.delete("/people/{name}", status_code=204)
async def close_account(caller: Admin, services: Given, name: Named) -> Response:
    """End an account and its sessions."""
    await services.offload(lambda: services.people.close(name, caller.name))
    return Response(status_code=204)


@router.get("/tokens", response_model=list[dict[str, Any]])
async def tokens(_caller: Admin, services: Given) -> Response:
    """Tokens in use, without their secrets."""
    return json(await services.offload(services.people.tokens))


@router.post("/tokens", response_model=dict[str, str], status_code=201)
async def make_token(caller: Admin, services: Given, body: NewToken) -> Response:
    """Make a token; its secret is shown this once."""
    token = await services.offload(
        lambda: services.people.make_token(body.name, body.roles, body.sites, caller.name)
    )
    return json({"token": token, "id": token.split("_")[1]}, 201)


@router.delete("/tokens/{id}", status_code=204)
async def revoke_token(
    caller: Admin, services: Given, id: Annotated[str, Path(max_length=40, pattern="^[0-9a-f]+$")]
) -> Response:
    """End a token."""
    await services.offload(lambda: services.people.revoke(id, caller.name))
    return Response(status_code=204)
