"""Thousands of open or closed alerts at programs that keep their states: neither the event loop nor the writer is held for long by them."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.compose import refresh
from app.compose import tick as compose
from app.compose.transport_test_mail import example_alerts
from app.core.clock import now
from app.core.secret import Secret
from app.core.settings import load_settings
from app.decide import unended
from app.deliver.transports import build_programs
from app.domain.attempt import Sent
from app.domain.message import Parcel
from app.store.tables import alerts, jobs, messages, notices
from app.store.tables_managed import recipients
from tests.support.context import SystemUnderTest, open_system
from tests.support.cpu_noise import CPU_NOISE
from tests.support.fill import analyze, copy_rows, id_prefix
from tests.support.full_database import one, own
from tests.support.loop_hold import measuring
from tests.support.webhook_server import reply, running
from tests.support.write_hold import measured_holds

ALERTS = 10_000
LOOP_MOST_S, WRITER_MOST_S = 0.05 * CPU_NOISE, 0.1 * CPU_NOISE
pytestmark = pytest.mark.slow


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    """A system with thousands of open alerts, each of which an Alertmanager was sent."""
    async with open_system(database_url, tmp_path, log_level="error") as system:
        to = {"transport": "alertmanager", "address": "http://am.example.org:9093"}
        database = system.context.database
        async with database.write() as tx:
            await tx.connection.execute(update(recipients).values(transports=[to]))
        await system.receive(job="one", outcome="failure", message="the disk is full " * 20)
        await system.decide()
        system.pass_time(minutes=2)
        await compose.tick(system.context)
        alert_id, job_id = own(id_prefix("alt")), own(id_prefix("job"))
        await copy_rows(database, jobs, await one(database, jobs), ALERTS, id=job_id, name=own("job "))
        about = {"job_id": job_id, "subject_id": job_id}
        await copy_rows(database, alerts, await one(database, alerts), ALERTS, id=alert_id, **about)
        sent = {**await one(database, notices), "repeat_at": None}
        new = {"id": own(id_prefix("ntc")), "dedupe": own("d"), "alert_id": alert_id}
        await copy_rows(database, notices, sent, ALERTS, **new)
        await analyze(database)
        yield system


async def test_sending_all_open_alerts_again_does_not_hold_the_loop(system: SystemUnderTest):
    with measuring() as loop, measured_holds() as writer:
        await asyncio.create_task(refresh.tick(system.context))
    [row] = await system.mails(~messages.c.is_alert)
    assert len(json.loads(row.webhook)["data"]["alerts"]) == ALERTS + 1
    print(f"loop {loop.longest().seconds * 1000:.0f} ms, writer {writer.longest_s * 1000:.0f} ms")  # noqa: T201  (shown with -s)
    assert loop.longest().seconds < LOOP_MOST_S, loop.longest()
    assert writer.longest_s < WRITER_MOST_S


async def test_the_request_with_all_of_them_does_not_hold_the_loop(tmp_path: Path):
    document = json.loads(example_alerts(now(), "https://tocsin.example.org"))
    [alert] = document["data"]["alerts"]
    document["data"]["alerts"] = [{**alert, "id": f"alt_{number}"} for number in range(ALERTS)]
    program = build_programs(load_settings(var_dir=tmp_path, webhook_allow_private=True), Secret("s" * 32))
    async with running(reply("200 OK")) as server:
        to = Parcel("m", "r", f"http://127.0.0.1:{server.port}", "<m>", json.dumps(document).encode())
        with measuring() as loop:
            assert isinstance(await asyncio.create_task(program["alertmanager"].send(to)), Sent)
        await program["alertmanager"].close()
    # The server of the test runs on the same loop, and reads megabytes.
    longest = max(
        (hold.seconds for hold in loop.kept if "read_alerts" in hold.what or "_alert" in hold.what), default=0
    )
    print(f"loop {longest * 1000:.0f} ms")  # noqa: T201  (shown with -s)
    assert longest < LOOP_MOST_S


async def test_the_ends_of_all_of_them_are_written_in_pieces(system: SystemUnderTest):
    closed = {"closed_at": system.time[0], "closed_reason": "closed by Robin"}
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(alerts).values(**closed))
    system.time[0] += timedelta(minutes=5)
    with measuring() as loop, measured_holds() as writer:
        await asyncio.create_task(unended.make_tick()(system.context))
    ends = await system.rows(notices, notices.c.what == "recovered")
    assert len(ends) == ALERTS + 1
    print(f"loop {loop.longest().seconds * 1000:.0f} ms, writer {writer.longest_s * 1000:.0f} ms")  # noqa: T201  (shown with -s)
    assert loop.longest().seconds < LOOP_MOST_S, loop.longest()
    assert writer.longest_s < WRITER_MOST_S
