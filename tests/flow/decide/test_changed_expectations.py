"""Expectations and limits that administrators change: no edit ends the monitoring of a job, and none leaves an alert that never closes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.admin import agents as managed_agents
from app.admin import alerts as managed_alerts
from app.admin import jobs as managed_jobs
from app.admin.editing import Editor
from app.core.ids import new_id
from app.decide import missed
from app.domain.agent import Agent
from app.store.row_mapping import expectation_of
from app.store.tables import alerts, events, jobs, notices
from tests.support.context import SystemUnderTest, open_system

NIGHTLY = {"cron": "0 3 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 3600, "longest_s": None}


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


def ann(system: SystemUnderTest) -> Editor:
    return Editor("ann", system.time[0], lambda _: None)


async def expect(system: SystemUnderTest, job_id: str, expectation: dict[str, Any] | None) -> None:
    async with system.context.database.write() as tx:
        wanted = expectation_of(expectation)
        await managed_jobs.update_job(tx, job_id, lambda job: replace(job, expectation=wanted), ann(system))


async def limit_silence(system: SystemUnderTest, agent_id: str, silent_after_s: int) -> None:
    async with system.context.database.write() as tx:
        limit = timedelta(seconds=silent_after_s)
        await managed_agents.update_agent(tx, agent_id, lambda agent: replace(agent, silent_after=limit), ann(system))


async def close(system: SystemUnderTest, alert: Any) -> None:
    async with system.context.database.write() as tx:
        await managed_alerts.close_alert(tx, alert.id, "a false alarm", ann(system))


async def open_now(system: SystemUnderTest) -> list[Any]:
    return await system.rows(alerts, alerts.c.closed_at.is_(None))


async def expected(system: SystemUnderTest, **more: Any) -> str:
    """Create a job that is expected each night; return its id."""
    await system.receive(job="db", outcome="success")
    await system.decide()
    [job] = await system.rows(jobs)
    await expect(system, job.id, NIGHTLY | more)
    system.pass_time(minutes=1)
    return str(job.id)


async def test_an_agent_that_was_added_by_hand_and_never_reported_opens_an_alert(system: SystemUnderTest) -> None:
    agent_id = new_id("agt")
    hour = timedelta(hours=1)
    agent = Agent(id=agent_id, customer_id=system.customer_id, name="new", created_at=system.time[0], silent_after=hour)
    async with system.context.database.write() as tx:
        await managed_agents.create_agent(tx, agent, ann(system))
    added_at = system.time[0]
    system.pass_time(hours=2)
    await system.decide()
    [alert] = await system.rows(alerts)
    assert (alert.kind, alert.subject_id, alert.since) == ("agent_silent", agent_id, added_at)
    system.pass_time(days=3)
    await system.decide()
    assert len(await system.rows(alerts)) == 1
    system.agent_ids["new"] = agent_id
    await system.receive("new", activity="heartbeat")
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.closed_reason == "the agent reported again"
    system.pass_time(hours=2)
    await system.decide()
    assert [alert.since for alert in await system.rows(alerts)] == [added_at, system.time[0] - timedelta(hours=2)]


async def test_an_agent_is_reported_silent_again_after_a_longer_limit_that_was_set_after_a_false_alarm(
    system: SystemUnderTest,
) -> None:
    await system.receive("sql01", activity="heartbeat")
    await system.decide()
    agent_id = await system.agent("sql01")
    await limit_silence(system, agent_id, 3600)
    system.pass_time(hours=2)
    await system.decide()
    await close(system, *await system.rows(alerts))
    await limit_silence(system, agent_id, 86_400)
    system.pass_time(hours=21)
    await system.decide()
    assert len(await system.rows(alerts)) == 1
    system.pass_time(hours=1)
    await system.decide()
    assert [alert.kind for alert in await open_now(system)] == ["agent_silent"]


async def test_a_run_is_reported_too_long_again_after_a_longer_limit_that_was_set_after_a_false_alarm(
    system: SystemUnderTest,
) -> None:
    job_id = await expected(system, longest_s=3600)
    await system.receive(job="db", phase="started", run="r")
    await system.decide()
    system.pass_time(hours=2)
    await system.decide()
    await close(system, *await system.rows(alerts))
    await expect(system, job_id, NIGHTLY | {"longest_s": 4 * 3600})
    system.pass_time(hours=1)
    await system.decide()
    assert len(await system.rows(alerts)) == 1
    system.pass_time(hours=1)
    await system.decide()
    assert [alert.kind for alert in await open_now(system)] == ["overrun"]


async def test_a_job_that_is_no_longer_expected_is_no_longer_missed(system: SystemUnderTest) -> None:
    job_id = await expected(system)
    system.pass_time(hours=20)
    await system.decide()
    assert [alert.kind for alert in await open_now(system)] == ["missed"]
    await expect(system, job_id, None)
    [alert] = await system.rows(alerts)
    assert alert.closed_reason == "ann expects nothing of this job"
    made = await system.rows(notices, notices.c.alert_id == alert.id)
    assert [(notice.state, notice.reason) for notice in made] == [("suppressed", alert.closed_reason)]


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_a_missed_event_from_just_before_its_job_was_dismissed_or_deleted_opens_nothing(
    system: SystemUnderTest, *, is_deleted: bool
) -> None:
    job_id = await expected(system)
    system.pass_time(hours=20)
    await missed.write_due_events(system.context)
    if is_deleted:
        await managed_jobs.delete_job(system.context.database, job_id, ann(system))
    else:
        await expect(system, job_id, None)
    await system.decide()
    assert await system.rows(alerts) == []
    assert [job.state for job in await system.rows(jobs)] == ([] if is_deleted else ["ok"])
    assert {event.state for event in await system.rows(events)} == {"folded"}
    await system.receive(job="db", outcome="failure")
    await system.decide()
    assert [alert.kind for alert in await open_now(system)] == ["failed"]
