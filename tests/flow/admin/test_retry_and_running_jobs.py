"""A dead message is retried at its recipient's present address, and a job's longest duration is changed while it runs."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.decide import missed
from app.decide import tick as decide
from app.domain.message import Bodies, MessageState
from app.domain.recipient import Address
from app.store import outbox
from app.store.tables import runs
from tests.support.api import Api, serving
from tests.support.outbox import MAIL, message_of, post

ANN = Address("smtp", "ann@example.org")


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def dead(api: Api, bodies: Bodies) -> tuple[str, str]:
    """Return the path of a dead message to Ann, and that of its recipient."""
    [message_id] = await post(api.context, ANN, bodies=bodies, is_alert=True)
    async with api.context.database.write() as tx:
        [held] = (await outbox.lock(tx, [message_id])).values()
        await outbox.save(tx, [replace(held.message, state=MessageState.DEAD, why="550 no such user")])
    return f"/v1/messages/{message_id}", f"/v1/recipients/{held.message.recipient_id}"


async def edit(api: Api, recipient: str, *transports: Address) -> None:
    wanted = [{"transport": one.transport, "address": one.address} for one in transports]
    await api.tell("PATCH", recipient, json={"transports": wanted})


async def test_a_message_is_not_retried_for_a_deleted_recipient(api: Api) -> None:
    message, recipient = await dead(api, Bodies(mail=MAIL))
    await api.tell("DELETE", recipient)
    refused = await api.ask("POST", f"{message}:retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "recipient_deleted")
    assert refused.json()["detail"] == "its recipient was deleted: there is nobody to send it to"
    assert (await api.tell("GET", message))["state"] == "dead"


async def test_a_retried_message_goes_to_the_present_address_of_its_recipient(api: Api) -> None:
    message, recipient = await dead(api, Bodies(mail=MAIL))
    await edit(api, recipient, Address("webhook", "https://hooks.example.org/"), Address("smtp", "ann@example.net"))
    retried = await api.tell("POST", f"{message}:retry")
    assert (retried["state"], retried["transport"], retried["address"]) == ("queued", "smtp", "ann@example.net")
    assert retried["why"] == (
        "retried by TOCSIN_ADMIN_KEY, by smtp to ann@example.net: its recipient no longer has smtp ann@example.org"
    )
    kept = await message_of(api.context, retried["id"])
    assert kept.place == 1
    assert kept.move_on_at - kept.due_at == timedelta(minutes=15), "it gets its first try here before it is moved on"


async def test_a_message_that_no_transport_can_carry_stays_dead(api: Api) -> None:
    message, recipient = await dead(api, Bodies(mail=MAIL))
    await edit(api, recipient, Address("webhook", "https://hooks.example.org/"))
    refused = await api.ask("POST", f"{message}:retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "no_transport")
    assert refused.json()["detail"] == "its recipient's transports (webhook) cannot carry it: it was worded for smtp"


async def test_a_retried_message_keeps_a_transport_that_its_recipient_still_has(api: Api) -> None:
    message, recipient = await dead(api, Bodies(mail=MAIL))
    await edit(api, recipient, Address("file", "ann@example.org"), ANN)
    retried = await api.tell("POST", f"{message}:retry")
    assert (retried["transport"], retried["why"]) == ("smtp", "retried by TOCSIN_ADMIN_KEY")


async def test_a_test_for_an_unknown_recipient_is_refused(api: Api) -> None:
    asked = {"address": "https://hooks.example.org/", "recipient_id": f"rcp_{'0' * 28}"}
    refused = await api.ask("POST", "/v1/transports/webhook:test", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert refused.json()["field"] == "recipient_id"


async def too_long_at(api: Api, job_id: str) -> datetime | None:
    """Return when tonight's run exceeds its longest duration."""
    async with api.context.database.read() as tx:
        found = select(runs.c.overrun_at).where(runs.c.job_id == job_id, runs.c.run_key == "run:tonight")
        [overrun_at] = await tx.connection.scalars(found)
    return overrun_at


async def test_a_longest_duration_applies_to_a_running_job(api: Api) -> None:
    began = api.context.clock().replace(microsecond=0) - timedelta(hours=3)
    event = {"agent": "sql01", "job": "nightly", "run": "tonight", "phase": "started"}
    await api.report({**event, "occurred_at": began.isoformat()})
    await decide.tick(api.context)
    [job] = await api.items("/v1/jobs")
    daily = {"cron": "0 2 * * *", "grace_s": 86400}
    await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": {**daily, "longest_s": 86400}})
    assert await too_long_at(api, job["id"]) == began + timedelta(days=1)
    await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": daily})
    assert await too_long_at(api, job["id"]) is None
    await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": {**daily, "longest_s": 3600}})
    await missed.write_due_events(api.context)
    await decide.tick(api.context)
    [alert] = await api.items("/v1/alerts", state="open")
    assert alert["kind"] == "overrun"
    await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": None})
    assert await too_long_at(api, job["id"]) is None


async def test_a_name_loses_marks_that_reverse_the_text_after_it(api: Api) -> None:
    assert (await api.tell("POST", "/v1/customers", json={"name": "\u202eAcme"}))["name"] == "Acme"
    again = await api.ask("POST", "/v1/customers", json={"name": "Acme\u2066"})
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")


async def test_a_cron_expression_has_five_fields(api: Api) -> None:
    await api.report({"agent": "sql01", "job": "nightly", "outcome": "success"})
    await decide.tick(api.context)
    [job] = await api.items("/v1/jobs")
    for cron in ("0 0 2 * * *", "15 12 1 *"):
        refused = await api.ask("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": {"cron": cron}})
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_cron")
        assert "exactly five fields" in refused.json()["detail"]
