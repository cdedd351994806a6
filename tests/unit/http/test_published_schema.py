"""Anybody may ask for the schema of the API: it is rendered once, and a client that does not read it holds little memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from starlette.types import Message

from app.http.published_schema import PublishedSchema
from tests.support.listening import listening

PATH = "/openapi.json"
RENDERING_S = 0.02  # of CPU, each time, at the least: the tags of this app are many


def app_with_many_tags() -> FastAPI:
    api = FastAPI(openapi_tags=[{"name": f"tag {number}", "description": "é" * 50} for number in range(20_000)])
    api.router.routes.insert(0, PublishedSchema(api).route(PATH))
    return api


@asynccontextmanager
async def served() -> AsyncIterator[tuple[FastAPI, int]]:
    api = app_with_many_tags()
    async with listening(api) as port:
        yield api, port


async def test_it_is_the_schema_of_the_app_and_a_second_request_renders_nothing():
    async with served() as (api, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        first = await client.get(PATH)
        started = time.process_time()
        for _ in range(20):
            again = await client.get(PATH, headers={"Accept-Encoding": "identity"})
        assert (time.process_time() - started) / 20 < RENDERING_S, "with the client's own time"
        assert first.json() == again.json() == api.openapi()
        assert first.headers["content-type"] == "application/json"


async def test_who_has_it_already_gets_no_body():
    async with served() as (_, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        first = await client.get(PATH)
        same = await client.get(PATH, headers={"If-None-Match": first.headers["etag"]})
        other = await client.get(PATH, headers={"If-None-Match": '"another"'})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
        assert other.content == first.content


async def test_it_is_sent_in_pieces_so_that_a_client_that_reads_nothing_holds_only_one():
    sizes: list[int] = []

    async def send(message: Message) -> None:
        sizes.append(len(message.get("body", b"")))

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()

    asgi = {"spec_version": "2.4"}
    scope = {"type": "http", "method": "GET", "path": PATH, "headers": [], "query_string": b"", "asgi": asgi}
    await app_with_many_tags()(scope, receive, send)
    assert sum(sizes) > 1_000_000
    assert max(sizes) <= 32 * 1024
