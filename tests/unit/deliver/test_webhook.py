"""Webhooks against a real HTTP server that answers as scripted."""

import asyncio
import base64
import hashlib
import hmac
from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.compose.transport_test_mail import example_alerts
from app.deliver.transports.alertmanager import AlertmanagerTransport
from app.deliver.transports.http_caller import HttpCaller, ProgramRequest
from app.deliver.transports.http_exchange import retry_after
from app.deliver.transports.public_only import PublicOnly, is_public
from app.deliver.transports.webhook import WebhookTransport, sign, signing_secret
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.message import Parcel
from tests.support.webhook_server import BODY, NOW, SECRET, post, post_to, reply, running

PRIVATE = "its answer is not shown, because it came from a private address"


async def test_the_body_is_posted_with_a_standard_webhooks_signature():
    async with running(reply("200 OK", b"thanks")) as server:
        outcome = await post(f"http://127.0.0.1:{server.port}/hook?a=b%20c#part")
    assert outcome == Sent("200", "thanks")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert first == "POST /hook?a=b%20c HTTP/1.1"
    assert body == BODY
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "msg_first"
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    key = base64.b64decode(signing_secret(SECRET, "rcp_1").removeprefix("whsec_"))
    wanted = hmac.new(key, f"msg_first.{int(NOW.timestamp())}.".encode() + BODY, hashlib.sha256).digest()
    assert f"webhook-signature: v1,{base64.b64encode(wanted).decode()}" in lines


def test_the_signature_matches_the_example_of_the_specification():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_recipient_has_its_own_secret():
    secrets = {signing_secret(key, who) for key in (SECRET, b"other") for who in ("rcp_1", "rcp_2")}
    assert len(secrets) == 4
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"))) == 32 for secret in secrets)


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("201 Created", Sent),
        ("204 No Content", Sent),
        ("301 Moved", Permanent),
        ("304 Not Modified", Permanent),
        ("400 Bad", Permanent),
        ("401 No", Permanent),
        ("404 Not Found", Permanent),
        ("408 Timeout", Temporary),
        ("410 Gone", Permanent),
        ("425 Too Early", Temporary),
        ("429 Slow Down", Temporary),
        ("500 Oops", Temporary),
        ("503 Busy", Temporary),
    ],
)
async def test_the_status_determines_the_outcome(status: str, wanted: type[Outcome]):
    outcome = await post_to(reply(status))
    assert type(outcome) is wanted
    assert outcome.code == status[:3]


async def test_a_redirect_is_not_followed():
    async with running(reply("200 OK")) as inner:
        outcome = await post_to(reply("307 Over there", b"", f"location: http://127.0.0.1:{inner.port}/"))
        assert inner.requests == []
    assert isinstance(outcome, Permanent)
    assert f"127.0.0.1:{inner.port}" in outcome.text


async def test_retry_after_of_the_response_is_returned():
    outcome = await post_to(reply("429 Slow", b"", "Retry-After: 120"))
    assert outcome == Temporary("429", "", timedelta(seconds=120))


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("0", timedelta(0)),
        ("7", timedelta(seconds=7)),
        ("999999999999999999999", timedelta(hours=1)),
        (format_datetime(NOW + timedelta(minutes=3), usegmt=True), timedelta(minutes=3)),
        (format_datetime(NOW + timedelta(days=3), usegmt=True), timedelta(hours=1)),
        (format_datetime(NOW - timedelta(days=3), usegmt=True), timedelta(0)),
        ("", None),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(header: str, wanted: timedelta | None):
    assert retry_after(header, NOW) == wanted


@given(st.text())
def test_retry_after_never_fails(header: str):
    waited = retry_after(header, NOW)
    assert waited is None or timedelta(0) <= waited <= timedelta(hours=1)


async def test_a_closed_connection_after_the_request_is_unknown():
    async def hang_up(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.close()

    outcome = await post_to(hang_up)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "disconnect"


async def test_an_incomplete_response_is_unknown():
    async def half(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 20")
        writer.close()

    assert isinstance(await post_to(half), Unknown)


async def test_no_response_in_time_is_unknown():
    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)

    outcome = await post_to(silent, timeout_s=0.3)
    assert outcome == Unknown("timeout", "no answer within 0.3 s")


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (reply("200 OK", b"secret"), Sent("200", PRIVATE)),
        (reply("200 OK"), Sent("200", "")),
        (reply("404 Not Found", b"secret"), Permanent("404", PRIVATE)),
        (reply("503 Busy", b"secret"), Temporary("503", PRIVATE)),
        (
            reply("302 Found", b"", "location: http://secret/"),
            Permanent("302", f"redirects are not followed; this one points to an address; {PRIVATE}"),
        ),
    ],
)
async def test_nothing_that_an_internal_service_says_is_shown(answer: bytes, wanted: Outcome):
    assert await post_to(answer, is_shown=is_public) == wanted


