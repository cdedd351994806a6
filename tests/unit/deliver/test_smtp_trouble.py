"""SMTP against a real server that misbehaves as scripted: what is refused, and what may have been sent."""

import asyncio
import time
from typing import Literal

import pytest
import uvloop

from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from tests.support.smtp import Behave, SmtpServer
from tests.support.smtp_client import HUGE, client, parcel, raw_server, send_to


@pytest.mark.parametrize("place", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize(
    ("answer", "wanted"),
    [("451 4.3.0 later", Temporary), ("552 5.3.4 too big", Permanent), ("421 4.3.2 closing", Temporary)],
)
async def test_a_refusal_is_returned_with_the_servers_text(
    server: SmtpServer, place: str, answer: str, wanted: type[Outcome]
):
    async with client(server, smtp_connections=1) as transport:
        server.behave = Behave(answers={place: answer})
        outcome = await transport.send(parcel())
        assert type(outcome) is wanted
        assert (outcome.code, outcome.text) == (answer[:3], answer[4:])
        server.behave = Behave()
        assert isinstance(await transport.send(parcel()), Sent)
    assert len(server.messages) == 1
    assert server.connections == (2 if answer.startswith("421") else 1)


async def test_a_server_that_requires_a_login_at_mail_is_temporary(server: SmtpServer):
    server.behave = Behave(answers={"MAIL": "530 5.7.0 authentication required"})
    refused = Temporary("auth", "530 5.7.0 authentication required", is_hopeless_here=True)
    assert await send_to(server) == refused


@pytest.mark.parametrize("place", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_closed_connection_before_the_body_is_temporary(server: SmtpServer, place: str):
    server.behave = Behave(hang_up=place)
    outcome = await send_to(server)
    assert isinstance(outcome, Temporary)
    assert outcome.code in ("connect", "disconnect")
    assert server.messages == []


@pytest.mark.parametrize("place", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_no_reply_before_the_body_is_temporary(server: SmtpServer, place: str):
    server.behave = Behave(delays={place: 1})
    outcome = await send_to(server, smtp_timeout_s=0.2)
    assert isinstance(outcome, Temporary)
    assert outcome.code in ("connect", "timeout")


async def test_a_closed_connection_within_a_long_body_is_temporary(server: SmtpServer):
    server.behave = Behave(hang_up="BODY")
    outcome = await send_to(server, body=HUGE)
    assert isinstance(outcome, Temporary)
    assert outcome.code == "disconnect"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", ["starttls", "tls"])
def test_a_closed_connection_within_a_long_body_is_temporary_over_tls(kind: Literal["starttls", "tls"], new_loop):
    with SmtpServer(Behave(hang_up="BODY"), tls=kind) as server, asyncio.Runner(loop_factory=new_loop) as runner:
        outcome = runner.run(send_to(server, body=HUGE, query=f"tls={kind}", smtp_ca_file=server.ca_file))
    assert isinstance(outcome, Temporary)
    assert outcome.code == "disconnect"


async def test_a_closed_connection_after_a_body_written_at_once_is_unknown(server: SmtpServer):
    server.behave = Behave(hang_up="BODY")
    assert isinstance(await send_to(server), Unknown)


async def test_a_long_body_arrives_complete(server: SmtpServer):
    assert isinstance(await send_to(server, body=HUGE), Sent)
    assert server.messages[0].data == HUGE


async def _agree_to_a_mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 hello\r\n")
    for answer in (b"250 ok", b"250 ok", b"250 ok", b"354 go on"):
        await reader.readline()
        writer.write(answer + b"\r\n")


async def test_a_refusal_within_a_long_body_counts():
    async def full(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _agree_to_a_mail(reader, writer)
        await reader.readline()
        writer.write(b"552 5.3.4 too big\r\n")
        await asyncio.sleep(60)

    async with raw_server(full) as port:
        assert await send_to(port, body=HUGE, host="127.0.0.1") == Permanent("552", "5.3.4 too big")


async def test_a_server_that_stops_reading_within_the_body_is_temporary():
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _agree_to_a_mail(reader, writer)
        await asyncio.sleep(60)

    before = time.monotonic()
    async with raw_server(deaf) as port:
        outcome = await send_to(port, body=HUGE, smtp_timeout_s=0.3, host="127.0.0.1")
    assert isinstance(outcome, Temporary)
    assert outcome.code == "timeout"
    assert time.monotonic() - before < 30


@pytest.mark.parametrize("behave", [Behave(hang_up="DOT"), Behave(delays={"DOT": 1})])
async def test_no_reply_to_the_final_dot_is_unknown_and_the_connection_is_not_used_again(
    server: SmtpServer, behave: Behave
):
    async with client(server, smtp_timeout_s=0.3, smtp_connections=1) as transport:
        server.behave = behave
        outcome = await transport.send(parcel())
        server.behave = Behave()
        again = await transport.send(parcel())
    assert isinstance(outcome, Unknown)
    assert outcome.code == ("disconnect" if behave.hang_up else "timeout")
    assert isinstance(again, Sent)
    assert [message.connection for message in server.messages] == [1, 2]


async def test_a_reply_that_came_in_time_counts_though_the_process_was_busy(server: SmtpServer):
    """Otherwise a mail that was accepted would count as unknown and be sent again."""
    server.behave = Behave(delays={"DOT": 0.2})
    async with client(server, smtp_timeout_s=2) as transport, asyncio.TaskGroup() as group:
        sending = group.create_task(transport.send(parcel()))
        while not server.messages:  # noqa: ASYNC110  (another thread keeps them)
            await asyncio.sleep(0.01)
        time.sleep(2.5)  # noqa: ASYNC251  (the whole loop stands, beyond the time for the answer)
    assert isinstance(sending.result(), Sent)


async def test_an_invalid_reply_is_temporary_before_the_final_dot_and_unknown_after_it(server: SmtpServer):
    server.behave = Behave(answers={"RCPT": "what?"})
    assert isinstance(await send_to(server), Temporary)
    server.behave = Behave(answers={"DOT": "what?"})
    assert isinstance(await send_to(server), Unknown)


async def test_a_reply_that_is_not_valid_text_is_made_storable(server: SmtpServer):
    server.behave = Behave(answers={"RCPT": "550 a\x00b" + "c" * 4000})
    outcome = await send_to(server)
    assert isinstance(outcome, Permanent)
    assert outcome.text.startswith("a bccc")
    assert len(outcome.text.encode()) <= 2048
