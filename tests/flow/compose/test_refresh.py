"""Open alerts are sent again to each program that ends what it does not hear of again, whatever is wrong with one alert."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import update

from app.compose import refresh
from app.compose import tick as compose
from app.deliver.lease import lease_and_begin
from app.deliver.settle import settle
from app.deliver.transports.icinga2 import Icinga2Transport
from app.deliver.transports.public_only import PublicOnly
from app.store.tables import alerts, messages
from app.store.tables_managed import recipients
from tests.support.context import SystemUnderTest, open_system
from tests.support.webhook_server import reply, running


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path, log_level="error") as system:
        yield system


async def test_an_alert_that_cannot_be_read_keeps_no_other_from_being_refreshed(system: SystemUnderTest):
    to = {"transport": "alertmanager", "address": "http://am.example.org:9093"}
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(recipients).values(transports=[to]))
    for job in "abc":
        await system.receive(job=job, outcome="failure")
    await system.decide()
    system.pass_time(minutes=2)
    await compose.tick(system.context)
    broken = (await system.rows(alerts))[1].id
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(alerts).where(alerts.c.id == broken).values(severity="dire"))
    await refresh.tick(system.context)
    [row] = await system.mails(~messages.c.is_alert)
    sent = {one["id"] for one in json.loads(row.webhook)["data"]["alerts"]}
    assert sent == {one.id for one in await system.rows(alerts)} - {broken}


TTL_S = 60
TOOK = reply("200 OK", b'{"results":[{"code":200.0,"status":"Successfully processed check result."}]}')


async def test_a_service_that_icinga_lacks_ends_no_result_of_another_and_is_one_trouble(system: SystemUnderTest):
    lacking = [b'"gone failed"']

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        is_lacking = any(name in request for name in lacking)
        writer.write(reply("404 Not Found", b'{"error":404.0,"status":"No objects found."}') if is_lacking else TOOK)

    async with running(answer) as server:
        await open_alerts_at(system, f"http://127.0.0.1:{server.port}", "gone", "there")
        icinga = Icinga2Transport(PublicOnly(is_allowed=lambda _: True), 5, lambda sealed: sealed.ciphertext)
        heard, deads = [system.time[0]], []
        for _ in range(120):
            server.requests.clear()
            await refresh.tick(system.context)
            await send_due(system, icinga)
            heard += [system.time[0] for request in server.requests if b'"there failed"' in request]
            deads.append(len(await system.rows(messages, messages.c.state == "dead")))
            system.pass_time(seconds=5)
        gaps = [after - before for before, after in pairwise(heard)]
        assert max(gaps) < timedelta(seconds=TTL_S), "a longer gap ends the result of the service that is there"
        assert set(deads[deads.index(1) :]) <= {1, 2}, (
            "whoever watches the number hears of it once, and not with each refresh"
        )

        lacking.clear()
        for _ in range(12):
            await refresh.tick(system.context)
            await send_due(system, icinga)
            system.pass_time(seconds=5)
        assert not await system.rows(messages, messages.c.state == "dead"), "the service was defined"
        await icinga.close()


async def open_alerts_at(system: SystemUnderTest, url: str, *jobs: str) -> None:
    """Open an alert for each job, of which an Icinga has been notified."""
    options = {"ttl_s": TTL_S, "user": "u"}
    async with system.context.database.write() as tx:
        to = {"transport": "icinga2", "address": url, "options": options}
        await tx.connection.execute(update(recipients).values(transports=[to]))
    for job in jobs:
        await system.receive(job=job, outcome="failure")
    await system.decide()
    now = system.pass_time(minutes=2)
    await compose.tick(system.context)
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(messages).values(state="sent", settled_at=now))


async def send_due(system: SystemUnderTest, icinga: Icinga2Transport) -> None:
    """Send what is due now, as the worker does."""
    now = system.context.clock()
    async with system.context.database.write() as tx:
        leased = await lease_and_begin(tx, "icinga2", 10, now, "worker:a", now + timedelta(seconds=30))
    for one in leased:
        outcome = await icinga.send(one.parcel)
        async with system.context.database.write() as tx:
            await settle(tx, one.claim.message_id, one.claim.token, outcome, now)
