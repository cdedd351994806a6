"""A late end must not turn a service green there while a newer alert of the same job and kind is open."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.compose import tick as compose
from app.deliver.lease import lease_and_begin
from app.deliver.settle import AttemptResult, settle_results
from app.deliver.transports.check_state import CRITICAL, OK, check_state, service_alerts
from app.domain.attempt import Sent, Temporary
from app.domain.lease import Leased
from app.domain.transport_options import ServiceNames
from app.store.tables_managed import recipients
from tests.support.context import SystemUnderTest, open_system

ICINGA = {"transport": "icinga2", "address": "https://icinga.example.org:5665"}


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def report(system: SystemUnderTest, outcome: str) -> None:
    await system.receive(job="db", outcome=outcome)
    await system.decide()
    system.pass_time(minutes=12)
    await compose.tick(system.context)


async def take(system: SystemUnderTest) -> list[Leased]:
    now = system.time[0]
    async with system.context.database.write() as tx:
        until = now + timedelta(minutes=2)
        return await lease_and_begin(tx, "icinga2", 10, now, "worker:a", until, per_address=4)


def states(leased: list[Leased]) -> list[int]:
    return [check_state(alert, ServiceNames()).state for one in leased for alert in service_alerts(one.parcel)]


async def send_all(system: SystemUnderTest) -> list[int]:
    """Send all that is due, one after the other, and return the states that were sent."""
    sent: list[int] = []
    while leased := await take(system):
        assert await take(system) == [], "there is one at a time"
        sent += states(leased)
        async with system.context.database.write() as tx:
            await settle_results(tx, [AttemptResult(leased[0].claim, Sent("200", "ok"))], system.time[0])
    return sent


async def report_as(system: SystemUnderTest, activity: str, outcome: str) -> None:
    """Report a run of one of two jobs, which have the same service in Icinga: the default name says nothing of the activity."""
    await system.receive(job="db", activity=activity, outcome=outcome)
    await system.decide()
    system.pass_time(minutes=12)
    await compose.tick(system.context)


async def use_icinga(system: SystemUnderTest, *transports: dict[str, object]) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(recipients).values(transports=list(transports) or [ICINGA]))


async def test_the_success_of_a_job_does_not_hide_the_failure_of_another_one_with_the_same_service(
    system: SystemUnderTest,
) -> None:
    await use_icinga(system)
    for activity in ("backup", "verify"):
        await report_as(system, activity, "failure")
    assert await send_all(system) == [CRITICAL, CRITICAL]
    await report_as(system, "backup", "success")
    [sent] = await take(system)
    [alert] = service_alerts(sent.parcel)
    assert (check_state(alert, ServiceNames()).state, alert.is_over) == (CRITICAL, False)
    assert "another open alert has this service" in check_state(alert, ServiceNames()).output
    async with system.context.database.write() as tx:
        await settle_results(tx, [AttemptResult(sent.claim, Sent("200", "ok"))], system.time[0])
    await report_as(system, "verify", "success")
    assert await send_all(system) == [OK]


async def test_names_with_the_activity_are_of_two_services(system: SystemUnderTest) -> None:
    await use_icinga(system, {**ICINGA, "options": {"service": "{job} {activity} {kind}"}})
    for activity in ("backup", "verify"):
        await report_as(system, activity, "failure")
    assert await send_all(system) == [CRITICAL, CRITICAL]
    await report_as(system, "backup", "success")
    assert await send_all(system) == [OK]


async def test_an_opening_and_an_end_that_were_held_up_do_not_hide_a_newer_failure(system: SystemUnderTest) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(recipients).values(transports=[ICINGA]))
    await report(system, "failure")
    first = await take(system)
    assert states(first) == [CRITICAL]
    async with system.context.database.write() as tx:  # Icinga is away
        await settle_results(tx, [AttemptResult(first[0].claim, Temporary("connect", "refused"))], system.time[0])
    await report(system, "success")
    assert await send_all(system) == [OK, OK]
    await report(system, "failure")
    system.pass_time(minutes=5)
    assert states(await take(system)) == [CRITICAL]


async def test_what_was_held_up_itself_is_sent_as_the_newer_failure(system: SystemUnderTest) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(recipients).values(transports=[ICINGA]))
    for outcome in ("failure", "success", "failure"):
        await report(system, outcome)
    assert await send_all(system) == [CRITICAL, CRITICAL, CRITICAL]
    await report(system, "success")
    assert states(await take(system)) == [OK]
