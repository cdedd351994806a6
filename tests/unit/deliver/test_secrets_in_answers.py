"""A program that repeats our request in its answer, as many do: the attempt shows none of the secrets that were in it."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.compose.transport_test_mail import example_alerts
from app.core.secret import Secret
from app.deliver.transport import ProgramTransport
from app.deliver.transports.http_caller import MASK, HttpCaller
from app.deliver.transports.nagios import NagiosTransport
from app.deliver.transports.opsgenie import OpsgenieTransport
from app.deliver.transports.pagerduty import PagerdutyTransport
from app.deliver.transports.unsealing import Unseal
from app.domain.attempt import Outcome
from app.domain.message import Parcel
from app.domain.transport_options import NagiosOptions, OpsgenieOptions, PagerdutyOptions, Sealed, TransportOptions
from tests.support.webhook_server import reply, running

KEY = 'R0123+& <MN>"OPQRSTU/é'
SECRET = Secret("s" * 32)
SEALED = Sealed(SECRET.seal(KEY))
PROGRAMS: dict[str, tuple[Callable[[HttpCaller, Unseal], ProgramTransport], TransportOptions]] = {
    "nagios": (NagiosTransport, NagiosOptions(token=SEALED)),
    "pagerduty": (PagerdutyTransport, PagerdutyOptions(SEALED)),
    "opsgenie": (OpsgenieTransport, OpsgenieOptions(Sealed(SECRET.seal("R0123456789")))),
}
FORMS = (
    KEY,
    "R0123%2B%26+%3CMN%3E%22OPQRSTU%2F%C3%A9",
    "R0123+&amp; &lt;MN&gt;&quot;OPQRSTU/é",
    'R0123+& <MN>\\"OPQRSTU/\\u00e9',
)


async def outcome_of(program: str, answer: Callable[[bytes], bytes], path: str = "") -> Outcome:
    """Send an example alert to a server that makes its answer of the request."""

    async def respond(request: bytes, writer) -> None:
        writer.write(reply("200 OK", answer(request)))

    build, options = PROGRAMS[program]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused here; loading the system's authorities takes 50 ms
    transport = build(
        HttpCaller(5, network=None, tls=tls, is_shown=lambda _: True), lambda one: SECRET.unseal(one.ciphertext)
    )
    async with running(respond) as server:
        body = example_alerts(datetime(2026, 3, 1, tzinfo=UTC), "https://tocsin.example.org", "acknowledged")
        to = Parcel("msg_1", "rcp_1", f"http://127.0.0.1:{server.port}/{path}", "<m@t>", body, options=options)
        outcome = await transport.send(to)
        await transport.close()
    return outcome


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_repeated_request_is_shown_without_its_secret(program: str):
    outcome = await outcome_of(program, lambda request: b"<status>-1</status><message>" + request[-100:] + request)
    assert "R0123" not in repr(outcome)
    assert MASK in outcome.text or program == "nagios"


@pytest.mark.parametrize("form", FORMS)
async def test_each_form_of_a_secret_is_masked(form: str):
    outcome = await outcome_of("nagios", lambda _: f"<status>-1</status><message>BAD {form}!</message>".encode())
    assert outcome.text == f"NRDP answered with status -1: BAD {MASK}!"


@pytest.mark.parametrize("kept", range(4, len(KEY.encode())), ids=str)
async def test_the_beginning_of_a_secret_where_the_answer_is_cut_is_masked(kept: int):
    """Also where the cut is within its last letter, which has two bytes."""
    before = "x" * (2047 - kept)
    outcome = await outcome_of("pagerduty", lambda _: f"{before} {KEY} and more".encode())
    assert outcome.text == f"{before} {MASK}"


async def test_a_secret_of_an_address_is_masked_as_the_server_reads_it():
    outcome = await outcome_of("pagerduty", lambda _: b"no hook T0123+abc/def here", path="hooks/T0123%2Babc%2Fdef")
    assert outcome.text == f"no hook {MASK} here"
