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
from tests.support.context import Lived, live_in

NIGHTLY = {"cron": "0 3 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 3600, "longest_s": None}


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path) as lived:
        yield lived


def ann(lived: Lived) -> Editor:
    return Editor("ann", lived.time[0], lambda _: None)


async def expect(lived: Lived, job_id: str, expectation: dict[str, Any] | None) -> None:
    async with lived.context.database.write() as tx:
        wanted = expectation_of(expectation)
        await managed_jobs.update_job(tx, job_id, lambda job: replace(job, expectation=wanted), ann(lived))


async def limit_silence(lived: Lived, agent_id: str, silent_after_s: int) -> None:
    async with lived.context.database.write() as tx:
        limit = timedelta(seconds=silent_after_s)
        await managed_agents.update_agent(tx, agent_id, lambda agent: replace(agent, silent_after=limit), ann(lived))


async def close(lived: Lived, alert: Any) -> None:
    async with lived.context.database.write() as tx:
        await managed_alerts.close_alert(tx, alert.id, "a false alarm", ann(lived))


async def open_now(lived: Lived) -> list[Any]:
    return await lived.rows(alerts, alerts.c.closed_at.is_(None))


async def expected(lived: Lived, **more: Any) -> str:
    """Create a job that is expected each night; return its id."""
    await lived.receive(job="db", outcome="success")
    await lived.decide()
    [job] = await lived.rows(jobs)
    await expect(lived, job.id, NIGHTLY | more)
    lived.pass_time(minutes=1)
    return str(job.id)


async def test_an_agent_that_was_added_by_hand_and_never_reported_opens_an_alert(lived: Lived) -> None:
    agent_id = new_id("agt")
    hour = timedelta(hours=1)
    agent = Agent(id=agent_id, customer_id=lived.customer_id, name="new", created_at=lived.time[0], silent_after=hour)
    async with lived.context.database.write() as tx:
        await managed_agents.create_agent(tx, agent, ann(lived))
    added_at = lived.time[0]
    lived.pass_time(hours=2)
    await lived.decide()
    [alert] = await lived.rows(alerts)
    assert (alert.kind, alert.subject_id, alert.since) == ("agent_silent", agent_id, added_at)
    lived.pass_time(days=3)
    await lived.decide()
    assert len(await lived.rows(alerts)) == 1
    lived.agent_ids["new"] = agent_id
    await lived.receive("new", activity="heartbeat")
    await lived.decide()
    [alert] = await lived.rows(alerts)
    assert alert.closed_reason == "the agent reported again"
    lived.pass_time(hours=2)
    await lived.decide()
    assert [alert.since for alert in await lived.rows(alerts)] == [added_at, lived.time[0] - timedelta(hours=2)]


async def test_an_agent_is_reported_silent_again_after_a_longer_limit_that_was_set_after_a_false_alarm(
    lived: Lived,
) -> None:
    await lived.receive("sql01", activity="heartbeat")
    await lived.decide()
    agent_id = await lived.agent("sql01")
    await limit_silence(lived, agent_id, 3600)
    lived.pass_time(hours=2)
    await lived.decide()
    await close(lived, *await lived.rows(alerts))
    await limit_silence(lived, agent_id, 86_400)
    lived.pass_time(hours=21)
    await lived.decide()
    assert len(await lived.rows(alerts)) == 1
    lived.pass_time(hours=1)
    await lived.decide()
    assert [alert.kind for alert in await open_now(lived)] == ["agent_silent"]


async def test_a_run_is_reported_too_long_again_after_a_longer_limit_that_was_set_after_a_false_alarm(
    lived: Lived,
) -> None:
    job_id = await expected(lived, longest_s=3600)
    await lived.receive(job="db", phase="started", run="r")
    await lived.decide()
    lived.pass_time(hours=2)
    await lived.decide()
    await close(lived, *await lived.rows(alerts))
    await expect(lived, job_id, NIGHTLY | {"longest_s": 4 * 3600})
    lived.pass_time(hours=1)
    await lived.decide()
    assert len(await lived.rows(alerts)) == 1
    lived.pass_time(hours=1)
    await lived.decide()
    assert [alert.kind for alert in await open_now(lived)] == ["overrun"]


async def test_a_job_that_is_no_longer_expected_is_no_longer_missed(lived: Lived) -> None:
    job_id = await expected(lived)
    lived.pass_time(hours=20)
    await lived.decide()
    assert [alert.kind for alert in await open_now(lived)] == ["missed"]
    await expect(lived, job_id, None)
    [alert] = await lived.rows(alerts)
    assert alert.closed_reason == "ann expects nothing of this job"
    made = await lived.rows(notices, notices.c.alert_id == alert.id)
    assert [(notice.state, notice.reason) for notice in made] == [("suppressed", alert.closed_reason)]


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_a_missed_event_from_just_before_its_job_was_dismissed_or_deleted_opens_nothing(
    lived: Lived, *, is_deleted: bool
) -> None:
    job_id = await expected(lived)
    lived.pass_time(hours=20)
    await missed.write_due_events(lived.context)
    if is_deleted:
        async with lived.context.database.write() as tx:
            await managed_jobs.delete_job(tx, job_id, ann(lived))
    else:
        await expect(lived, job_id, None)
    await lived.decide()
    assert await lived.rows(alerts) == []
    assert [job.state for job in await lived.rows(jobs)] == ([] if is_deleted else ["ok"])
    assert {event.state for event in await lived.rows(events)} == {"folded"}
    await lived.receive(job="db", outcome="failure")
    await lived.decide()
    assert [alert.kind for alert in await open_now(lived)] == ["failed"]
