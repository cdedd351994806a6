"""A head that does not end, in time or in size, costs us a connection for half a minute and no more; one that comes in pieces is served."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from app.http import bounded_head
from app.http.bounded_head import BoundedHead

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that answers 204 to everything."""

    async def app(_scope, receive, send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, port=0, http=BoundedHead, lifespan="off", log_level="error", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


@pytest.mark.parametrize("sent", [b"", b"GET / HT", ASK[:-2]])
async def test_a_connection_whose_headers_never_end_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes):
    monkeypatch.setattr(bounded_head, "HEAD_S", 0.2)
    async with talking() as (reader, writer):
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 30) == b""


async def test_the_headers_of_a_second_request_have_the_same_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounded_head, "HEAD_S", 0.2)
    async with talking() as (reader, writer):
        writer.write(ASK)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.write(ASK[:10])
        assert await asyncio.wait_for(reader.read(), 30) == b""


async def test_a_connection_may_be_idle_between_two_requests(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounded_head, "HEAD_S", 0.1)
    async with talking() as (reader, writer):
        for _ in range(2):
            writer.write(ASK)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
            await asyncio.sleep(0.5)


async def test_headers_that_arrive_in_pieces_are_served():
    async with talking() as (reader, writer):
        for byte in ASK:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")


async def test_headers_that_are_too_long_are_refused():
    async with talking() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):  # it hangs up while we still write
            while not reader.at_eof() and sent < 100 * bounded_head.HEAD_MOST:
                writer.write(b"X-Long: " + b"x" * 8192 + b"\r\n")
                sent += 8192
                await writer.drain()
        assert sent < 100 * bounded_head.HEAD_MOST
