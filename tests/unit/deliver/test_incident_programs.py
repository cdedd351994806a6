"""PagerDuty and Opsgenie: each request is checked by the published schema, and each answer by what it means for the message."""

import json
import ssl
from dataclasses import replace
from datetime import UTC, datetime

import jsonschema_rs
import pytest

from app.compose.transport_test_mail import EXAMPLE_ALERT, example_alerts
from app.core.secret import Secret
from app.deliver.transport import ProgramTransport
from app.deliver.transports.http_caller import MASK, HttpCaller
from app.deliver.transports.opsgenie import OpsgenieTransport
from app.deliver.transports.pagerduty import PagerdutyTransport
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.message import Parcel
from app.domain.transport_options import OpsgenieOptions, PagerdutyOptions, Sealed
from tests.support.webhook_server import Server, reply, running

KEY = "R0123456789ABCDEFGHIJKLMNOPQRSTU"
SECRET = Secret("s" * 32)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEALED = Sealed(SECRET.seal(KEY))
_TEXT = {"type": "string"}
# https://developer.pagerduty.com/docs/send-alert-event
PAGERDUTY = {
    "type": "object",
    "required": ["routing_key", "event_action", "dedup_key"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "client": _TEXT,
        "client_url": {"type": "string", "format": "uri"},
        "links": {"type": "array", "items": {"type": "object", "required": ["href"]}},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "maxLength": 1024, "minLength": 1},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string", "format": "date-time"},
                "component": _TEXT,
                "group": _TEXT,
                "class": _TEXT,
                "custom_details": {"type": "object"},
            },
            "additionalProperties": False,
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "additionalProperties": False,
}
# https://docs.opsgenie.com/docs/alert-api
OPSGENIE = {
    "type": "object",
    "properties": {
        "message": {"type": "string", "maxLength": 130, "minLength": 1},
        "alias": {"type": "string", "maxLength": 512},
        "description": {"type": "string", "maxLength": 15000},
        "priority": {"enum": ["P1", "P2", "P3", "P4", "P5"]},
        "source": {"type": "string", "maxLength": 100},
        "entity": {"type": "string", "maxLength": 512},
        "details": {"type": "object", "additionalProperties": _TEXT},
    },
    "additionalProperties": False,
}


def caller() -> HttpCaller:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused here; loading the system's authorities takes 50 ms
    return HttpCaller(5, network=None, tls=tls, is_shown=lambda _: True)


def pagerduty() -> PagerdutyTransport:
    return PagerdutyTransport(caller(), lambda sealed: SECRET.unseal(sealed.ciphertext))


def opsgenie() -> OpsgenieTransport:
    return OpsgenieTransport(caller(), lambda sealed: SECRET.unseal(sealed.ciphertext))


def parcel(address: str, what: str = "opened", **changes: object) -> Parcel:
    options = PagerdutyOptions(SEALED) if "/v2/enqueue" in address else OpsgenieOptions(SEALED)
    document = json.loads(example_alerts(NOW, "https://tocsin.example.org", what))
    for name, value in changes.items():
        document["data"]["alerts"][0][name] = value
    return Parcel("msg_1", "rcp_1", address, "<m@t>", json.dumps(document).encode(), options=options)


async def sent_by(transport: ProgramTransport, to: Parcel) -> Outcome:
    try:
        return await transport.send(to)
    finally:
        await transport.close()


def bodies(server: Server) -> list[tuple[str, dict]]:
    """Return the path and the JSON of each request."""
    parts = [one.partition(b"\r\n\r\n") for one in server.requests]
    return [(head.decode().split(" ")[1], json.loads(body)) for head, _, body in parts]


@pytest.mark.parametrize(
    ("what", "action"),
    [("opened", "trigger"), ("repeated", "trigger"), ("acknowledged", "acknowledge"), ("recovered", "resolve")],
)
async def test_each_kind_of_notice_is_an_event_of_pagerduty(what: str, action: str):
    async with running(reply("202 Accepted", b'{"status":"success"}')) as server:
        to = parcel(f"http://127.0.0.1:{server.port}/v2/enqueue", what, message="x" * 3000 + "\ud83d\ude00")
        assert isinstance(await sent_by(pagerduty(), to), Sent)
    [(_, event)] = bodies(server)
    jsonschema_rs.validate(PAGERDUTY, event, validate_formats=True)
    assert (event["event_action"], event["dedup_key"], event["routing_key"]) == (action, EXAMPLE_ALERT, KEY)


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("opened", "/v2/alerts"),
        ("repeated", "/v2/alerts"),
        ("acknowledged", f"/v2/alerts/{EXAMPLE_ALERT}/acknowledge?identifierType=alias"),
        ("recovered", f"/v2/alerts/{EXAMPLE_ALERT}/close?identifierType=alias"),
    ],
)
async def test_each_kind_of_notice_is_a_request_to_opsgenie(what: str, path: str):
    async with running(reply("202 Accepted", b"{}")) as server:
        to = parcel(f"http://127.0.0.1:{server.port}", what, customer="c" * 600, job='j"<b>', severity="critical")
        assert isinstance(await sent_by(opsgenie(), to), Sent)
    [(called, content)] = bodies(server)
    jsonschema_rs.validate(OPSGENIE, content)
    assert called == path
    assert f"authorization: GenieKey {KEY}".encode() in server.requests[0]
    if path == "/v2/alerts":
        assert (content["alias"], content["priority"]) == (EXAMPLE_ALERT, "P1")


