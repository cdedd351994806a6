"""SMTP against a real server: what is sent, over how many connections, and what happens to the connections."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.deliver.transport import Unsent
from app.deliver.transports import smtp_server_pool
from app.deliver.transports.smtp_transaction import stuff_dots, with_line_ends
from app.domain.attempt import Sent, Temporary
from tests.support.examples import examples
from tests.support.smtp import Behave, SmtpServer
from tests.support.smtp_client import MAIL, client, parcel, send_to


async def test_the_bytes_are_sent_with_the_configured_sender(server: SmtpServer):
    outcome = await send_to(server)
    assert outcome == Sent("250", "2.0.0 kept")
    [message] = server.messages
    assert (message.sender, message.recipients) == ("tocsin@example.org", ("ann@example.org",))
    assert message.data == MAIL


LINES = st.lists(
    st.sampled_from([b".", b"..", b".a", b"", b"a" * 998, b"\xff\x00\x80", b"From x", b". ."]), max_size=30
)


@settings(max_examples=examples(15), deadline=None)
@given(
    st.lists(LINES.map(lambda lines: b"".join(line + b"\r\n" for line in lines) or b"\r\n"), min_size=5, max_size=10)
)
def test_every_byte_arrives(bodies: list[bytes]):
    async def send_all(running: SmtpServer) -> None:
        async with client(running) as transport:
            for body in bodies:
                assert isinstance(await transport.send(parcel(body)), Sent)

    with SmtpServer() as running:
        asyncio.run(send_all(running))
        assert [message.data for message in running.messages] == bodies
        assert running.connections == 1


@given(st.binary(max_size=200))
def test_no_body_ends_the_mail_early_or_loses_a_byte(body: bytes):
    mended = with_line_ends(body)
    stuffed = stuff_dots(mended)
    lines = stuffed.removesuffix(b"\r\n").split(b"\r\n")
    assert b"." not in lines
    assert b"\r\n".join(line[line.startswith(b".") :] for line in lines) + b"\r\n" == mended
    assert not b"".join(mended.split(b"\r\n")).count(b"\n")
    clean = body.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n"
    assert with_line_ends(clean) == clean


async def test_one_connection_carries_many_mails_without_extra_round_trips(server: SmtpServer):
    async with client(server, smtp_connections=1) as transport:
        outcomes = [await transport.send(parcel()) for _ in range(10)]
    assert outcomes == [Sent("250", "2.0.0 kept")] * 10
    assert server.connections == 1
    assert [server.count(place) for place in ("EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT")] == [
        1,
        10,
        10,
        10,
        0,
        0,
        1,
    ]


async def test_a_connection_is_replaced_after_its_last_allowed_mail(server: SmtpServer):
    async with client(server, smtp_messages_per_connection=3) as transport:
        for _ in range(7):
            assert isinstance(await transport.send(parcel()), Sent)
    assert server.connections == 3
    assert server.count("QUIT") == 3


async def test_concurrent_sends_share_the_allowed_connections(server: SmtpServer):
    server.behave = Behave(delays={"MAIL": 0.02})
    async with client(server, smtp_connections=3) as transport:
        outcomes = await asyncio.gather(*(transport.send(parcel(b"%d\r\n" % n)) for n in range(30)))
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert len({message.data for message in server.messages}) == 30
    assert server.connections == 3


async def test_an_idle_connection_that_died_is_replaced_without_a_failed_attempt(server: SmtpServer):
    server.behave = Behave(idle_close_s=0.1)
    async with client(server, smtp_connections=1) as transport:
        for _ in range(3):
            assert isinstance(await transport.send(parcel()), Sent)
            await asyncio.sleep(0.3)
    assert server.connections == 3


async def test_an_idle_connection_that_replies_421_is_replaced_without_a_failed_attempt(server: SmtpServer):
    server.behave = Behave(max_messages=2)
    async with client(server, smtp_connections=1) as transport:
        outcomes = [await transport.send(parcel(b"%d\r\n" % n)) for n in range(5)]
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert [message.data for message in server.messages] == [b"%d\r\n" % n for n in range(5)]
    assert server.connections == 3


async def test_an_idle_connection_that_does_not_reply_is_replaced(server: SmtpServer):
    async with client(server, smtp_connections=1, smtp_timeout_s=0.4) as transport:
        await transport.send(parcel())
        server.behave = Behave(delays={"MAIL": 0.5})
        sending = asyncio.create_task(transport.send(parcel()))
        await asyncio.sleep(0.2)
        server.behave = Behave()
        assert isinstance(await sending, Sent)
    assert server.connections == 2


async def test_a_connection_that_was_idle_too_long_is_not_used(server: SmtpServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(smtp_server_pool, "IDLE_S", 0.05)
    async with client(server) as transport:
        await transport.send(parcel())
        await asyncio.sleep(0.1)
        assert isinstance(await transport.send(parcel()), Sent)
    assert server.connections == 2


async def test_a_cancelled_send_frees_its_slot_and_closes_its_connection(server: SmtpServer):
    async with client(server, smtp_connections=1) as transport:
        await transport.send(parcel())
        server.behave = Behave(delays={"RCPT": 0.5})
        with pytest.raises(Unsent):
            await asyncio.wait_for(transport.send(parcel()), timeout=0.1)
        server.behave = Behave()
        assert isinstance(await transport.send(parcel()), Sent)
    assert server.connections == 2


async def test_close_leaves_no_open_connection(server: SmtpServer):
    async with client(server) as transport:
        await asyncio.gather(*(transport.send(parcel()) for _ in range(4)))
    await asyncio.sleep(0.05)
    assert server.open_connections == 0


async def test_a_refused_connection_is_temporary():
    with SmtpServer() as gone:
        port = gone.port
    outcome = await send_to(port)
    assert isinstance(outcome, Temporary)
    assert outcome.code == "connect"


async def test_a_server_that_refuses_at_the_greeting_is_temporary(server: SmtpServer):
    server.behave = Behave(answers={"CONNECT": "554 5.7.1 go away"})
    assert await send_to(server) == Temporary("554", "5.7.1 go away")


async def test_a_server_that_refuses_ehlo_and_helo_refuses_our_name(server: SmtpServer):
    server.behave = Behave(answers=dict.fromkeys(["EHLO", "HELO"], "554 5.7.1 go away"))
    assert await send_to(server) == Temporary("ehlo_name", "554 5.7.1 go away", is_hopeless_here=True)


async def test_a_server_that_knows_only_helo_works(server: SmtpServer):
    server.behave = Behave(answers={"EHLO": "500 what?"})
    assert isinstance(await send_to(server), Sent)
