"""A lean route answers each request as FastAPI's own route would, whether it takes the short way or not."""

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Header, Query, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from backend.core.http.fields import Id, Instant
from backend.core.http.pagination import Limit
from backend.core.lean import LeanRoute

ID = "671f0c0e9b1d8a0001a1b2c3"
JSON = {"content-type": "application/json"}


class Wanted(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    slot_id: Id
    many: int = Field(default=1, ge=1)


def application(kind: type[APIRoute]) -> FastAPI:
    """Routes of one kind, whose functions answer with what they were called with."""
    router = APIRouter(route_class=kind)

    @router.get("/things/{thing_id}")
    async def find(
        thing_id: Id,
        needed: Annotated[int, Query()],
        since: Annotated[Instant | None, Query(alias="from")] = None,
        status: Annotated[list[str] | None, Query()] = None,
        limit: Limit = 20,
        descending: Annotated[bool, Query()] = False,
    ) -> Response:
        return Response(repr((thing_id, needed, since, status, limit, descending)))

    @router.post("/things")
    async def add(
        body: Wanted, idempotency_key: Annotated[str | None, Header(max_length=3)] = None
    ) -> Response:
        return Response(repr((body, idempotency_key)), 201)

    @router.get("/models")
    async def model(limit: Limit = 20) -> dict[str, int]:
        return {"limit": limit}

    app = FastAPI()
    app.include_router(router)
    return app


QUERIES = [
    f"/things/{ID}?needed=1",
    f"/things/{ID}",
    f"/things/{ID}?needed=",
    f"/things/{ID}?needed=x&limit=1",
    f"/things/{ID}?needed=1&needed=2",
    f"/things/{ID}?needed=1&limit=0&from=never",
    f"/things/{ID}?needed=1&limit=100&from=2026-12-01T00:00:00Z&descending=true",
    f"/things/{ID}?needed=1&status=a&status=b",
    f"/things/{ID}?needed=1&status=",
    f"/things/{ID}?needed=1&from=&descending=",
    f"/things/{ID}?needed=1&since=2026-12-01T00:00:00Z&unknown=1",
    "/things/none?needed=1",
    "/models?limit=7",
    "/models?limit=0",
]

BODIES: list[tuple[str | bytes, dict[str, str]]] = [
    (f'{{"slot_id": "{ID}"}}', JSON),
    (f'{{"slot_id": "{ID}", "many": 3}}', JSON),
    (f'{{"slot_id": "{ID}", "many": 0}}', JSON),
    (f'{{"slot_id": "{ID}", "more": 0}}', JSON),
    (f'{{"slot_id": "{ID}"}}', {"content-type": "application/json; charset=utf-8"}),
    (f'{{"slot_id": "{ID}"}}', {"content-type": "application/vnd.clinic+json"}),
    (f'{{"slot_id": "{ID}"}}', {"content-type": "text/plain"}),
    (f'{{"slot_id": "{ID}"}}', {}),
    (f'{{"slot_id": "{ID}"}}', {**JSON, "Idempotency-Key": "abc"}),
    (f'{{"slot_id": "{ID}"}}', {**JSON, "Idempotency-Key": "abcd"}),
    ("{}", JSON),
    ("[]", JSON),
    ("null", JSON),
    ("", JSON),
    ("{", JSON),
    (b'"\xff"', JSON),
    ('"' + ID + '"', JSON),
]


def both(method: str, path: str, **more: Any) -> list[tuple[int, bytes, str | None]]:
    """What either kind of route answers."""

    async def ask(kind: type[APIRoute]) -> tuple[int, bytes, str | None]:
        transport = httpx.ASGITransport(application(kind))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.request(method, path, **more)
        return answer.status_code, answer.content, answer.headers.get("content-type")

    return [asyncio.run(ask(kind)) for kind in (LeanRoute, APIRoute)]


@pytest.mark.parametrize("path", QUERIES)
def test_parameters_are_taken_and_refused_as_by_fastapi(path: str) -> None:
    lean, usual = both("GET", path)
    assert lean == usual


@pytest.mark.parametrize(("body", "headers"), BODIES)
def test_bodies_are_taken_and_refused_as_by_fastapi(body: str | bytes, headers: dict[str, str]) -> None:
    lean, usual = both("POST", "/things", content=body, headers=headers)
    assert lean == usual
