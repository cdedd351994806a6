"""Webhook, Graph and token servers that answer without end, with garbage, in drips or not at all: bounded, and never called sent."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest

from app.deliver.access_tokens import AccessTokens, TokenRefused, TokenRequest
from app.domain.attempt import Outcome, Sent, Unknown
from tests.support.cpu_noise import CPU_NOISE
from tests.support.loop_hold import measuring
from tests.support.webhook_server import post, running

TIMEOUT_S = 1.0
OK = b"HTTP/1.1 200 OK\r\n"
Write = Callable[[bytes], Awaitable[None]]


async def say_nothing(_: Write) -> None:
    await asyncio.sleep(3600)


async def send_interim_answers(write: Write) -> None:
    while True:
        await write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000)


async def send_headers(write: Write) -> None:
    await write(OK)
    while True:
        await write(b"a: b\r\n" * 2000)


async def send_one_header(write: Write) -> None:
    await write(OK + b"a: ")
    while True:
        await write(b"x" * 16_384)


async def send_garbage(write: Write) -> None:
    for number in itertools.count():
        await write(b"\x00\xff\x1b[2J<html>\r\n%d\n\r" % number * 500)


async def drip_headers(write: Write) -> None:
    await write(OK)
    while True:
        await write(b"a: b\r\n")
        await asyncio.sleep(0.02)


async def send_body(write: Write) -> None:
    await write(OK + b"\r\n")
    while True:
        await write(b"x" * 16_384)


async def drip_body(write: Write) -> None:
    await write(OK + b"content-length: 100000\r\n\r\n")
    while True:
        await write(b"x")
        await asyncio.sleep(0.02)


async def send_chunks(write: Write) -> None:
    await write(OK + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        await write(b"1;" + b"e" * 1000 + b"\r\nx\r\n")


WITHOUT_HEAD = (say_nothing, send_interim_answers, send_headers, send_one_header, send_garbage, drip_headers)
SLOW = (say_nothing, drip_headers)
WITH_HEAD = (send_body, drip_body, send_chunks)


async def outcome_of(wrong: Callable[[Write], Awaitable[None]]) -> tuple[Outcome, int]:
    """Return the outcome of a webhook to such a server, and how many bytes it could send."""
    sent = 0

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent

        async def write(data: bytes) -> None:
            nonlocal sent
            writer.write(data)
            await writer.drain()
            sent += len(data)

        await wrong(write)

    async with running(answer) as server:
        outcome = await post(f"http://127.0.0.1:{server.port}/hook", timeout_s=TIMEOUT_S)
        await asyncio.sleep(0.05)  # the server goes on as long as it can
    return outcome, sent


@pytest.mark.parametrize("wrong", [*WITHOUT_HEAD, *WITH_HEAD], ids=lambda wrong: wrong.__name__)
async def test_an_answer_is_bounded_and_only_its_status_counts(wrong: Callable[[Write], Awaitable[None]]):
    started = time.monotonic()
    with measuring() as holds:
        outcome, sent = await outcome_of(wrong)
    assert isinstance(outcome, Sent if wrong in WITH_HEAD else Unknown), outcome
    # Who sends without end is not read until the time is up: that would take most of the processor.
    assert outcome.code == ("200" if wrong in WITH_HEAD else "timeout" if wrong in SLOW else "disconnect")
    assert time.monotonic() - started < 30
    assert sent < 8 * 1024 * 1024, "what the buffers of the system take is in it"
    assert len(outcome.text) <= 2048
    assert holds.longest().seconds < 0.05 * CPU_NOISE, holds.longest().what


async def test_another_webhook_is_answered_meanwhile():
    async with running(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as good:
        wrong = [asyncio.create_task(outcome_of(kind)) for kind in WITHOUT_HEAD]
        for _ in range(20):
            assert await post(f"http://127.0.0.1:{good.port}/") == Sent("200", "")
        await asyncio.gather(*wrong)


@pytest.mark.parametrize("wrong", [*WITHOUT_HEAD, *WITH_HEAD], ids=lambda wrong: wrong.__name__)
async def test_an_answer_of_a_token_service_that_never_ends_is_temporary(wrong: Callable[[Write], Awaitable[None]]):
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        await wrong(write)

    async with running(answer) as server:
        request = TokenRequest(f"http://127.0.0.1:{server.port}/token", lambda _: {"grant_type": "x"})
        with pytest.raises(TokenRefused) as refused:
            await AccessTokens(request, timeout_s=TIMEOUT_S).token()
    assert refused.value.is_temporary
