"""A recipient whose address is changed while messages wait for it: an alert goes where he can be reached now, not three days later."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

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
    told: dict[str, Any] = await api.tell("GET", f"/v1/messages/{message_id}")
    given = [{"transport": one.transport, "address": one.address} for one in transports]
    await api.tell("PATCH", f"/v1/recipients/{told['recipient_id']}", json={"transports": given})


async def test_an_alert_that_waits_goes_where_its_recipient_can_be_reached_now(api: Api) -> None:
    (alert,) = await post(api.context, BY_MAPI)
    await sweep.tick(later(api.context, hours=1))
    assert await state_of(api, alert) is QUEUED, "no relay, and no other way"
    await readdress(api, alert, BY_SMTP)
    await sweep.tick(api.context)
    successor = await successor_of(api, alert)
    assert (successor["transport"], successor["state"]) == ("smtp", "queued")


async def test_an_alert_whose_way_is_still_its_recipients_stays_on_it(api: Api) -> None:
    (alert,) = await post(api.context, BY_SMTP)
    await readdress(api, alert, Address("smtp", "bob@example.org"), BY_SMTP)
    await sweep.tick(api.context)
    assert await state_of(api, alert) is QUEUED


async def test_an_alert_that_had_nowhere_to_go_goes_by_a_way_that_is_added(api: Api) -> None:
    (alert,) = await post(api.context, BY_SMTP)
    await sweep.tick(later(api.context, hours=1))
    await readdress(api, alert, BY_SMTP, Address("webhook", "https://hooks.example.org/a"))
    await sweep.tick(api.context)
    assert (await successor_of(api, alert))["transport"] == "webhook"


async def test_an_alert_that_waits_for_a_mail_server_which_the_settings_gave_up_becomes_a_file(
    sqlite_database_url: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"smtp_url": "smtp://localhost:1?tls=none", "admin_email": "ann@example.org"}
    async with serving(sqlite_database_url, tmp_path, log_level="error", **given) as api:
        await api.report({"agent": "sql01", "job": "nightly", "outcome": "failure"})
        await decide.tick(api.context)
        await compose.tick(api.context)
        [alert] = await api.items("/v1/messages")
    async with serving(sqlite_database_url, tmp_path, log_level="error") as api:
        await sweep.tick(api.context)
        assert (await successor_of(api, alert["id"]))["transport"] == "file"
