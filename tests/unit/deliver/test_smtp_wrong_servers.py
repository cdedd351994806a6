"""Servers that answer without end, with garbage, in drips or not at all, at each step of a fresh connection: bounded, and never called sent."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.core.settings import load_settings
from app.deliver.transports.smtp import SmtpTransport
from app.domain.attempt import Outcome, Sent, Temporary, Unknown
from tests.support.smtp import Behave, SmtpServer
from tests.support.smtp_client import client, parcel, raw_server

TIMEOUT_S = 1.5  # twelve clients begin at once, and a busy machine takes a while to get to the last one
BYTES_MOST = 8 * 1024 * 1024  # what the buffers of the system take is in it; each of ours is at most 32 KiB
Place = str
Answer = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]
Wrong = Callable[["WrongServer", asyncio.StreamWriter, bytes], Awaitable[None]]

STEPS = ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "DOT", "QUIT")
RIGHT = {
    "CONNECT": b"220 mail.test\r\n",
    "EHLO": b"250-mail.test\r\n250 AUTH PLAIN\r\n",
    "AUTH": b"235 welcome\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go on\r\n",
    "DOT": b"250 kept\r\n",
    "QUIT": b"221 bye\r\n",
}


class WrongServer:
    """Follows the protocol up to one step, where it does what `wrong` does. Counts the bytes that it could send there."""

    def __init__(self, place: Place, wrong: Answer, *, pipelining: bool = False) -> None:
        self.place, self.wrong = place, wrong
        self.sent = self.connections = 0
        self.ehlo = b"250-PIPELINING\r\n" if pipelining else b""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self._answer(writer, "CONNECT")
        while line := await reader.readline():
            place = line[:4].decode("latin-1").upper()
            place = "EHLO" if place == "HELO" else place
            await self._answer(writer, place)
            if place == "DATA":
                while (line := await reader.readline()) != b".\r\n" and line:
                    pass
                await self._answer(writer, "DOT")

    async def _answer(self, writer: asyncio.StreamWriter, place: Place) -> None:
        if place == self.place:
            await self.wrong(writer, RIGHT[place][:3])
        writer.write((self.ehlo if place == "EHLO" else b"") + RIGHT.get(place, b"500 what\r\n"))
        await writer.drain()

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent += len(data)


async def say_nothing(_: WrongServer, __: asyncio.StreamWriter, ___: bytes) -> None:
    await asyncio.sleep(3600)


async def continue_for_ever(server: WrongServer, writer: asyncio.StreamWriter, code: bytes) -> None:
    while True:
        await server.send(writer, (code + b"-and more\r\n") * 1000)


async def send_one_endless_line(server: WrongServer, writer: asyncio.StreamWriter, code: bytes) -> None:
    await server.send(writer, code + b" ")
    while True:
        await server.send(writer, b"x" * 16_384)


async def reply_for_ever(server: WrongServer, writer: asyncio.StreamWriter, code: bytes) -> None:
    """Send the right answer first, and others after it."""
    while True:
        await server.send(writer, (code + b" one of many\r\n") * 1000)


async def send_garbage(server: WrongServer, writer: asyncio.StreamWriter, _: bytes) -> None:
    for number in itertools.count():
        await server.send(writer, b"\x00\xff\x1b[2J<html>\r\n%d\n\r" % number * 500)


async def drip(server: WrongServer, writer: asyncio.StreamWriter, code: bytes) -> None:
    while True:
        await server.send(writer, code + b"-\r\n")
        await asyncio.sleep(0.02)


WRONG = (say_nothing, continue_for_ever, send_one_endless_line, reply_for_ever, send_garbage, drip)


@asynccontextmanager
async def wrong_server(place: Place, wrong: Wrong, **how: bool) -> AsyncIterator[tuple[WrongServer, int]]:
    server = WrongServer(place, lambda writer, code: wrong(server, writer, code), **how)
    async with raw_server(server.talk) as port:
        yield server, port


async def outcome_at(port: int, **more: object) -> Outcome:
    # The name is given: a host that looks its own name up slowly would spend the time of the first step on it.
    given = {"smtp_timeout_s": TIMEOUT_S, "smtp_connections": 1, "smtp_ehlo_name": "tocsin.example.org"}
    async with client(port, login="user:pass@", **given, **more) as transport:
        return await transport.send(parcel())


def is_truthful(place: Place, wrong: Wrong, outcome: Outcome) -> bool:
    """Say whether an outcome claims no more than anybody can know."""
    if place == "QUIT":  # it was sent before
        return isinstance(outcome, Sent)
    if place == "DOT" and wrong is reply_for_ever:  # the first answer is a right one, whatever comes after it
        return isinstance(outcome, Sent)
    if (
        place == "DATA" and wrong is reply_for_ever
    ):  # "go on" once more answers no final dot, and may come before there is one
        return isinstance(outcome, Unknown | Temporary)
    return isinstance(outcome, Unknown if place == "DOT" else Temporary)


async def try_at(place: Place, wrong: Wrong, *, pipelining: bool) -> None:
    what = f"{place}, {wrong.__name__}, {pipelining=}"
    async with wrong_server(place, wrong, pipelining=pipelining) as (server, port):
        started = time.monotonic()
        outcome = await outcome_at(port)
        took = time.monotonic() - started
    assert is_truthful(place, wrong, outcome), f"{what}: {outcome}"
    assert server.connections == 1, what
    assert server.sent < BYTES_MOST, what
    assert took < 60, f"{what}: a step ends after its time, and there are less than ten"
    assert len(outcome.text) <= 2048


@pytest.mark.parametrize("place", STEPS)
async def test_no_answer_costs_more_than_the_time_and_size_of_one(place: Place):
    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for wrong, pipelining in itertools.product(WRONG, (False, True)):
            group.create_task(try_at(place, wrong, pipelining=pipelining))
    assert time.process_time() - cpu < 10, "of both sides, twelve times"


@pytest.mark.parametrize("query", ["tls=starttls", "tls=tls"])
async def test_wrong_answers_to_the_start_of_tls_are_temporary(query: str):
    async def one(wrong: Wrong, first: bytes) -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if query == "tls=starttls":
                writer.write(RIGHT["CONNECT"])
                await reader.readline()
                writer.write(b"250-mail.test\r\n250 STARTTLS\r\n")
                await reader.readline()
            writer.write(first)
            await wrong(server, writer, b"220")

        server = WrongServer("STARTTLS", wrong)
        async with raw_server(greet) as port:
            outcome = await outcome_at(port, query=query)
        assert isinstance(outcome, Temporary), f"{wrong.__name__}: {outcome}"
        assert server.sent < BYTES_MOST

    async with asyncio.TaskGroup() as group:
        for wrong, first in itertools.product(WRONG, (b"", b"220 go on\r\n")):
            group.create_task(one(wrong, first))


@pytest.mark.parametrize("wrong", [say_nothing, drip, continue_for_ever])
async def test_the_next_server_takes_the_mails_meanwhile(wrong: Wrong):
    with SmtpServer() as good:
        async with wrong_server("MAIL", wrong) as (_, port):
            urls = f"smtp://localhost:{port}?tls=none smtp://localhost:{good.port}?tls=none"
            settings = load_settings(smtp_url=urls, smtp_timeout_s=TIMEOUT_S, mail_from="Tocsin <tocsin@example.org>")
            transport = SmtpTransport.from_settings(settings)
            try:
                outcomes = await asyncio.gather(*(transport.send(parcel()) for _ in range(12)))
            finally:
                await transport.close()
    assert {type(outcome) for outcome in outcomes} == {Sent}
    assert len(good.messages) == 12


@pytest.mark.parametrize("place", ["CONNECT", "DOT"])
async def test_one_connection_that_hangs_holds_up_no_mail_of_the_others(server: SmtpServer, place: str):
    server.behave = Behave(delays={place: 3})
    async with client(server, smtp_timeout_s=1.5, smtp_connections=2) as transport:
        hanging = asyncio.create_task(transport.send(parcel()))
        while not server.count(place):  # noqa: ASYNC110  (the server is in another thread)
            await asyncio.sleep(0.01)
        server.behave = Behave()
        outcomes = [await transport.send(parcel(to=f"other{number}@example.org")) for number in range(10)]
        assert {type(outcome) for outcome in outcomes} == {Sent}
        assert not hanging.done()
        assert isinstance(await hanging, Unknown if place == "DOT" else Temporary)
