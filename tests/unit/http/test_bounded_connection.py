"""A request or a reading client that is too slow or too long costs us a connection for a while and no more; and idle connections make room."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.core.networks import read_networks
from app.http import bounded_connection
from app.http.bounded_connection import bounded_by
from app.http.places import Limits
from tests.support.listening import listening

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def server(
    places: int = 100, per_address: int = 100, proxies: str = "", answer: bytes = b"", unfinished: int = 10_000_000
) -> AsyncIterator[int]:
    """A server that answers 200 to everything once the body is there; never to `/wait`. Yields the port."""

    async def app(scope, receive, send) -> None:
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == "/wait":
            await asyncio.sleep(3600)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})

    limits = Limits("http", places, per_address, proxies=read_networks(proxies))
    async with listening(app, bounded_by(limits, unfinished)) as port:
        yield port


@asynccontextmanager
async def line_to(port: int, source: str = "127.0.0.1") -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def talking() -> AsyncIterator[Line]:
    async with server() as port, line_to(port) as line:
        yield line


async def is_served(line: Line, ask: bytes = ASK) -> bool:
    """Send a request, and say whether it is answered rather than the connection closed."""
    reader, writer = line
    writer.write(ask)
    try:
        async with asyncio.timeout(20):
            return (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


@pytest.mark.parametrize("sent", [b"", b"GET / HT", ASK[:-2]])
async def test_a_connection_whose_headers_never_end_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes):
    monkeypatch.setattr(bounded_connection, "HEAD_S", 0.2)
    async with talking() as (reader, writer):
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), 30) == b""


async def test_the_headers_of_a_second_request_have_the_same_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounded_connection, "HEAD_S", 0.2)
    async with talking() as (reader, writer):
        writer.write(ASK)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(ASK[:10])
        assert await asyncio.wait_for(reader.read(), 30) == b""


async def test_a_connection_may_be_idle_between_two_requests(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounded_connection, "HEAD_S", 0.1)
    async with talking() as (reader, writer):
        for _ in range(2):
            writer.write(ASK)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.5)


async def test_headers_that_arrive_in_pieces_are_served():
    async with talking() as (reader, writer):
        for byte in ASK:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_headers_that_are_too_long_are_refused():
    async with talking() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):  # it hangs up while we still write
            while not reader.at_eof() and sent < 100 * bounded_connection.HEAD_MOST:
                writer.write(b"X-Long: " + b"x" * 8192 + b"\r\n")
                sent += 8192
                await writer.drain()
        assert sent < 100 * bounded_connection.HEAD_MOST


HALF_BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"

HALF_CHUNK = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"


@pytest.mark.parametrize("start", [HALF_BODY, HALF_BODY.replace(b"POST /", b"POST /wait")])
async def test_a_body_that_never_ends_is_given_up_however_it_drips(monkeypatch: pytest.MonkeyPatch, start: bytes):
    monkeypatch.setattr(bounded_connection, "BODY_S", 0.3)
    async with talking() as (reader, writer):
        writer.write(start)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                while not reader.at_eof():
                    writer.write(b".")
                    with contextlib.suppress(TimeoutError):
                        assert await asyncio.wait_for(reader.read(100), 0.05) == b""


async def test_a_body_that_comes_in_pieces_is_served():
    async with talking() as line:
        line[1].write(HALF_BODY)
        await asyncio.sleep(0.05)
        assert await is_served(line, b"." * 96)
        assert await is_served(line)


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
async def test_a_client_that_reads_no_answer_loses_its_connection(monkeypatch: pytest.MonkeyPatch, more: bytes):
    monkeypatch.setattr(bounded_connection, "READ_S", 0.3)
    async with server(places=1, answer=b"x" * 30_000_000) as port, line_to(port) as line:
        line[1].write(ASK[:-2] + more + b"\r\n")
        await asyncio.sleep(1.5)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await line[0].readexactly(30_000_000)


@pytest.mark.parametrize(
    "start",
    [b"", b"GET / HT", HALF_BODY, ASK],
    ids=["no byte", "half a head", "half a body", "idle after a request"],
)
async def test_when_all_places_are_taken_the_oldest_idle_connection_makes_room(start: bytes):
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(server(places=5))
        strangers = [await stack.enter_async_context(line_to(port)) for _ in range(5)]
        for _, writer in strangers:
            writer.write(start)
        await asyncio.sleep(0.1)
        assert await is_served(await stack.enter_async_context(line_to(port)))
        ended = [reader.at_eof() or reader.exception() is not None for reader, _ in strangers]
        # An answer to the first request is still unread in the last case.
        assert ended[1:] == [False] * 4
        assert (await strangers[0][0].read()).count(b"HTTP") == (start == ASK)


async def test_a_request_that_is_being_answered_makes_room_for_nobody():
    wait = ASK.replace(b"GET /", b"GET /wait")
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(server(places=3))
        served = [await stack.enter_async_context(line_to(port)) for _ in range(3)]
        for _, writer in served[:2]:
            writer.write(wait)
        await asyncio.sleep(0.1)
        for _ in range(5):
            assert await is_served(await stack.enter_async_context(line_to(port)))
        assert [reader.at_eof() for reader, _ in served] == [False, False, True]
        last = await stack.enter_async_context(line_to(port))
        last[1].write(wait)
        await asyncio.sleep(0.1)
        refused = await stack.enter_async_context(line_to(port))
        answer = await refused[0].read()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b'"code":"overloaded"' in answer


async def test_an_address_holds_only_so_many_connections_unless_it_is_a_proxy():
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(server(per_address=2, proxies="127.0.0.9"))
        other = await stack.enter_async_context(line_to(port, "127.0.0.2"))
        many = [await stack.enter_async_context(line_to(port, "127.0.0.3")) for _ in range(4)]
        proxied = [await stack.enter_async_context(line_to(port, "127.0.0.9")) for _ in range(4)]
        await asyncio.sleep(0.1)
        assert [await is_served(line) for line in many] == [False, False, True, True]
        assert all([await is_served(line) for line in (other, *proxied)])


async def test_some_requests_may_be_sent_before_the_answer_to_the_first():
    async with talking() as (reader, writer):
        writer.write(ASK * 5)
        for _ in range(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_thousands_of_requests_at_once_end_the_connection():
    started = time.process_time()
    async with talking() as (reader, writer):
        writer.write(ASK * 50_000)
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                answers = await reader.read()
                assert answers.count(b"HTTP/1.1 200") <= bounded_connection.WAITING_MOST + 1
    assert time.process_time() - started < 1, "50 000 of them would take more than that"


@pytest.mark.parametrize("bad", [b"no HTTP\r\n\r\n", HALF_CHUNK], ids=["in the head", "in the body"])
@pytest.mark.parametrize("first", [ASK.replace(b"GET /", b"GET /wait"), ASK * 2], ids=["waits", "follows"])
async def test_a_refusal_is_never_read_as_the_answer_to_an_earlier_request(first: bytes, bad: bytes):
    """The earlier one may be a report that is committed by now: its sender would take it for refused."""
    async with talking() as (reader, writer):
        writer.write(first + bad)
        async with asyncio.timeout(30):
            assert b"400" not in await reader.read()


@pytest.mark.parametrize(
    "bad", [b"no HTTP\r\n\r\n", ASK.replace(b"/ ", b"/\xe4 "), ASK.replace(b"/ ", b"http://:a/ "), HALF_CHUNK]
)
async def test_what_follows_an_answered_request_is_refused_on_its_own(bad: bytes):
    async with talking() as line:
        assert await is_served(line)
        line[1].write(bad)
        async with asyncio.timeout(30):
            assert (await line[0].read()).startswith(b"HTTP/1.1 400")


async def test_unfinished_bodies_share_some_memory_and_those_of_the_address_that_has_most_end_first():
    """An endpoint that reads a body before it knows the key would otherwise keep as much as anybody sends."""
    half = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"x" * 400_000
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(server(unfinished=1_500_000))
        honest = await stack.enter_async_context(line_to(port, "127.0.0.2"))
        honest[1].write(half)
        hostile = [await stack.enter_async_context(line_to(port, "127.0.0.3")) for _ in range(6)]
        for _, writer in hostile:
            writer.write(half)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0.1)
        ended = [await is_served(line, b"x" * 500_000) for line in hostile]
        assert ended[:4] == [False] * 4
        assert await is_served(honest, b"x" * 500_000)


async def test_whole_bodies_and_ended_connections_free_their_share():
    whole = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n"
    async with server(unfinished=500_000) as port:
        for _ in range(5):
            async with line_to(port) as line:
                line[1].write(whole)
                await line[1].drain()
                await asyncio.sleep(0.01)
                assert await is_served(line, b"x" * 400_000)
                line[1].write(whole + b"x" * 200_000)
                await line[1].drain()
