"""What a webhook posts where its owner chose a chat service, CloudEvents or a template; and that no event can inject anything."""

import asyncio
import json
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.compose.transport_test_mail import example_alerts, webhook_body
from app.core.secret import Secret
from app.deliver.transports.body_template import BadTemplate, render_body
from app.deliver.transports.chat_bodies import chat_body
from app.deliver.transports.webhook import WebhookTransport, sign, signing_secret
from app.domain.attempt import Outcome, Sent
from app.domain.message import Parcel
from app.domain.transport_options import Sealed, WebhookOptions
from app.http.api.recipients import AddressIn
from tests.support.webhook_server import NOW, reply, running

SECRET = Secret("s" * 32)
BASE = "https://tocsin.example.org"
SERVICES = ("slack", "teams", "discord", "google_chat")
EVIL = (
    '@everyone <!channel> <@U1> [here](https://evil.example) <https://evil.example|x> **b** "}]} <users/all> {{ 7*7 }}'
)
GOOD = '{"text": {{ data.subject | tojson }}, "jobs": [{% for a in data.alerts %}{{ a.job | tojson }}{% if not loop.last %},{% endif %}{% endfor %}]}'


def document(what: str = "opened", **changes: object) -> dict:
    made = json.loads(example_alerts(datetime(2026, 3, 1, tzinfo=UTC), BASE, what))
    made["data"]["alerts"][0] |= changes
    return made


async def posted(options: WebhookOptions, body: dict | None = None) -> tuple[Outcome, dict[str, str], bytes]:
    """Post a document with options; return the outcome, and the headers and body that came."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused here; loading the system's authorities takes 50 ms
    webhook = WebhookTransport(
        b"s" * 32, 5, network=None, tls=tls, clock=lambda: NOW, unseal=lambda one: SECRET.unseal(one.ciphertext)
    )
    async with running(reply("200 OK")) as server:
        to = Parcel(
            "msg_1", "rcp_1", f"http://127.0.0.1:{server.port}/", "<m>", json.dumps(body or document()).encode()
        )
        outcome = await webhook.send(replace(to, options=options))
        await webhook.close()
    head, _, content = server.requests[0].partition(b"\r\n\r\n")
    return outcome, dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:]), content


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("what", ["opened", "repeated", "acknowledged", "recovered"])
def test_a_chat_service_gets_a_short_text_and_a_link(service: str, what: str):
    body = chat_body(service, document(what))
    assert len(body) < 2000
    assert b"tocsin-test" in body.replace(b"\\", b"")  # Discord's marks are escaped
    assert BASE.encode() in body
    for other in (json.loads(webhook_body(NOW, BASE)), {"type": "summary", "data": {"subject": "All is well"}}):
        assert json.loads(chat_body(service, other))


def test_no_event_mentions_anybody_or_makes_a_link():
    evil = document(message=EVIL, job=EVIL, customer=EVIL)
    slack = json.loads(chat_body("slack", evil))
    assert "<" not in slack["text"]
    assert slack["blocks"][0]["text"]["type"] == "plain_text"
    card = json.loads(chat_body("teams", evil))["attachments"][0]["content"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    discord = json.loads(chat_body("discord", evil))
    assert discord["allowed_mentions"] == {"parse": []}
    assert "@everyone" not in discord["embeds"][0]["description"].replace("\\@", "")
    assert "](http" not in discord["embeds"][0]["description"]
    assert "<users" not in chat_body("google_chat", evil).decode()


async def test_a_cloud_event_is_structured_and_signed_as_it_is_sent():
    outcome, headers, content = await posted(WebhookOptions(format="cloudevents"))
    event = json.loads(content)
    assert isinstance(outcome, Sent)
    assert headers["content-type"] == "application/cloudevents+json"
    assert (event["specversion"], event["id"], event["type"]) == ("1.0", "<m>", "tocsin.alert.opened")
    wanted = sign(signing_secret(b"s" * 32, "rcp_1"), "<m>", int(NOW.timestamp()), content)
    assert headers["webhook-signature"] == wanted


async def test_headers_of_the_owner_are_sent():
    sealed = Sealed(SECRET.seal("Bearer secret"))
    _, headers, _ = await posted(WebhookOptions(headers={"x-team": "backup"}, secret_headers={"authorization": sealed}))
    assert (headers["x-team"], headers["authorization"]) == ("backup", "Bearer secret")


async def test_a_template_makes_the_body_and_one_that_fails_falls_back():
    _, _, content = await posted(WebhookOptions(template=GOOD), document(job=EVIL))
    assert json.loads(content)["jobs"] == [EVIL]
    outcome, _, content = await posted(WebhookOptions(template="{{ data.subject }}"))
    assert json.loads(content) == document()
    assert "the template failed, so the standard document was sent" in outcome.text


async def test_nothing_waits_while_a_template_takes_its_time():
    turns, is_over = 0, asyncio.Event()

    async def count_turns() -> None:
        nonlocal turns
        while not is_over.is_set():
            turns += 1
            await asyncio.sleep(0.01)

    counting = asyncio.create_task(count_turns())
    loops = "{% for a in data.alerts[0].message %}{% for b in data.alerts[0].message %}{% if a == 1 %}{% endif %}{% endfor %}{% endfor %}1"
    outcome, _, content = await posted(WebhookOptions(template=loops), document(message="z" * 4000))
    is_over.set()
    await counting
    assert "takes longer than 0.5 s" in outcome.text
    assert json.loads(content)["data"]
    assert turns >= 10


@given(st.text())
def test_no_text_leaves_its_place_in_a_template(text: str):
    made = json.loads(render_body(GOOD, document(job=text)))
    assert set(made) == {"text", "jobs"}
    assert made["jobs"] == [text.encode("utf-8", "replace").decode()] or made["jobs"] == [text]


@pytest.mark.parametrize(
    "template",
    [
        '{"a": {{ data.subject }}}',
        "{{ ''.__class__.__mro__ | tojson }}{{ data.__init__.__globals__.os | tojson }}x",
        "{{ range(99999999) | tojson }}",
        "{{ (9**9**9) | tojson }}",
        "{{ ('x' * 99999999) | tojson }}",
        "{% for a in data.alerts %}{% for b in data.alerts %}{% for c in data.alerts %}{% endfor %}{% endfor %}{% endfor %}1",
        "{% include '/etc/passwd' %}",
        "{% set x = 1 %}{{ x | tojson }}",
        "{% macro m() %}{% endmacro %}{}",
        "{{ data | pprint | tojson }}",
        "{% for a in data|tojson %}{% for b in data|tojson %}{% if data|tojson == 'x' %}{% endif %}{% endfor %}{% endfor %}1",
        "no JSON",
        "{{",
        "x" * 9000,
    ],
)
def test_a_template_that_could_do_harm_is_refused_at_once(template: str):
    began = time.process_time()
    with pytest.raises(BadTemplate):
        render_body(template, document())
    address = {"transport": "webhook", "address": "https://a.example.org", "options": {"template": template}}
    with pytest.raises(ValueError, match=r"template"):
        AddressIn.model_validate(address)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "headers", [{"Host": "a"}, {"webhook-signature": "a"}, {"a b": "c"}, {"x": "a\r\nb: c"}, {"x:": "y"}, {"x": "é"}]
)
def test_a_header_that_could_do_harm_is_refused(headers: dict[str, str]):
    for name in ("headers", "secret_headers"):
        address = {"transport": "webhook", "address": "https://a.example.org", "options": {name: headers}}
        with pytest.raises(ValueError, match=r"headers"):
            AddressIn.model_validate(address)
