"""Every refusal is a problem as in RFC 9457, with a code that stays the same."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import Body, FastAPI, Query
from pydantic import BaseModel, Field

from app.core import errors
from app.http import problems
from app.http.middleware import SafetyMiddleware


class Address(BaseModel):
    transport: str
    password: str = Field(max_length=5)


class Thing(BaseModel):
    name: str = Field(max_length=3)
    transports: list[Address] = []


def make_app() -> SafetyMiddleware:
    app = FastAPI(redirect_slashes=False)
    problems.install(app)

    @app.get("/raises/{name}")
    async def raises(name: str) -> None:
        if name == "OverBudget":
            raise errors.OverBudget("because", code="over_budget", retry_after=60)
        raise getattr(errors, name)("because", field="name" if name == "BadInput" else None)

    @app.get("/defect")
    async def defect() -> None:
        raise ZeroDivisionError

    @app.post("/things")
    async def make(thing: Annotated[Thing, Body()], limit: Annotated[int, Query(le=10)] = 1) -> int:
        return limit + len(thing.name)

    return SafetyMiddleware(app, over_tls=True)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app()), base_url="http://tocsin.test") as client:
        yield client


TREE = [error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, errors.TocsinError)]


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
async def test_every_error_of_the_tree(client: httpx.AsyncClient, error: type[errors.TocsinError]):
    answer = await client.get(f"/raises/{error.__name__}")
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["code"], body["detail"]) == (
        error.status,
        error.status,
        error.code,
        "because",
    )
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body.get("field") == ("name" if error is errors.BadInput else None)


async def test_headers_tell_the_caller_what_to_do(client: httpx.AsyncClient):
    assert (await client.get("/raises/Overloaded")).headers["retry-after"] == "1"
    assert int((await client.get("/raises/Unavailable")).headers["retry-after"]) >= 1
    assert (await client.get("/raises/NotAllowed")).headers["www-authenticate"].startswith("Bearer")
    assert "www-authenticate" not in (await client.get("/raises/WrongScope")).headers
    assert (await client.get("/raises/WrongType")).headers["accept-encoding"] == "gzip, zstd"


async def test_no_such_address_and_no_such_method(client: httpx.AsyncClient):
    nowhere = await client.get("/nowhere")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    wrong = await client.delete("/things")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (405, "wrong_method", "POST")


async def test_a_bug_is_a_500_that_shows_no_cause(client: httpx.AsyncClient):
    answer = await client.get("/defect")
    assert (answer.status_code, answer.json()["code"]) == (500, "defect")
    assert "Zero" not in answer.text


async def test_a_bad_field_is_named_and_its_value_is_not_shown(client: httpx.AsyncClient):
    answer = await client.post(
        "/things", json={"name": "x", "transports": [{"transport": "smtp", "password": "very secret"}]}
    )
    body = answer.json()
    assert (answer.status_code, body["code"], body["field"]) == (422, "bad_input", "transports[0].password")
    assert body["errors"][0]["code"] == "too_long"
    assert "very secret" not in answer.text


@pytest.mark.parametrize(
    ("query", "sent", "field", "code"),
    [
        ("", {}, "name", "missing"),
        ("", {"name": 5}, "name", "wrong_kind"),
        ("?limit=11", {"name": "x"}, "limit", "out_of_range"),
        ("?limit=x", {"name": "x"}, "limit", "wrong_kind"),
        ("", [], None, "wrong_kind"),
    ],
)
async def test_codes_of_fields(client: httpx.AsyncClient, query: str, sent: object, field: str | None, code: str):
    [error] = (await client.post("/things" + query, json=sent)).json()["errors"]
    assert (error["field"], error["code"]) == (field, code)


async def test_a_body_that_is_not_json_is_malformed(client: httpx.AsyncClient):
    answer = await client.post("/things", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("path", ["/nowhere", "/defect", "/raises/NotFound", "/docs"])
async def test_security_headers_are_on_every_answer(client: httpx.AsyncClient, path: str):
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["strict-transport-security"]
