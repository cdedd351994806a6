"""SMTP over TLS, with logins, and to unusual addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.deliver.transports import smtp_server_pool
from app.deliver.transports.remedies import remedy_of
from app.domain.attempt import Permanent, Sent, Temporary
from tests.support.smtp import SmtpServer
from tests.support.smtp_client import HUGE, MAIL, client, parcel, raw_server, send_to
from tests.support.token_server import CLIENT_ID, SECRET, TENANT, TokenServer, token_server


@pytest.mark.parametrize("kind", ["starttls", "tls"])
async def test_tls_is_verified_against_the_configured_authority(kind: Any):
    with SmtpServer(tls=kind, users={"u@x": "p:/@%"}) as server:
        outcome = await send_to(server, login="u%40x:p%3A%2F%40%25@", query=f"tls={kind}", smtp_ca_file=server.ca_file)
        assert outcome == Sent("250", "2.0.0 kept")
        assert server.messages[0].is_encrypted
        assert server.messages[0].user == "u@x"


@pytest.mark.parametrize("kind", ["starttls", "tls"])
async def test_a_certificate_of_an_unknown_authority_is_refused(kind: Any):
    with SmtpServer(tls=kind) as server:
        outcome = await send_to(server, query=f"tls={kind}")
        assert isinstance(outcome, Temporary)
        assert outcome.code == "tls"
        assert "certificate" in outcome.text
        assert server.messages == []


async def test_starttls_is_required_not_tried(server: SmtpServer):
    outcome = await send_to(server, query="tls=starttls")
    assert isinstance(outcome, Temporary)
    assert outcome.code == "tls"
    assert server.count("MAIL") == 0


async def test_many_mails_use_one_tls_connection():
    with SmtpServer(tls="starttls") as server:
        async with client(server, query="tls=starttls", smtp_ca_file=server.ca_file) as transport:
            for body in (MAIL, HUGE, MAIL):
                assert isinstance(await transport.send(parcel(body)), Sent)
        assert [message.data for message in server.messages] == [MAIL, HUGE, MAIL]
        assert server.connections == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("is_named", [True, False])
async def test_the_login_uses_the_configured_or_an_offered_mechanism(mechanism: str, is_named: bool):
    with SmtpServer(users={"u": "p"}, mechanisms=(mechanism,)) as server:
        query = f"tls=none&auth={mechanism.lower()}" if is_named else "tls=none"
        assert isinstance(await send_to(server, login="u:p@", query=query), Sent)
        assert server.messages[0].user == "u"


async def test_a_mechanism_that_is_not_offered_is_temporary():
    with SmtpServer(users={"u": "p"}, mechanisms=("LOGIN",)) as server:
        outcome = await send_to(server, login="u:p@", query="tls=none&auth=plain")
    assert isinstance(outcome, Temporary)
    assert outcome.code == "auth"
    assert "login" in outcome.text


async def test_a_wrong_password_is_temporary_and_is_not_retried_at_once(monkeypatch: pytest.MonkeyPatch):
    with SmtpServer(users={"u": "right"}) as server:
        async with client(server, login="u:wrong@", smtp_connections=1) as transport:
            first, *others = [await transport.send(parcel()) for _ in range(5)]
            assert isinstance(first, Temporary)
            assert first.code == "auth"
            assert first.text.startswith("535")
            assert all(
                isinstance(other, Temporary) and other.text == first.text and other.retry_after for other in others
            )
            assert server.count("AUTH") == 1
            monkeypatch.setattr(smtp_server_pool, "AUTH_PAUSE_S", 0)
            transport._servers[0].pool._pauses.clear()
            server.users["u"] = "wrong"
            assert isinstance(await transport.send(parcel()), Sent)


async def test_a_renewed_token_is_read_at_the_next_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(smtp_server_pool, "AUTH_PAUSE_S", 0)
    token = tmp_path / "token"
    token.write_text("first\n")
    with SmtpServer(tokens={"u": "first"}) as server:
        monkeypatch.setenv("TOCSIN_SMTP_OAUTH_TOKEN_FILE", str(token))
        async with client(
            server, login="u@", query="tls=none&auth=xoauth2", smtp_messages_per_connection=1
        ) as transport:
            assert isinstance(await transport.send(parcel()), Sent)
            server.tokens["u"] = "second"
            outcome = await transport.send(parcel())
            assert isinstance(outcome, Temporary)
            assert outcome.code == "auth"
            token.write_text("second\n")
            assert isinstance(await transport.send(parcel()), Sent)
            token.unlink()
            assert isinstance(await transport.send(parcel()), Temporary)


async def test_a_fixed_token_logs_in():
    with SmtpServer(tokens={"u": "t" * 3000}) as server:
        outcome = await send_to(server, login="u@", query="tls=none&auth=xoauth2", smtp_oauth_token="t" * 3000)
    assert isinstance(outcome, Sent)


async def test_a_token_of_our_own_that_the_server_refuses_is_replaced_once():
    async with token_server() as tokens:
        with SmtpServer(tokens={"u": "token-2"}) as server:
            outcome = await send_to(server, login="u@", query="tls=none&auth=xoauth2", **provider(tokens))
            assert isinstance(outcome, Sent)
            assert server.count("AUTH") == 2
        with SmtpServer(tokens={"u": "another"}) as server:
            outcome = await send_to(server, login="u@", query="tls=none&auth=xoauth2", **provider(tokens))
            assert server.count("AUTH") == 2
    assert isinstance(outcome, Temporary)
    assert outcome.code == "auth"
    assert outcome.text.startswith("535")


async def test_without_a_token_nothing_is_sent_to_the_mail_server():
    async with token_server() as tokens:
        with SmtpServer(tokens={"u": "token-1"}) as server:
            how = provider(tokens) | {"oauth_client_secret": "wrong"}
            outcome = await send_to(server, login="u@", query="tls=none&auth=xoauth2", **how)
            assert server.connections == 0
    assert isinstance(outcome, Temporary)
    assert outcome.code == "token"
    assert "TOCSIN_OAUTH_CLIENT_SECRET is wrong" in outcome.text


def provider(tokens: TokenServer) -> dict[str, Any]:
    return {
        "oauth_provider": "microsoft",
        "oauth_tenant": TENANT,
        "oauth_client_id": CLIENT_ID,
        "oauth_client_secret": SECRET,
        "oauth_token_url": tokens.url,
    }


async def test_a_non_ascii_address_needs_smtputf8(server: SmtpServer):
    assert isinstance(await send_to(server, to="jörg@exämple.org"), Sent)
    assert server.messages[0].recipients == ("jörg@xn--exmple-cua.org",)


@asynccontextmanager
async def _server_without_smtputf8(lines: list[bytes]) -> AsyncIterator[int]:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            lines.append(line)
            answers = {b"EHLO": b"250-me\r\n250 SIZE 1000\r\n", b"DATA": b"354 go on\r\n"}
            writer.write(answers.get(line[:4], b"250 ok\r\n"))
            if line[:4] == b"DATA":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 kept\r\n")

    async with raw_server(plain) as port:
        yield port


async def test_without_smtputf8_a_local_part_that_is_not_ascii_is_permanent_and_says_what_to_do():
    lines: list[bytes] = []
    async with _server_without_smtputf8(lines) as port:
        outcome = await send_to(port, host="127.0.0.1", to="jörg@example.org")
    assert isinstance(outcome, Permanent)
    assert outcome.code == "smtputf8"
    assert "before the @ of the recipient's address" in outcome.text
    assert "address in ASCII" in (remedy_of(outcome.code) or "")
    assert not any(line.startswith(b"MAIL") for line in lines)


async def test_a_domain_that_is_not_ascii_goes_as_punycode_to_a_server_without_smtputf8():
    lines: list[bytes] = []
    async with _server_without_smtputf8(lines) as port:
        sender = "Tocsin <tocsin@bücher.example>"
        outcome = await send_to(port, host="127.0.0.1", to="ann@Exämple.org", mail_from=sender)
    assert isinstance(outcome, Sent)
    assert b"RCPT TO:<ann@xn--exmple-cua.org>\r\n" in lines
    assert any(line.startswith(b"MAIL FROM:<tocsin@xn--bcher-kva.example>") for line in lines)


async def test_a_domain_that_has_no_ascii_form_is_permanent(server: SmtpServer):
    outcome = await send_to(server, to="ann@-ä-.org")
    assert isinstance(outcome, Permanent)
    assert outcome.code == "address"


@pytest.mark.parametrize(
    "to", ["", "ann", "a@b\r\nRCPT TO:<evil@x>", "a@b> SIZE=1", "a b@c", "<a@b>", "a@b\x00", "a@b@c"]
)
async def test_an_address_that_could_inject_a_command_is_refused(server: SmtpServer, to: str):
    outcome = await send_to(server, to=to)
    assert isinstance(outcome, Permanent)
    assert outcome.code == "address"
    assert server.connections == 0


async def test_a_mail_over_the_servers_limit_is_refused_before_it_is_sent(server: SmtpServer):
    outcome = await send_to(server, body=b"x\r\n" * 12_000_000)
    assert isinstance(outcome, Permanent)
    assert outcome.code == "552"
    assert "exceeds fixed maximum" in outcome.text  # the reply to MAIL; after the body it would be "too much mail data"
