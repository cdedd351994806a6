"""Several SMTP servers in order; the pause after a refusal; and the name that we greet them with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.core.errors import BadSettings
from app.core.settings import load_settings
from app.deliver.transports import smtp, smtp_server_pool
from app.deliver.transports.smtp import SmtpTransport
from app.domain.attempt import Permanent, Sent, Temporary, Unknown
from tests.support.smtp import Behave, SmtpServer
from tests.support.smtp_client import client, parcel, raw_server, send_to


@asynccontextmanager
async def both(first: int, second: int, login: str = "", **settings: Any) -> AsyncIterator[SmtpTransport]:
    urls = f"smtp://{login}localhost:{first}?tls=none\nsmtp://localhost:{second}?tls=none"
    # With a name of our own: to look up the name of a host can take seconds where no name server answers.
    settings = {"smtp_timeout_s": 1, "smtp_ehlo_name": "tocsin.example.org", **settings}
    found = load_settings(smtp_url=urls, mail_from="tocsin@example.org", **settings)
    transport = SmtpTransport.from_settings(found)
    try:
        yield transport
    finally:
        await transport.close()


REFUSALS = {
    "greeting": Behave(answers={"CONNECT": "554 5.7.1 go away"}),
    "busy": Behave(answers={"CONNECT": "421 4.3.2 too many connections"}),
    "name": Behave(answers=dict.fromkeys(["EHLO", "HELO"], "504 5.5.2 need fully-qualified hostname")),
    "sender": Behave(answers={"MAIL": "550 5.7.60 not as this sender"}),
    "quota": Behave(answers={"DOT": "550 5.4.5 Daily user sending limit exceeded"}),
    "relay": Behave(answers={"RCPT": "554 5.7.1 Relay access denied"}),
    "cut off": Behave(hang_up="RCPT"),
    "silent": Behave(delays={"MAIL": 5}),
}


@pytest.mark.parametrize("behave", REFUSALS.values(), ids=REFUSALS)
async def test_the_next_server_takes_the_mail_at_once_and_the_attempt_says_which(behave: Behave):
    with SmtpServer(behave) as first, SmtpServer() as second:
        async with both(first.port, second.port) as transport:
            outcome = await transport.send(parcel())
        assert isinstance(outcome, Sent)
        words, by, not_by = outcome.text.splitlines()
        assert words == "2.0.0 kept"
        assert by == f"by localhost:{second.port}"
        assert not_by.startswith(f"not by localhost:{first.port}: ")
        assert len(second.messages) == 1


async def test_a_server_that_cannot_be_reached_or_refuses_the_login_is_passed_over():
    with SmtpServer() as gone:
        pass
    with SmtpServer() as second:
        async with both(gone.port, second.port) as transport:
            assert isinstance(await transport.send(parcel()), Sent)
    with SmtpServer(users={"u": "right"}) as locked, SmtpServer() as second:
        async with both(locked.port, second.port, login="u:wrong@") as transport:
            for _ in range(3):
                assert isinstance(await transport.send(parcel()), Sent)
        assert locked.count("AUTH") == 1


@pytest.mark.parametrize("place", ["CONNECT", "EHLO", "MAIL"])
async def test_mails_that_wait_for_a_server_that_hangs_do_not_wait_one_after_the_other(place: str):
    with SmtpServer(Behave(delays={place: 60})) as first, SmtpServer() as second:
        async with both(first.port, second.port, smtp_connections=2) as transport:
            async with asyncio.timeout(4.5):  # 12 mails over 2 connections would be 6 time-outs of 1 s
                outcomes = await asyncio.gather(*(transport.send(parcel()) for _ in range(12)))
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        assert len(second.messages) == 12
        assert first.connections == 2


async def test_mails_that_wait_for_the_only_server_hear_that_it_hangs_together():
    with SmtpServer(Behave(delays={"CONNECT": 60})) as only:
        async with client(only, smtp_connections=2, smtp_timeout_s=1) as transport:
            async with asyncio.timeout(4.5):
                outcomes = await asyncio.gather(*(transport.send(parcel()) for _ in range(12)))
        assert {outcome.code for outcome in outcomes} == {"connect"}
        assert all(isinstance(outcome, Temporary) for outcome in outcomes)


async def test_a_mail_does_not_wait_for_the_whole_time_out_where_there_is_another_server(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(smtp, "PATIENCE_S", 0.2)
    with SmtpServer(Behave(delays={"CONNECT": 60})) as first, SmtpServer() as second:
        async with both(first.port, second.port, smtp_timeout_s=30) as transport, asyncio.timeout(10):
            outcome = await transport.send(parcel())
    assert isinstance(outcome, Sent)
    assert f"not by localhost:{first.port}: connect no answer within 0.2 s" in outcome.text


async def test_a_slow_server_has_its_whole_time_out_where_no_other_one_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(smtp, "PATIENCE_S", 0.1)
    with SmtpServer() as gone:
        pass
    with SmtpServer(Behave(delays={"CONNECT": 0.6})) as slow:
        async with both(slow.port, gone.port, smtp_timeout_s=30, smtp_connections=1) as transport:
            outcomes = await asyncio.gather(*(transport.send(parcel()) for _ in range(4)))
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        assert len(slow.messages) == 4


async def test_the_first_server_is_used_again_after_a_while_and_only_one_mail_tries_it(monkeypatch: pytest.MonkeyPatch):
    with SmtpServer(Behave(delays={"CONNECT": 5})) as first, SmtpServer() as second:
        async with both(first.port, second.port) as transport:
            assert isinstance(await transport.send(parcel()), Sent)
            assert isinstance(await transport.send(parcel()), Sent)
            assert first.connections == 1  # the second mail did not wait for it
            monkeypatch.setattr(smtp, "SKIP_S", 3600)
            transport._servers[0].skipped_until = 0.001  # the while is over
            outcomes = await asyncio.gather(*(transport.send(parcel()) for _ in range(5)))
            assert all(isinstance(outcome, Sent) for outcome in outcomes)
            assert first.connections == 2
            first.behave = Behave()
            transport._servers[0].skipped_until = 0.001
            outcome = await transport.send(parcel())
            assert isinstance(outcome, Sent)
            assert outcome.text.endswith(f"by localhost:{first.port}")


@pytest.mark.parametrize(
    ("behave", "wanted"),
    [
        (Behave(answers={"RCPT": "550 5.1.1 nobody"}), Permanent),
        (Behave(answers={"RCPT": "451 4.7.1 greylisted"}), Temporary),
        (Behave(answers={"RCPT": "552 5.2.2 mailbox full"}), Temporary),
        (Behave(hang_up="DOT"), Unknown),
    ],
    ids=["unknown recipient", "greylisted", "full mailbox", "no reply to the dot"],
)
async def test_a_reply_about_the_mail_is_not_taken_to_another_server(behave: Behave, wanted: type):
    with SmtpServer(behave) as first, SmtpServer() as second:
        async with both(first.port, second.port) as transport:
            outcome = await transport.send(parcel())
    assert isinstance(outcome, wanted)
    assert second.connections == 0


async def test_where_no_server_takes_it_the_reply_of_the_first_one_comes_first():
    with SmtpServer(Behave(answers={"MAIL": "550 5.7.60 no"})) as first, SmtpServer() as gone:
        pass
    with SmtpServer(Behave(answers={"MAIL": "550 5.7.60 no"})) as first:
        async with both(first.port, gone.port) as transport:
            outcome = await transport.send(parcel())
    assert isinstance(outcome, Temporary)
    assert (outcome.code, outcome.text.splitlines()[0]) == ("sender", "550 5.7.60 no")
    assert f"not by localhost:{gone.port}: connect" in outcome.text


@pytest.mark.parametrize("place", ["MAIL", "RCPT", "DOT"])
async def test_a_refused_setting_is_not_tried_with_every_waiting_mail(server: SmtpServer, place: str):
    server.behave = Behave(answers={place: "550 5.7.60 not as this sender"})
    async with client(server, smtp_connections=1) as transport:
        outcomes = [await transport.send(parcel()) for _ in range(5)]
        assert [outcome.code for outcome in outcomes] == ["sender"] * 5
        assert all(isinstance(outcome, Temporary) and outcome.retry_after for outcome in outcomes[1:])
        assert server.count(place) == 1


@pytest.mark.parametrize(
    ("answer", "cause"),
    [("554 5.7.1 Relay access denied", "relay"), ("550 5.7.1 Sender address rejected: not welcome here", "sender")],
)
async def test_a_refused_domain_holds_up_no_mail_to_another(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch, answer: str, cause: str
):
    monkeypatch.setattr(smtp_server_pool, "AUTH_PAUSE_S", 3600)
    server.behave = Behave(answers={"RCPT": answer})
    async with client(server, smtp_connections=1) as transport:
        refused = [await transport.send(parcel(to="bob@else.example")) for _ in range(3)]
        server.behave = Behave()
        assert isinstance(await transport.send(parcel(to="ann@example.org")), Sent)
        assert isinstance(await transport.send(parcel(to="bob@ELSE.example")), Temporary)
    assert [outcome.code for outcome in refused] == [cause] * 3
    assert server.count("RCPT") == 2


@pytest.mark.parametrize("name", ["tocsin.example.org", "[192.0.2.1]", "bücher.example"])
async def test_the_configured_name_greets_the_server(name: str):
    heard: list[bytes] = []

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        heard.append(await reader.readline())

    async with raw_server(watch) as port:
        await send_to(port, host="127.0.0.1", smtp_ehlo_name=name)
    assert heard == [b"EHLO %b\r\n" % name.encode("idna" if name.isascii() is False else "ascii")]


@pytest.mark.parametrize(
    "name", ["", "tocsin", "a b.example", "a\r\nb.example", "[tocsin]", "[2001:db8::1]", "a..b", "-a.example"]
)
def test_a_name_that_servers_would_refuse_is_refused_at_the_start(name: str):
    with pytest.raises(BadSettings, match="TOCSIN_SMTP_EHLO_NAME: "):
        load_settings(smtp_ehlo_name=name)


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        ("smtp://a.example smtp://u:hunter2@b.example?tls=maybe", r"URL 2 of 2"),
        ("smtp://a.example smtp://a.example", "twice"),
        (" ".join(f"smtp://{name}.example" for name in "abcdef"), "from 1 to 5"),
        ("  ", "from 1 to 5"),
    ],
)
def test_wrong_servers_are_refused_without_showing_a_password(urls: str, words: str):
    with pytest.raises(BadSettings, match=rf"TOCSIN_SMTP_URL: .*{words}") as refused:
        load_settings(smtp_url=urls)
    assert "hunter2" not in str(refused.value)
