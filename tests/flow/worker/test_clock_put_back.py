"""The clock of the host is put back by an hour: an alert that was due is composed and sent all the same, and nothing is tried more often."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.admin import clock_steps
from app.compose import tick as compose
from app.domain.notice import NoticeState
from app.store.heartbeats import note_listening
from app.store.tables import alerts, messages, notices
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


class Host:
    """A host whose clock can be put back while its time passes."""

    def __init__(self, system: SystemUnderTest) -> None:
        self.system, self.moment = system, 1000.0
        self.tick = clock_steps.make_tick(lambda: self.moment)

    async def live_on(self, seconds: float) -> None:
        self.system.pass_time(seconds=seconds)
        self.moment += seconds
        await self.tick(self.system.context)

    def put_clock(self, **by: float) -> None:
        self.system.pass_time(**by)


async def waiting_alert(system: SystemUnderTest) -> Any:
    await system.receive(job="a", outcome="failure")
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.closed_at is None
    [notice] = await system.rows(notices)
    assert notice.state == NoticeState.WAITING
    return notice


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_alert_that_was_due_is_composed_although_the_clock_was_put_back(system: SystemUnderTest) -> None:
    host = Host(system)
    await host.live_on(0)
    notice = await waiting_alert(system)
    await host.live_on((notice.due_at - system.time[0]).total_seconds() + 1)
    host.put_clock(hours=-1)
    await compose.tick(system.context)
    assert await system.rows(messages) == [], "the clock says that it is not due"
    await host.live_on(5)
    await compose.tick(system.context)
    [message] = await system.rows(messages)
    assert message.due_at <= system.time[0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_message_that_waits_for_its_next_attempt_waits_as_long_as_before(system: SystemUnderTest) -> None:
    host = Host(system)
    await host.live_on(0)
    notice = await waiting_alert(system)
    await host.live_on((notice.due_at - system.time[0]).total_seconds() + 1)
    await compose.tick(system.context)
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(messages).values(due_at=system.time[0] + timedelta(minutes=10)))
    await host.live_on(60)
    host.put_clock(hours=-1)
    await host.live_on(5)
    [message] = await system.rows(messages)
    left = message.due_at - system.time[0]
    assert timedelta(minutes=8) < left < timedelta(minutes=10)
    for _ in range(3):
        await host.live_on(5)
    [again] = await system.rows(messages)
    assert again.due_at == message.due_at, "one step is handled once"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_alert_that_was_due_is_composed_after_a_start_with_a_clock_that_is_behind(
    system: SystemUnderTest,
) -> None:
    notice = await waiting_alert(system)
    system.time[0] = notice.due_at + timedelta(seconds=1)
    async with system.context.database.write() as tx:
        await note_listening(tx, system.time[0])
    system.pass_time(days=-3)
    await Host(system).live_on(1)
    await compose.tick(system.context)
    assert len(await system.rows(messages)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_clock_that_is_put_forward_or_corrected_by_seconds_changes_nothing(system: SystemUnderTest) -> None:
    host = Host(system)
    await host.live_on(0)
    notice = await waiting_alert(system)
    for step in (-9, 7200, 0.5):
        host.put_clock(seconds=step)
        await host.live_on(5)
    [after] = await system.rows(notices)
    assert after.due_at == notice.due_at


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_host_whose_clock_differs_from_the_databases_changes_nothing_of_others(
    system: SystemUnderTest,
) -> None:
    host = Host(system)
    await host.live_on(0)
    notice = await waiting_alert(system)
    host.put_clock(hours=-1)
    await host.live_on(5)
    [after] = await system.rows(notices)
    assert after.due_at == notice.due_at
