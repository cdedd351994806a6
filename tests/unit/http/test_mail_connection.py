"""A mail arrives as it was sent, however its bytes are cut into pieces, and costs the event loop little whatever is in it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from aiosmtpd.smtp import Envelope
from hypothesis import given, settings
from hypothesis import strategies as st

from app.deliver.transports.smtp_transaction import stuff_dots
from app.http.mail_connection import MAILS_HELD, MailConnection, SharedState
from app.http.places import Limits

LIMIT = 2 * 1024 * 1024
LINES = st.lists(
    st.sampled_from([b"", b".", b"..", b".x", b"text", b"a.", b"\r", b"\n.", b"\x00\xff", b"x" * 70_000]), max_size=8
)


class Kept:
    """Takes any recipient, and keeps the mails."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_RCPT(self, server: MailConnection, _s: Any, envelope: Envelope, to: str, _o: Any) -> str:  # noqa: N802
        server.admit(to.partition("@")[0])
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: MailConnection, _s: Any, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(bytes(envelope.content or b""))
        server.note_valid_mail()
        return "250 Stored"


@asynccontextmanager
async def listening(places: int = 10) -> AsyncIterator[tuple[Kept, SharedState, int]]:
    kept, shared = Kept(), SharedState(Limits("mail", places, places), LIMIT, None)
    server = await asyncio.get_running_loop().create_server(partial(MailConnection, kept, shared), "127.0.0.1", 0)
    try:
        yield kept, shared, server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def line_to(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.sleep(0.01)


START = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
NEXT = START.partition(b"\r\n")[2]


async def answers_to(pieces: Sequence[bytes]) -> tuple[Kept, SharedState, list[bytes]]:
    async with listening() as (kept, shared, port), line_to(port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            answers = (await reader.read()).splitlines()
        return kept, shared, answers


@given(mails=st.lists(LINES, min_size=1, max_size=3), cuts=st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=60, deadline=None)
def test_mails_arrive_as_they_were_sent(mails: list[list[bytes]], cuts: list[int]):
    bodies = [b"".join(line + b"\r\n" for line in lines) for lines in mails]
    sent = START + (b".\r\n" + NEXT).join(stuff_dots(body) if body else b"" for body in bodies) + b".\r\nQUIT\r\n"
    edges = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    kept, shared, answers = asyncio.run(answers_to([sent[a:b] for a, b in pairwise(edges)]))
    assert kept.mails == bodies
    assert (answers[-1][:3], shared.bodies) == (b"221", set())


@pytest.mark.parametrize("line", [b"\r\n", b"x.\r\n", b"..\r\n", b"\r\n.x", b"\n.\n", b"\r"], ids=repr)
async def test_no_mail_costs_more_than_its_bytes(line: bytes):
    body = line * ((LIMIT - 100) // len(line)) + b"\r\n"
    started = time.process_time()
    kept, _, answers = await answers_to([START, body, b".\r\nQUIT\r\n"])
    assert time.process_time() - started < 2, "a second or more for each MiB would be a way to stop the service"
    assert (len(kept.mails), answers[-2]) == (1, b"250 Stored")


async def test_a_mail_that_is_too_large_is_dropped_while_it_comes_and_the_next_one_is_taken():
    large = b"x" * 1000 + b"\r\n"
    rest = b".\r\n" + NEXT + b"hello\r\n.\r\nQUIT\r\n"
    kept, shared, answers = await answers_to([START, large * (3 * LIMIT // len(large)), rest])
    assert kept.mails == [b"hello\r\n"]
    assert b"552 5.3.4 The mail is too large" in answers
    assert shared.bodies == set()


async def test_a_key_that_fills_the_memory_with_half_mails_loses_them_and_no_other_does():
    async with contextlib.AsyncExitStack() as stack:
        kept, shared, port = await stack.enter_async_context(listening(places=60))
        hostile = [await stack.enter_async_context(line_to(port)) for _ in range(2 * MAILS_HELD)]
        for _, writer in hostile:
            writer.write(START.replace(b"<c@d>", b"<hostile@d>") + b"x" * (LIMIT - 100_000))
            await writer.drain()
        small = await stack.enter_async_context(line_to(port))
        small[1].write(START + b"hello\r\n.\r\nQUIT\r\n")
        async with asyncio.timeout(30):
            answers = (await small[0].read()).splitlines()
        assert (kept.mails, answers[-2]) == ([b"hello\r\n"], b"250 Stored")
        assert sum(body.size for body in shared.bodies) <= MAILS_HELD * LIMIT
        refused = 0
        for reader, writer in hostile:
            writer.write(b"\r\n.\r\nQUIT\r\n")
            refused += b"452 4.3.1 Too many mails at once; try again" in await reader.read()
        assert refused >= MAILS_HELD - 1
        assert len(kept.mails) == 1 + len(hostile) - refused


async def test_a_line_that_ends_without_a_carriage_return_ends_no_mail():
    """Otherwise the rest of a mail could be another, forged mail (SMTP smuggling)."""
    inner = b"a\n.\nMAIL FROM:<x@y>\r.\rb\r\n"
    kept, _, _ = await answers_to([START + inner + b".\r\nQUIT\r\n"])
    assert kept.mails == [inner]
