"""A recipient's address is changed while messages wait for it: an alert is sent to the new address now, not three days later."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.admin import follow_ups
from app.compose import tick as compose
from app.decide import tick as decide
from app.deliver import sweep
from app.domain.recipient import Address
from tests.support.api import Api, serving
from tests.support.outbox import post
from tests.support.outbox_states import BY_MAPI, BY_SMTP, QUEUED, later, state_of, successor_of


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, log_level="error") as api:
        yield api


async def readdress(api: Api, message_id: str, *transports: Address) -> None:
    message: dict[str, Any] = await api.tell("GET", f"/v1/messages/{message_id}")
    wanted = [{"transport": one.transport, "address": one.address} for one in transports]
    await api.tell("PATCH", f"/v1/recipients/{message['recipient_id']}", json={"transports": wanted})
    await follow_ups.tick(api.context)


async def test_a_waiting_alert_goes_to_the_recipients_new_address(api: Api) -> None:
    (alert,) = await post(api.context, BY_MAPI)
    await sweep.tick(later(api.context, hours=1))
    assert await state_of(api, alert) is QUEUED, "no relay, and no other way"
    await readdress(api, alert, BY_SMTP)
    await sweep.tick(api.context)
    successor = await successor_of(api, alert)
    assert (successor["transport"], successor["state"]) == ("smtp", "queued")


async def test_an_alert_stays_on_an_address_that_the_recipient_still_has(api: Api) -> None:
    (alert,) = await post(api.context, BY_SMTP)
    await readdress(api, alert, Address("smtp", "bob@example.org"), BY_SMTP)
    await sweep.tick(api.context)
    assert await state_of(api, alert) is QUEUED


async def test_an_alert_without_another_transport_uses_one_that_is_added(api: Api) -> None:
    (alert,) = await post(api.context, BY_SMTP)
    await sweep.tick(later(api.context, hours=1))
    await readdress(api, alert, BY_SMTP, Address("webhook", "https://hooks.example.org/a"))
    await sweep.tick(api.context)
    assert (await successor_of(api, alert))["transport"] == "webhook"


async def test_an_alert_for_a_mail_server_that_was_removed_from_the_settings_becomes_a_file(
    sqlite_database_url: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"smtp_url": "smtp://localhost:1?tls=none", "admin_email": "ann@example.org"}
    async with serving(sqlite_database_url, tmp_path, log_level="error", **settings) as api:
        await api.report({"agent": "sql01", "job": "nightly", "outcome": "failure"})
        await decide.tick(api.context)
        await compose.tick(api.context)
        [alert] = await api.items("/v1/messages")
    async with serving(sqlite_database_url, tmp_path, log_level="error") as api:
        await follow_ups.tick(api.context)
        await sweep.tick(api.context)
        assert (await successor_of(api, alert["id"]))["transport"] == "file"
