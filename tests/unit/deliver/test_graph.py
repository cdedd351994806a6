"""The transport `graph` against a server that checks tokens, mailbox and mail, and that fails in every way."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from app.compose import mime
from app.compose.render import RenderedMail
from app.core.errors import BadSettings
from app.core.secret import Secret
from app.core.settings import load_settings
from app.deliver.transport import Unsent
from app.deliver.transports import build_transports, graph
from app.deliver.transports.graph import GraphTransport, addressed_to
from app.deliver.transports.graph_answer import judge
from app.deliver.transports.http_exchange import PostAnswer
from app.deliver.transports.remedies import remedy_of
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.message import Parcel
from tests.support.graph_server import MAILBOX, GraphServer, graph_server, refused

ANN = "ann@example.org"
NOW = datetime(2026, 11, 26, 21, 0, tzinfo=UTC)


def mail_to(address: str = ANN, text: str = "Backup of srv1 failed\n.\n") -> bytes:
    return mime.build(
        RenderedMail(subject="FAILED: srv1, Sicherung täglich", text=text, html="<p>Backup of srv1 failed</p>"),
        sender=f"Tocsin <{MAILBOX}>",
        to=address,
        message_id="<msg_2@example.org>",
        date=NOW,
        in_reply_to="<msg_1@example.org>",
        references=("<msg_1@example.org>",),
    )


def parcel(body: bytes | None = None, address: str = ANN) -> Parcel:
    return Parcel("msg_2", "rcp_1", address, "<msg_2@example.org>", mail_to() if body is None else body)


@asynccontextmanager
async def transport_to(server: GraphServer, **changed: object) -> AsyncIterator[GraphTransport]:
    made = GraphTransport.from_settings(load_settings(**(server.settings | changed)))
    try:
        yield made
    finally:
        await made.close()


async def outcome_of(server: GraphServer, one: Parcel | None = None, **changed: object) -> Outcome:
    async with transport_to(server, **changed) as transport:
        return await transport.send(one or parcel())


async def test_the_bytes_arrive_unchanged_and_the_ids_are_the_evidence():
    async with graph_server() as server:
        outcome = await outcome_of(server)
        assert server.mails == [mail_to()]
        (request,) = server.requests
    assert isinstance(outcome, Sent)
    assert outcome.code == "202"
    assert (
        outcome.text == f"handed to Exchange Online, request id req-1, client-request-id {request['client-request-id']}"
    )
    assert "delivered" not in outcome.text
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", request["client-request-id"])
    mail = message_from_bytes(server.mails[0], policy=policy.SMTP)
    assert (mail["message-id"], mail["in-reply-to"], mail["auto-submitted"]) == (
        "<msg_2@example.org>",
        "<msg_1@example.org>",
        "auto-generated",
    )


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_certificates_of_both_servers_are_checked_against_the_systems_authorities(
    is_trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with graph_server(tls) as server:
        outcome = await outcome_of(server)
        assert len(server.mails) == is_trusted
    if is_trusted:
        assert isinstance(outcome, Sent)
    else:
        assert isinstance(outcome, Temporary)
        assert outcome.code == "token"
        assert "certificate" in outcome.text.lower()


async def test_many_mails_use_one_token_and_four_requests_at_once():
    async with graph_server() as server:
        server.delay_s = 0.05
        async with transport_to(server) as transport:
            outcomes = await asyncio.gather(*(transport.send(parcel()) for _ in range(12)))
        assert [type(one) for one in outcomes] == [Sent] * 12
        assert (server.most_at_once, len(server.tokens.forms), len(server.mails)) == (4, 1, 12)


async def test_a_token_that_was_revoked_is_replaced_once():
    async with graph_server() as server, transport_to(server) as transport:
        assert isinstance(await transport.send(parcel()), Sent)
        server.revoke_all()
        assert isinstance(await transport.send(parcel()), Sent)
        assert len(server.mails) == 2
        server.revoke_all()
        outcome = await transport.send(parcel())
        asked = len(server.requests)
        again = await transport.send(parcel())
        assert len(server.requests) == asked, "refused logins are counted: the next message waits"
    assert isinstance(outcome, Temporary)
    assert outcome.code == "graph_token"
    assert outcome.text.startswith("401 InvalidAuthenticationToken")
    assert isinstance(again, Temporary)
    assert again.retry_after is not None


async def test_without_a_token_the_message_waits_and_the_text_names_the_setting():
    async with graph_server() as server:
        outcome = await outcome_of(server, oauth_client_secret="a-wrong-secret")
        assert server.requests == []
    assert isinstance(outcome, Temporary)
    assert outcome.code == "token"
    assert "TOCSIN_OAUTH_CLIENT_SECRET is wrong" in outcome.text
    assert "a-wrong-secret" not in outcome.text


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"graph_mailbox": "nobody@example.org"}, "graph_mailbox", "404 ErrorInvalidUser"),
        ({"graph_mailbox": "a/b?c#d'@example.org"}, "graph_mailbox", "404 ErrorInvalidUser"),
    ],
)
async def test_a_wrong_mailbox_waits_to_be_mended(changed, code, words):
    async with graph_server() as server:
        outcome = await outcome_of(server, **changed)
    assert isinstance(outcome, Temporary)
    assert outcome.code == code
    assert words in outcome.text


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [("before_body", (Temporary, Unknown), "connect disconnect"), ("after_body", Unknown, "disconnect"), ("silent", Unknown, "timeout")],
)  # fmt: skip
async def test_without_an_answer_only_a_request_that_was_written_is_unknown(fault, kind, code):
    async with graph_server() as server:
        server.fault = fault
        async with transport_to(server) as transport:
            transport._timeout_s = 0.5
            outcome = await transport.send(parcel())
        assert server.mails == []
    assert isinstance(outcome, kind)
    assert outcome.code in code
    assert "client-request-id" in outcome.text


async def test_a_large_mail_whose_connection_ends_within_it_is_temporary():
    async with graph_server() as server:
        server.fault = "before_body"
        outcome = await outcome_of(server, parcel(mail_to(text="a" * 2_500_000)))
    assert isinstance(outcome, Temporary)


async def test_a_server_that_is_not_there_is_temporary():
    async with graph_server() as server, transport_to(server, graph_url="http://127.0.0.1:1") as transport:
        outcome = await transport.send(parcel())
    assert isinstance(outcome, Temporary)
    assert outcome.code == "connect"


async def test_throttling_holds_every_message_back_until_the_time_that_graph_names():
    async with graph_server() as server, transport_to(server) as transport:
        status, body, _ = refused(429, "ApplicationThrottled", "over its MailboxConcurrency limit")
        server.answer = status, body, {"Retry-After": "120"}
        first = await transport.send(parcel())
        server.answer = None
        second = await transport.send(parcel())
        assert len(server.requests) == 1
        transport._pause = transport._pause[0], 0.0
        assert isinstance(await transport.send(parcel()), Sent)
    assert isinstance(first, Temporary)
    assert (first.code, first.retry_after) == ("429", timedelta(seconds=120))
    assert isinstance(second, Temporary)
    assert timedelta(seconds=110) < second.retry_after <= timedelta(seconds=120)


async def test_a_mail_that_is_too_large_moves_on_without_a_request():
    async with graph_server() as server:
        largest = graph.LARGEST_REQUEST * 3 // 4
        over = mail_to() + b"a" * (largest + 3 - len(mail_to()))
        outcome = await outcome_of(server, parcel(over))
        assert server.requests == []
        assert isinstance(await outcome_of(server, parcel(over[:largest])), Sent)
    assert isinstance(outcome, Permanent)
    assert outcome.code == "size"


async def test_a_huge_answer_is_read_to_its_start_only():
    async with graph_server() as server:
        server.answer = 500, b"x" * 5_000_000, {}
        outcome = await outcome_of(server)
    assert isinstance(outcome, Temporary)
    assert len(outcome.text) < 1000


async def test_a_worker_that_stops_before_the_request_has_sent_nothing():
    async with graph_server() as server:
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def slow(_: dict[str, str]) -> None:
            asked.set()
            await goes_on.wait()

        server.tokens.script = slow
        async with transport_to(server) as transport:
            sending = asyncio.create_task(transport.send(parcel()))
            await asked.wait()
            sending.cancel()
            with pytest.raises(Unsent):
                await sending
            goes_on.set()
            server.tokens.script = None
            assert isinstance(await transport.send(parcel()), Sent)


async def test_a_mail_for_another_address_of_the_recipient_goes_there():
    async with graph_server() as server:
        assert isinstance(await outcome_of(server, parcel(address="oncall@example.org")), Sent)
        (raw,) = server.mails
    assert message_from_bytes(raw, policy=policy.SMTP)["to"] == "oncall@example.org"
    without_to = [line for line in raw.splitlines() if not line.startswith(b"To:")]
    assert without_to == [line for line in mail_to().splitlines() if not line.startswith(b"To:")]


async def test_an_address_that_no_mail_can_carry_is_refused_here():
    async with graph_server() as server:
        for address in ("ann", "ann@example.org\r\nBcc: eve@example.org", "ann@example.org, eve@example.org", ""):
            assert isinstance(await outcome_of(server, parcel(address=address)), Permanent)
        assert server.requests == []


@given(
    st.one_of(
        st.emails(), st.sampled_from(["jörg@example.org", "a@exämple.org", '"a b"@example.org', "a@[127.0.0.1]"])
    ),
    st.sampled_from([ANN, "jörg@example.org", "ann@exämple.org", "not an address"]),
)
def test_a_mail_has_the_recipient_it_is_sent_to_and_no_other_header_changes(address, first):
    mail = mail_to(first)
    made = addressed_to(mail, address)
    if address == first:
        assert made == mail
    head, rest = made.partition(b"\r\n\r\n")[::2]
    assert rest == mail.partition(b"\r\n\r\n")[2]
    found = message_from_bytes(head + b"\r\n\r\n", policy=policy.SMTPUTF8)
    before = message_from_bytes(mail, policy=policy.SMTPUTF8)
    assert len(found["to"].addresses) == 1
    assert sorted(found.keys()) == sorted(before.keys())


def answer_of(status: int, code: str = "", headers: dict[str, str] | None = None) -> PostAnswer:
    body = refused(status, code, "words of Graph")[1] if code else b""
    return PostAnswer(status, {"request-id": "r-1", **(headers or {})}, body)


ANSWERS = [
    # status, Graph's code, the outcome, the code of the attempt, goes an alert by another transport at once
    (202, "", Sent, "202", False),
    (200, "", Unknown, "200", False),
    (204, "", Unknown, "204", False),
    (301, "", Temporary, "graph_address", True),
    (400, "ErrorInvalidRecipients", Permanent, "400", False),
    (400, "ErrorMessageSizeExceeded", Permanent, "400", False),
    (400, "ErrorMimeContentInvalidBase64String", Permanent, "400", False),
    (400, "BadRequest", Permanent, "400", False),
    (400, "ErrorQuotaExceeded", Temporary, "graph_quota", True),
    (400, "ErrorExceededMessageLimit", Temporary, "graph_quota", True),
    (403, "ErrorMessageSubmissionBlocked", Temporary, "graph_quota", True),
    (401, "InvalidAuthenticationToken", Temporary, "graph_token", True),
    (401, "", Temporary, "graph_token", True),
    (402, "", Temporary, "graph_licence", True),
    (403, "ErrorAccessDenied", Temporary, "graph_right", True),
    (403, "ErrorSendAsDenied", Temporary, "graph_sender", True),
    (400, "ErrorSendAsDenied", Temporary, "graph_sender", True),
    (403, "ErrorAccountSuspend", Temporary, "graph_account", True),
    (403, "", Temporary, "graph_right", True),
    (404, "ErrorInvalidUser", Temporary, "graph_mailbox", True),
    (404, "MailboxNotEnabledForRESTAPI", Temporary, "graph_mailbox", True),
    (405, "", Permanent, "405", False),
    (409, "", Temporary, "409", False),
    (413, "", Permanent, "413", False),
    (423, "", Temporary, "423", False),
    (429, "ApplicationThrottled", Temporary, "429", False),
    (500, "ErrorInternalServerError", Temporary, "500", False),
    (500, "ErrorInvalidRecipients", Permanent, "500", False),
    (502, "", Unknown, "502", False),
    (503, "ErrorServerBusy", Temporary, "503", False),
    (504, "", Unknown, "504", False),
    (504, "ErrorServerBusy", Temporary, "504", False),
    (507, "", Temporary, "507", False),
    (509, "", Temporary, "509", False),
]


@pytest.mark.parametrize(("status", "error", "kind", "code", "is_hopeless_here"), ANSWERS)
def test_every_answer_has_an_outcome(status, error, kind, code, is_hopeless_here):
    outcome = judge(answer_of(status, error), "c-1", NOW)
    assert (type(outcome), outcome.code) == (kind, code)
    assert getattr(outcome, "is_hopeless_here", False) is is_hopeless_here
    assert (remedy_of(code) is not None) is is_hopeless_here
    assert error in outcome.text
    assert outcome.text.endswith("request id r-1, client-request-id c-1")
    assert outcome.evidence == {"request_id": "r-1", "client_request_id": "c-1"}


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [(429, "60", 60), (503, "Thu, 26 Nov 2026 21:02:00 GMT", 120), (503, "soon", None), (429, "999999", 3600)],
)
def test_retry_after_is_respected(status, header, wait):
    outcome = judge(answer_of(status, "", {"retry-after": header}), "c-1", NOW)
    assert isinstance(outcome, Temporary)
    assert outcome.retry_after == (None if wait is None else timedelta(seconds=wait))


def test_202_with_retry_after_is_sent_and_not_sent_again():
    assert isinstance(judge(answer_of(202, "", {"retry-after": "10"}), "c-1", NOW), Sent)


@given(st.integers(100, 599), st.binary(max_size=300), st.text(max_size=50))
def test_any_answer_at_all_has_an_outcome_that_can_be_stored(status, body, header):
    text = judge(PostAnswer(status, {"retry-after": header, "request-id": header}, body), "c-1", NOW).text
    assert "\x00" not in text
    text.encode("utf-8")


def test_graph_needs_its_settings():
    assert "graph" not in build_transports(load_settings(), Secret("s" * 32))
    with pytest.raises(BadSettings, match=r"^TOCSIN_OAUTH_PROVIDER: "):
        load_settings(graph_mailbox=MAILBOX)
    with pytest.raises(BadSettings, match=r"^TOCSIN_GRAPH_MAILBOX: must be a mail address"):
        load_settings(graph_mailbox="tocsin")