async def test_an_alert_that_was_closed_while_its_message_waited_is_resolved():
    async with running(reply("202 Accepted")) as server:
        to = parcel(f"http://127.0.0.1:{server.port}/v2/enqueue")
        assert isinstance(await sent_by(pagerduty(), replace(to, ended={EXAMPLE_ALERT: NOW})), Sent)
    assert bodies(server)[0][1]["event_action"] == "resolve"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", Permanent),
        ("401 Unauthorized", Temporary),
        ("403 Forbidden", Temporary),
        ("429 Too Many Requests", Temporary),
        ("500 Internal Server Error", Temporary),
        ("503 Service Unavailable", Temporary),
    ],
)
async def test_what_an_answer_means(status: str, kind: type[Outcome]):
    async with running(reply(status, b"words of the other side")) as server:
        outcome = await sent_by(pagerduty(), parcel(f"http://127.0.0.1:{server.port}/v2/enqueue"))
    assert isinstance(outcome, kind)
    assert outcome.text == "words of the other side"
    if status.startswith(("401", "403")):
        assert outcome.is_hopeless_here


async def test_one_alert_that_is_refused_does_not_keep_the_others_from_being_sent():
    async def answer(request: bytes, writer) -> None:
        writer.write(reply("400 Bad Request", b"no") if b"alr_bad" in request else reply("202 Accepted", b"yes"))

    async with running(answer) as server:
        to = parcel(f"http://127.0.0.1:{server.port}/v2/enqueue")
        document = json.loads(to.body)
        [alert] = document["data"]["alerts"]
        document["data"]["alerts"] = [{**alert, "id": "alr_bad"}, alert]
        outcome = await sent_by(pagerduty(), replace(to, body=json.dumps(document).encode()))
    assert outcome == Permanent("400", "1 of 2 failed; alr_bad: no")
    assert len(server.requests) == 2


async def test_a_lost_answer_is_unknown():
    async def hang_up(_: bytes, writer) -> None:
        writer.close()

    async with running(hang_up) as server:
        outcome = await sent_by(pagerduty(), parcel(f"http://127.0.0.1:{server.port}/v2/enqueue"))
    assert isinstance(outcome, Unknown)


async def test_a_key_that_another_server_secret_sealed_must_be_entered_again():
    to = replace(parcel("http://127.0.0.1:9/v2/enqueue"), options=PagerdutyOptions(Sealed(Secret("x" * 32).seal(KEY))))
    outcome = await sent_by(pagerduty(), to)
    assert isinstance(outcome, Temporary)
    assert outcome.is_hopeless_here


async def test_a_preview_masks_the_key():
    for transport, address in (
        (PagerdutyTransport(caller(), lambda _: MASK), "https://events.pagerduty.com/v2/enqueue"),
        (OpsgenieTransport(caller(), lambda _: MASK), "https://api.opsgenie.com"),
    ):
        shown = transport.preview(parcel(address))
        assert MASK in shown
        assert KEY not in shown
        await transport.close()
    assert KEY not in repr(parcel("https://api.opsgenie.com"))


async def test_a_summary_is_no_alert():
    to = replace(parcel("http://127.0.0.1:9/v2/enqueue"), body=b'{"type":"summary","data":{}}')
    assert isinstance(await sent_by(pagerduty(), to), Permanent)


async def test_a_token_that_no_header_can_hold_is_never_shown():
    options = OpsgenieOptions(api_key=Sealed(SECRET.seal(f"{KEY} ")))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    caller = HttpCaller(5, network=None, tls=tls, is_shown=lambda _: True)
    transport = OpsgenieTransport(caller, lambda sealed: SECRET.unseal(sealed.ciphertext))
    async with running(reply("202 Accepted")) as server:
        body = example_alerts(NOW, "https://tocsin.example.org", "opened")
        to = Parcel("msg_1", "rcp_1", f"http://127.0.0.1:{server.port}", "<m>", body, options=options)
        outcome = await transport.send(to)
        await transport.close()
    assert isinstance(outcome, Temporary)
    assert KEY not in repr(outcome)
    assert outcome.is_hopeless_here
