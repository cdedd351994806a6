"""The end of an alert goes to the addresses that were sent its opening, also after a failover to another transport."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from app.compose import tick as compose
from app.deliver.failover import move_on
from app.domain.message import MessageState
from app.store import outbox
from app.store.tables import messages
from app.store.tables_managed import recipients
from tests.support.context import SystemUnderTest, open_system

DUTY = {"transport": "pagerduty", "address": "https://events.example.org"}
ICINGA = {"transport": "icinga2", "address": "https://icinga.example.org:5665"}
ANN = {"transport": "smtp", "address": "ann@example.org"}
HOOK = {"transport": "webhook", "address": "https://hook.example.org"}


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def send_to(system: SystemUnderTest, *addresses: dict[str, str]) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(recipients).values(transports=list(addresses)))


async def report(system: SystemUnderTest, outcome: str, job: str = "db") -> None:
    await system.receive(job=job, outcome=outcome)
    await system.decide()
    system.pass_time(minutes=12)


async def settle(system: SystemUnderTest, *, fails: str = "", doubtful: bool = False) -> None:
    """Send what waits; messages of the transport that `fails` go by the next one."""
    now = system.time[0]
    async with system.context.database.write() as tx:
        for row in await system.rows(messages, messages.c.state == MessageState.QUEUED):
            message = (await outbox.lock(tx, [row.id]))[row.id].message
            if message.transport == fails:
                after = await move_on(tx, replace(message, maybe_sent=doubtful), now, "it is away")
                assert after is not None
            else:
                after = message.to(MessageState.SENT, now)
            await outbox.save(tx, [after])
    if fails:
        await settle(system)


async def open_and_end(system: SystemUnderTest, *, fails: str = "", doubtful: bool = False) -> list[str]:
    """Report a failure and then a success, and return the transports that the end is sent to."""
    await report(system, "failure")
    await compose.tick(system.context)
    await settle(system, fails=fails, doubtful=doubtful)
    before = {row.id for row in await system.rows(messages)}
    await report(system, "success")
    await compose.tick(system.context)
    return [row.transport for row in await system.mails() if row.id not in before]


async def test_the_end_goes_to_the_program_to_which_the_opening_went(system: SystemUnderTest) -> None:
    await send_to(system, ANN, DUTY)
    assert await open_and_end(system, fails="smtp") == ["pagerduty"]


async def test_who_was_sent_the_opening_by_mail_is_sent_the_end(system: SystemUnderTest) -> None:
    await send_to(system, DUTY, ANN)
    assert await open_and_end(system, fails="pagerduty") == ["smtp"]


async def test_the_end_goes_to_both_where_nobody_knows_which_one_has_the_opening(system: SystemUnderTest) -> None:
    await send_to(system, DUTY, ICINGA)
    assert sorted(await open_and_end(system, fails="pagerduty", doubtful=True)) == ["icinga2", "pagerduty"]


async def test_without_a_failover_the_end_goes_the_way_of_the_opening_and_waits_for_it(system: SystemUnderTest) -> None:
    await send_to(system, DUTY, ANN)
    assert await open_and_end(system) == ["pagerduty"]
    opened, ended = await system.rows(messages, messages.c.is_alert)
    assert opened.move_on_at < opened.give_up_at
    assert ended.move_on_at == ended.give_up_at, "nobody else can end it there"


async def test_people_and_webhooks_get_the_end_as_before(system: SystemUnderTest) -> None:
    await send_to(system, ANN, HOOK)
    assert await open_and_end(system, fails="smtp") == ["smtp"]


async def test_what_is_new_goes_the_first_way_although_an_end_comes_with_it(system: SystemUnderTest) -> None:
    await send_to(system, ANN, DUTY)
    await report(system, "failure")
    await compose.tick(system.context)
    await settle(system, fails="smtp")
    before = {row.id for row in await system.rows(messages)}
    await report(system, "success")
    await report(system, "failure", job="other")
    await compose.tick(system.context)
    made = [row for row in await system.mails() if row.id not in before]
    assert sorted(row.transport for row in made) == ["pagerduty", "smtp"]
    [new] = [row for row in made if row.transport == "smtp"]
    assert b"other" in new.mail
