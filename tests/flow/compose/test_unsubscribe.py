"""Somebody outside leaves a summary by the link in the mail: with one click, for themselves only, and known to the administrator."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from app.compose import tick as compose
from app.store.messages import bodies_of
from tests.support.api import Api, serving

CLICK = {"List-Unsubscribe": "One-Click"}
CUSTOMER, COLLEAGUE = "ann@customer.example", "bob@example.org"


@asynccontextmanager
async def office(database_url: str, folder: Path, base_url: str = "https://tocsin.example.org") -> AsyncIterator[Api]:
    mail = {"mail_from": "tocsin@example.org", "admin_email": "admin@example.org", "smtp_url": "smtp://127.0.0.1:1"}
    async with serving(database_url, folder, base_url=base_url, **mail) as api:
        yield api


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with office(database_url, tmp_path) as api:
        yield api


async def send_summary(api: Api, *addresses: str) -> tuple[dict[str, Any], dict[str, EmailMessage]]:
    """Return a new schedule to these addresses, and the mails of its first summary by address."""
    ids = []
    for address in addresses:
        body = {"name": address, "transports": [{"transport": "smtp", "address": address}]}
        ids.append((await api.tell("POST", "/v1/recipients", json=body))["id"])
    body = {"name": "Backups of Ann & Co", "every": "week", "recipients": ids}
    schedule = await api.tell("POST", "/v1/summary-schedules", json=body)
    await api.tell("POST", f"/v1/summary-schedules/{schedule['id']}:send-now")
    await compose.tick(api.context)
    return schedule, await mails(api)


async def mails(api: Api) -> dict[str, EmailMessage]:
    found = {}
    for message in await api.items("/v1/messages"):
        async with api.context.database.read() as tx:
            sent = await bodies_of(tx, message["id"])
        assert sent is not None
        found[message["address"]] = message_from_bytes(sent.mail or b"", policy=policy.default)
    return found


def path_of(mail: EmailMessage) -> str:
    found = re.search(r"<https://tocsin\.example\.org(/unsubscribe/[^>]+)>", mail["List-Unsubscribe"])
    assert found is not None
    return found[1]


async def recipients_of(api: Api, schedule: dict[str, Any]) -> list[str]:
    return list((await api.tell("GET", f"/v1/summary-schedules/{schedule['id']}"))["recipients"])


async def test_only_the_mail_to_somebody_outside_has_the_link(api: Api) -> None:
    _, sent = await send_summary(api, CUSTOMER, COLLEAGUE)
    assert sent[CUSTOMER]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "<mailto:admin@example.org?subject=unsubscribe>" in sent[CUSTOMER]["List-Unsubscribe"]
    assert sent[COLLEAGUE]["List-Unsubscribe"] is None
    assert sent[COLLEAGUE]["List-Unsubscribe-Post"] is None


async def test_without_https_only_a_mail_to_the_administrator_is_offered(database_url: str, tmp_path: Path) -> None:
    async with office(database_url, tmp_path, base_url="http://tocsin.example.org") as api:
        _, sent = await send_summary(api, CUSTOMER)
    assert sent[CUSTOMER]["List-Unsubscribe"] == "<mailto:admin@example.org?subject=unsubscribe>"
    assert sent[CUSTOMER]["List-Unsubscribe-Post"] is None


async def test_one_click_ends_it_for_this_recipient_and_the_administrator_hears_of_it(api: Api) -> None:
    schedule, sent = await send_summary(api, CUSTOMER, COLLEAGUE)
    link = path_of(sent[CUSTOMER])
    gone, left = schedule["recipients"]
    page = await api.client.get(link)
    assert page.status_code == 200
    assert "Backups of Ann &amp; Co" in page.text
    assert await recipients_of(api, schedule) == [gone, left], "a scanner that follows the link changes nothing"
    assert (await api.client.post(link)).status_code == 422
    done = await api.client.post(link, data=CLICK)
    assert done.status_code == 200
    assert "You are unsubscribed" in done.text
    assert await recipients_of(api, schedule) == [left]
    entry = (await api.items("/v1/audit", noun="summary schedule"))[0]
    assert entry["who"] == f"recipient {CUSTOMER}, by the link in a mail"
    assert entry["change"]["recipients"] == [[gone, left], [left]]
    notified = (await mails(api))["admin@example.org"]
    assert notified["Subject"] == f"{CUSTOMER} unsubscribed from the summary “Backups of Ann & Co”"
    count = len(await api.items("/v1/messages"))
    again = await api.client.post(link, data=CLICK)
    assert (again.status_code, again.text) == (200, done.text)
    assert len(await api.items("/v1/messages")) == count, "nobody is notified twice"
    assert "You are unsubscribed" in (await api.client.get(link)).text


async def test_a_schedule_is_switched_off_when_its_last_recipient_leaves(api: Api) -> None:
    schedule, sent = await send_summary(api, CUSTOMER)
    assert (await api.client.post(path_of(sent[CUSTOMER]), data=CLICK)).status_code == 200
    after = await api.tell("GET", f"/v1/summary-schedules/{schedule['id']}")
    assert (after["enabled"], after["recipients"]) == (False, schedule["recipients"])


async def test_a_link_that_was_changed_or_whose_address_is_gone_does_nothing(api: Api) -> None:
    schedule, sent = await send_summary(api, CUSTOMER, COLLEAGUE)
    link = path_of(sent[CUSTOMER])
    other = link.replace(schedule["recipients"][0], schedule["recipients"][1])
    for wrong in (other, link[:-1] + ("0" if link[-1] != "0" else "1"), "/unsubscribe/x", "/unsubscribe/" + "x" * 300):
        assert (await api.client.post(wrong, data=CLICK)).status_code in (404, 422), wrong
    moved = {"transports": [{"transport": "smtp", "address": "carl@customer.example"}]}
    await api.tell("PATCH", f"/v1/recipients/{schedule['recipients'][0]}", json=moved)
    assert (await api.client.post(link, data=CLICK)).status_code == 404
    assert await recipients_of(api, schedule) == schedule["recipients"]