async def test_an_endless_response_counts_by_its_status_and_is_cut():
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"\x00y" * 50_000)
            await writer.drain()

    outcome = await post_to(endless, timeout_s=3)
    assert isinstance(outcome, Sent)
    assert 1000 < len(outcome.text) <= 2048
    assert "\x00" not in outcome.text


async def test_an_answer_that_trickles_counts_by_its_status():
    async def trickle(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nwait")
        await asyncio.sleep(5)

    outcome = await post_to(trickle, timeout_s=0.6)
    assert outcome == Temporary("503", "wait")


async def test_a_refused_connection_is_temporary():
    async with running(b"") as server:
        port = server.port
    outcome = await post(f"http://127.0.0.1:{port}/")
    assert isinstance(outcome, Temporary)
    assert outcome.code == "connect"


async def test_a_name_that_does_not_resolve_is_temporary():
    outcome = await post("http://no-such-host.invalid/", network=PublicOnly())
    assert isinstance(outcome, Temporary)
    assert outcome.code == "connect"


async def test_a_request_that_was_not_taken_whole_is_temporary():
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)
        writer.transport.abort()

    listener = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    late = await post(url, timeout_s=0.3, body=b"x" * 50_000_000)
    cut = await post(url, timeout_s=5, body=b"x" * 50_000_000)
    listener.close()
    await asyncio.sleep(0.1)
    assert [type(late), late.code] == [Temporary, "timeout"]
    assert [type(cut), cut.code] == [Temporary, "connect"]


async def test_one_connection_serves_many_messages_and_a_closed_one_is_replaced():
    async with running(reply("200 OK")) as server:
        webhook = WebhookTransport(SECRET, 5, network=None)
        parcel = Parcel("msg_1", "rcp_1", f"http://127.0.0.1:{server.port}/", "", BODY)
        outcomes = [await webhook.send(parcel) for _ in range(5)]
        await webhook.close()
    assert outcomes == [Sent("200", "")] * 5
    assert server.connections == 1
    assert b"webhook-id: msg_1\r\n" in server.requests[0]


async def test_many_that_time_out_do_not_stand_in_the_way_of_the_next():
    is_silent = True

    async def moody(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5 * is_silent)
        writer.write(reply("200 OK"))

    async with running(moody) as server:
        webhook = WebhookTransport(SECRET, 0.2, network=None)
        parcel = Parcel("msg_1", "rcp_1", f"http://127.0.0.1:{server.port}/", "", BODY)
        late = await asyncio.gather(*(webhook.send(parcel) for _ in range(250)))
        is_silent = False
        outcomes = [await webhook.send(parcel) for _ in range(5)]
        await webhook.close()
    assert not any(isinstance(outcome, Sent) for outcome in late)
    assert outcomes == [Sent("200", "")] * 5


TOKEN = "T0k3nOfTheHook99"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (reply("404 Not Found", f"Cannot POST /hooks/{TOKEN}/x".encode()), "Cannot POST /hooks/***/x"),
        (reply("400 Bad", b"unknown key sealed-key-1"), "unknown key ***"),
        (reply("404 Not Found", b"x" * 2038 + TOKEN.encode()), "x" * 2038 + "***"),  # cut within the token
        (
            reply("301 Moved", b"", f"location: https://example.org/hooks/{TOKEN}/x"),
            "redirects are not followed; this one points to https://example.org/hooks…",
        ),
        (
            reply("301 Moved", b"", f"location: /hooks/{TOKEN}"),
            "redirects are not followed; this one points to another path of the same host",
        ),
    ],
)
async def test_an_answer_that_repeats_the_secret_of_the_request_is_kept_without_it(answer: bytes, text: str):
    caller = HttpCaller(5.0, network=None, is_shown=lambda _: True)
    async with running(answer) as server:
        url = f"http://127.0.0.1:{server.port}/hooks/{TOKEN}/x"
        outcome = await caller.call(ProgramRequest(url, {"x-api-key": "sealed-key-1"}, b"{}", ("x-api-key",)))
    await caller.close()
    assert isinstance(outcome, Permanent)
    assert outcome.text == text


async def test_an_alertmanager_that_fails_next_to_another_one_is_named_without_the_secret_of_its_url():
    transport = AlertmanagerTransport(HttpCaller(5.0, network=None, is_shown=lambda _: True), lambda _: "")
    async with running(reply("200 OK", b"")) as well, running(reply("500 No", b"")) as bad:
        address = f"http://127.0.0.1:{well.port} http://127.0.0.1:{bad.port}/{TOKEN}"
        body = example_alerts(NOW, "https://tocsin.example.org", "opened")
        outcome = await transport.send(Parcel("msg_1", "rcp_1", address, "msg_first", body))
    await transport.close()
    assert isinstance(outcome, Sent)
    assert outcome.text.startswith(f"accepted by 1 of 2; not by http://127.0.0.1:{bad.port}/T0k3…: 500")
