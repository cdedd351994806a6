"""The address and the headers of a webhook can be secrets: readers see neither, in no list and on no page."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.compose import tick as compose
from app.decide import tick as decide
from app.domain.recipient import shown_address
from app.store.tables_managed import audit, recipients
from tests.support.api import Api, serving

TOKEN = "XXXXXXXXSECRETXXXXXXXX"
URL = f"https://hooks.slack.com/services/T00000000/B00000000/{TOKEN}"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


def webhook(**options: object) -> dict[str, object]:
    return {"name": "chat", "transports": [{"transport": "webhook", "address": URL, "options": options}]}


def webhook_to(url: str) -> dict[str, object]:
    return {"transport": "webhook", "address": url}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (URL, "https://hooks.slack.com/services…"),
        (f"https://discord.com/api/webhooks/123/{TOKEN}", "https://discord.com/api…"),
        (f"https://example.org:8443/{TOKEN}", "https://example.org:8443/XXXX…"),
        (f"https://example.org/?token={TOKEN}", "https://example.org/…"),
        (f"https://example.org?t={TOKEN}", "https://example.org/…"),
        ("https://example.org/hook", "https://example.org/hook"),
        ("https://ntfy.example.org/secrettopic", "https://ntfy.example.org/secr…"),
        ("https://example.org", "https://example.org"),
        (f"1https://example.org/{TOKEN}", "1https://example.org/XXXX…"),
        (f"http://a.example:9093 http://b.example:9093/{TOKEN}", "http://a.example:9093 http://b.example:9093/XXXX…"),
        ("kim@example.org", "kim@example.org"),
        ("zabbix://zabbix.example.org:10051", "zabbix://zabbix.example.org:10051"),
    ],
)
def test_of_a_url_only_the_host_and_the_start_of_its_path_are_shown(address: str, shown: str):
    assert shown_address(address) == shown


async def test_no_reader_sees_the_whole_url_of_a_webhook(api: Api):
    made = await api.tell("POST", "/v1/recipients", json=webhook())
    [route] = await api.items("/v1/routes")
    await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"recipients": [made["id"]]})
    await api.report({"agent": "files01", "job": "shares", "outcome": "failure"})
    for stage in (decide, compose):
        while await stage.tick(api.context):
            pass
    [message] = await api.items("/v1/messages")
    assert message["address"] == "https://hooks.slack.com/services…"
    reader = (await api.tell("POST", "/v1/keys", json={"kind": "viewer", "name": "reader"}))["key"]
    for path in ("messages", f"messages/{message['id']}", "messages?format=csv", "messages?format=ndjson"):
        assert TOKEN not in (await api.ask("GET", f"/v1/{path}")).text, path
    for path in ("recipients", f"recipients/{made['id']}", "recipients?format=csv"):
        assert TOKEN not in (await api.ask("GET", f"/v1/{path}", key=reader)).text, path
        assert TOKEN in (await api.ask("GET", f"/v1/{path}")).text, "an administrator changes it"


@pytest.mark.parametrize(
    "name", ["Authorization", "cookie", "X-Api-Key", "X-Auth-Token", "proxy-authorization", "apikey"]
)
async def test_a_secret_among_the_plain_headers_is_refused_with_the_way_to_send_it(api: Api, name: str):
    answer = await api.ask("POST", "/v1/recipients", json=webhook(headers={name: TOKEN}))
    assert answer.status_code == 422
    assert "secret_headers" in answer.json()["detail"]
    assert TOKEN not in answer.text
    made = await api.tell("POST", "/v1/recipients", json=webhook(headers={"x-team": "a"}, secret_headers={name: TOKEN}))
    assert made["transports"][0]["options"]["secret_headers"] == {name.lower(): "set"}
    assert made["transports"][0]["options"]["headers"] == {"x-team": "a"}


async def test_a_secret_that_was_stored_among_the_plain_headers_is_not_shown_and_is_sealed_at_the_next_change(api: Api):
    made = await api.tell("POST", "/v1/recipients", json=webhook())
    options = {"headers": {"authorization": f"Bearer {TOKEN}", "x-team": "a"}}
    stored = [{"transport": "webhook", "address": URL, "options": options}]
    async with api.context.database.write() as tx:
        await tx.connection.execute(update(recipients).where(recipients.c.id == made["id"]).values(transports=stored))
    shown = await api.tell("GET", f"/v1/recipients/{made['id']}")
    assert shown["transports"][0]["options"]["secret_headers"] == {"authorization": "set"}
    assert f"Bearer {TOKEN}" not in json.dumps(shown)
    await api.tell("PATCH", f"/v1/recipients/{made['id']}", json={"name": "chat 2", "transports": shown["transports"]})
    async with api.context.database.read() as tx:
        row = (await tx.connection.execute(recipients.select().where(recipients.c.id == made["id"]))).one()
    assert row.transports[0]["options"]["headers"] == {"x-team": "a"}
    sealed = row.transports[0]["options"]["secret_headers"]["authorization"]["sealed"]
    assert api.context.secret.unseal(sealed) == f"Bearer {TOKEN}"


async def test_the_audit_log_has_no_secret_of_an_address_also_where_an_older_version_stored_it(api: Api):
    made = await api.tell("POST", "/v1/recipients", json=webhook())
    await api.tell("PATCH", f"/v1/recipients/{made['id']}", json={"transports": [webhook_to(f"{URL}2")]})
    await api.ask("POST", "/v1/transports/webhook:test", json={"address": f"https://127.0.0.1:1/hooks/{TOKEN}"})
    async with api.context.database.read() as tx:
        stored = (await tx.connection.execute(select(audit.c.change))).scalars().all()
    assert TOKEN not in json.dumps(stored)
    old = {"address": URL, "transport": "webhook", "options": {"headers": {"authorization": TOKEN, "x-team": "a"}}}
    async with api.context.database.write() as tx:
        values = {"change": {"transports": [[old], [old]], "name": ["a", "https://example.org/a-long-path"]}}
        await tx.connection.execute(update(audit).where(audit.c.noun == "recipient").values(**values))
    entry = (await api.items("/v1/audit", noun="recipient"))[0]
    assert entry["change"]["transports"][0][0]["address"] == "https://hooks.slack.com/services…"
    assert entry["change"]["transports"][1][0]["options"]["headers"] == {"authorization": "secret", "x-team": "a"}
    assert entry["change"]["name"] == ["a", "https://example.org/a-long-path"]
    for path in ("audit", "audit?format=csv", "audit?format=ndjson"):
        assert TOKEN not in (await api.ask("GET", f"/v1/{path}")).text, path
