"""An answer that is sent whole is the answer that is sent the usual way, byte for byte, also where the connection ends or requests wait."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.responses import Response

from app.http.bounded_connection import bounded_by
from app.http.middleware import SafetyMiddleware
from app.http.places import Limits
from app.http.whole_answer import SEND_WHOLE, SharedAnswer
from tests.support.listening import listening

BODIES = {"/a": b'{"accepted":1}', "/b": b'{"accepted":22}', "/empty": b""}
SHARED = {path: SharedAnswer(body, 202, media_type="application/json") for path, body in BODIES.items()}


@asynccontextmanager
async def server() -> AsyncIterator[tuple[int, list[bool]]]:
    """Answer `/a` and `/b`, and `/usual/a` without the extension. Yields the port, and whether each answer was sent whole."""
    sent_whole: list[bool] = []

    async def app(scope, receive, send) -> None:
        path = scope["path"]
        offered: Callable[[int, bytes], bool] = scope["extensions"].pop(SEND_WHOLE)

        def noted(status: int, answer: bytes) -> bool:
            sent_whole.append(offered(status, answer))
            return sent_whole[-1]

        if not path.startswith("/usual"):
            scope["extensions"][SEND_WHOLE] = noted

        async def work() -> Response:
            while (await receive()).get("more_body"):
                pass
            return SHARED[path.removeprefix("/usual")]

        await middleware.serve_whole(work(), scope, send)

    middleware = SafetyMiddleware(app, over_tls=True)
    async with listening(app, bounded_by(Limits("http", 100, 100), 10_000_000)) as port:
        yield port, sent_whole


async def ask(port: int, *requests: bytes) -> bytes:
    """Send requests at once, the last of which ends the connection, and return all answers without their dates."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(requests))
    async with asyncio.timeout(60):
        answers = await reader.read()
    writer.close()
    return re.sub(rb"date: [^\r]+\r\n", b"date: -\r\n", answers)


def post(path: str, *, close: bool = False, version: str = "1.1", more: str = "") -> bytes:
    end = "Connection: close\r\n" if close else ""
    return f"POST {path} HTTP/{version}\r\nHost: a\r\n{end}{more}Content-Length: 2\r\n\r\n{{}}".encode()


@pytest.mark.parametrize("path", list(BODIES))
async def test_both_ways_send_the_same_bytes(path: str):
    last = post("/b", close=True)
    async with server() as (port, sent_whole):
        whole, usual = await ask(port, post(path), last), await ask(port, post(f"/usual{path}"), last)
        assert whole == usual
        assert sent_whole == [True, False, False], "the last request of each asks for the end of the connection"
    assert whole.startswith(b"HTTP/1.1 202 Accepted\r\ndate: -\r\n")
    assert BODIES[path] in whole
    assert b"x-content-type-options: nosniff\r\n" in whole


@pytest.mark.parametrize("request_", [post("/a", close=True), post("/a", version="1.0")])
async def test_a_connection_that_ends_after_its_answer_says_so(request_: bytes):
    async with server() as (port, sent_whole):
        answer = await ask(port, request_)
    assert sent_whole == [False]
    assert b"connection: close\r\n" in answer
    assert answer.endswith(BODIES["/a"])


async def test_requests_that_wait_for_each_other_get_their_own_answers_in_order():
    paths = ["/a", "/b", "/usual/a", "/a", "/b", "/b"]
    async with server() as (port, _):
        answers = await ask(port, *map(post, paths), post("/a", close=True))
    assert re.findall(rb'\{"accepted":\d+\}', answers) == [
        BODIES[path.removeprefix("/usual")] for path in [*paths, "/a"]
    ]


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked():
    async with server() as (port, _):
        answers = await ask(port, post("/a", more="Expect: 100-continue\r\n"), post("/b", close=True))
    assert answers.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n")
    assert answers.count(b"HTTP/1.1 202") == 2
