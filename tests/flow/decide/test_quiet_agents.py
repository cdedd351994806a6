"""Agents that back up weekly or on working days are not silent while nothing is due. On both databases."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.admin import jobs as admin_jobs
from app.admin.editing import Editor
from app.domain.expectation import Expectation
from app.store.jobs import JobFilters, find_job
from app.store.tables import alerts
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


@pytest.mark.parametrize(
    ("cron", "quiet_days"),
    [
        ("0 12 * * 1", 7),  # the clock of the test begins on a Monday at noon
        ("0 12 * * 1,5", 4),
        ("0 12 * * *", 2),  # the rule's 48 h pass after the run that was due
    ],
)
async def test_an_agent_is_silent_once_a_run_was_due(system: SystemUnderTest, cron: str, quiet_days: int) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    async with system.context.database.write() as tx:
        job = await find_job(tx, JobFilters())
        assert job is not None
        by = Editor("an administrator", system.time[0], system.context.wakeups.wake)
        expected = Expectation(timedelta(hours=1), cron=cron)
        await admin_jobs.update_job(tx, job.id, lambda before: replace(before, expectation=expected), by)
    for _ in range(quiet_days * 4 - 1):
        system.pass_time(hours=6)
        await system.decide()
    assert await system.rows(alerts, alerts.c.kind == "agent_silent") == []
    system.pass_time(hours=8)
    await system.decide()
    assert sorted(alert.kind for alert in await system.rows(alerts)) == ["agent_silent", "missed"]
    await system.receive(job="db", outcome="success")
    await system.decide()
    assert [alert for alert in await system.rows(alerts) if alert.closed_at is None] == []
