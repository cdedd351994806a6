"""An expectation is learned from a job's runs: proposed, in force before it is confirmed, confirmed by one call, or dismissed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from app.admin.editing import Editor
from app.admin.jobs import dismiss_job_expectation
from app.compose import tick as compose
from app.domain.mail_views import SummaryView
from app.store.runs import newest_first
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.summary_views import read_summary_view
from app.store.tables import alerts, jobs, messages, notices
from app.store.tables_managed import summary_schedules
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path, time_zone="Europe/Berlin") as system:
        system.time[0] = datetime(2026, 11, 2, 1, 0, 4, tzinfo=UTC)  # a Monday, 02:00 in Berlin
        yield system


async def run_daily(system: SystemUnderTest, days: int, job: str = "db", **more: Any) -> None:
    """Report a run a day, the first one now; the time is then that of the last one."""
    for day in range(days):
        if day:
            system.pass_time(days=1)
        await system.receive(job=job, outcome="success", **more)
        await system.decide()


async def missed_alerts(system: SystemUnderTest) -> list[Any]:
    """Return the alerts of missed runs; the silent agent has an alert of its own."""
    return await system.rows(alerts, alerts.c.kind == "missed")


async def the_job(system: SystemUnderTest) -> Any:
    [job] = await system.rows(jobs)
    return job


async def test_five_runs_make_a_proposal(system: SystemUnderTest) -> None:
    await run_daily(system, 4)
    assert (await the_job(system)).proposed_expectation is None
    system.pass_time(days=1)
    await run_daily(system, 1)
    job = await the_job(system)
    assert job.expectation is None
    assert (job.proposed_expectation["cron"], job.proposed_expectation["time_zone"]) == ("0 2 * * *", "Europe/Berlin")
    assert job.next_due_at == datetime(2026, 11, 7, 1, 0, tzinfo=UTC)


async def test_a_job_that_stops_is_reported_though_its_proposal_was_not_confirmed(system: SystemUnderTest) -> None:
    await run_daily(system, 9)
    system.pass_time(hours=26)
    await system.decide()
    assert await system.rows(alerts) == []
    system.pass_time(hours=2)
    await system.decide()
    system.pass_time(minutes=2)
    await system.decide()
    [alert] = await system.rows(alerts)
    assert (alert.kind, alert.severity) == ("missed", "warning")
    assert "learned from its runs: daily at 02:00 (Europe/Berlin); not confirmed" in alert.message
    [notice] = await system.rows(notices)
    assert notice.state == "waiting"


async def test_a_learned_job_that_ended_is_reported_once_and_then_no_longer_expected(system: SystemUnderTest) -> None:
    await run_daily(system, 9)
    for _ in range(4 * 9):
        system.pass_time(hours=6)
        await system.decide()
    [alert] = await missed_alerts(system)
    job = await the_job(system)
    assert (alert.repeats, job.missed_in_row, job.overdue_at) == (4, 5, None)
    assert [n.what for n in await system.rows(notices, notices.c.alert_id == alert.id)] == ["opened"]
    await system.receive(job="db", outcome="success")
    await system.decide()
    assert (await the_job(system)).overdue_at is not None, "it is awaited again once it runs"
    [alert] = await missed_alerts(system)
    assert alert.closed_reason == "it ran"


async def test_a_schedule_that_changed_is_learned_before_anything_is_reported_missed(system: SystemUnderTest) -> None:
    await run_daily(system, 5)
    # From working days to every night: the weekend was never seen, and Monday's run is the sixth.
    system.pass_time(days=3)
    await run_daily(system, 5)
    system.pass_time(days=2, hours=20)
    await system.decide()
    assert await missed_alerts(system) == []
    assert (await the_job(system)).proposed_expectation["cron"] == "0 2 * * 1-5"


async def test_manual_runs_lead_to_no_proposal_and_no_alert(system: SystemUnderTest) -> None:
    for hours in (5, 49, 2, 130, 31, 8, 77, 200, 3, 19):
        await system.receive(job="by hand", outcome="success")
        await system.decide()
        system.pass_time(hours=hours)
    for _ in range(8):
        system.pass_time(days=5)
        await system.decide()
    assert (await the_job(system)).proposed_expectation is None
    assert await missed_alerts(system) == []


async def test_a_history_that_is_sent_at_once_is_learned_from(system: SystemUnderTest) -> None:
    now = system.time[0]
    for day in range(14, 0, -1):
        await system.receive(job="db", outcome="success", occurred_at=now - timedelta(days=day))
    await system.decide()
    job = await the_job(system)
    # Daylight saving changed between them, and the job kept to UTC.
    assert (job.proposed_expectation["cron"], job.proposed_expectation["time_zone"]) == ("0 1 * * *", "UTC")
    assert job.next_due_at > now, "nothing is missed that lies before the proposal"


async def test_a_job_with_an_expectation_is_not_learned(system: SystemUnderTest) -> None:
    await run_daily(system, 1)
    stored = {"cron": "0 2 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 86_400, "longest_s": None}
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(jobs).values(expectation=stored))
    system.pass_time(days=1)
    await run_daily(system, 6)
    job = await the_job(system)
    assert (job.proposed_expectation, job.learn_at) == (None, None)


async def test_old_jobs_are_learned_less_often(system: SystemUnderTest) -> None:
    await run_daily(system, 40)
    job = await the_job(system)
    assert job.learn_at is not None
    assert job.learn_at - job.learned_at >= timedelta(days=4)


async def test_the_mail_says_what_the_expectation_was_learned_from_and_a_dismissal_ends_it(
    system: SystemUnderTest,
) -> None:
    await run_daily(system, 9)
    for _ in range(2):
        system.pass_time(hours=15)
        await system.decide()
    while await compose.tick(system.context):
        pass
    [message] = await system.mails(messages.c.is_alert, messages.c.subject.contains("MISSED"))
    mail = message_from_bytes(message.mail, policy=policy.default).get_body(("plain",))
    assert mail is not None
    words = " ".join(mail.get_content().split())
    assert "This schedule was learned from its runs and is not confirmed: daily at 02:00 (Europe/Berlin)." in words
    job = await the_job(system)
    assert [section.title for section in (await summary(system)).sections] == ["missed"]
    async with system.context.database.write() as tx:
        await dismiss_job_expectation(tx, job.id, Editor("ann", system.time[0], system.context.wakeups.wake))
    [alert] = await missed_alerts(system)
    assert alert.closed_reason == "ann expects nothing of this job"
    assert [section.title for section in (await summary(system)).sections] == ["ok"]


async def summary(system: SystemUnderTest) -> SummaryView:
    """Return the next summary."""
    async with system.context.database.read() as tx:
        [row] = (await tx.connection.execute(select(summary_schedules.c.id))).all()
        schedule = await SUMMARY_SCHEDULES.get(tx, row.id)
        return await read_summary_view(
            tx, schedule, number=1, start=system.time[0] - timedelta(days=1), end=system.time[0]
        )


async def test_the_cost_of_learning_does_not_grow_with_the_history(sqlite_database_url: str, tmp_path: Path) -> None:
    async with open_system(sqlite_database_url, tmp_path) as system, system.context.database.read() as tx:
        query = newest_first("job_1", 200).compile(
            tx.connection.engine.sync_engine, compile_kwargs={"literal_binds": True}
        )
        [plan] = (await tx.connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))).all()
    assert plan.detail.startswith("SEARCH runs USING INDEX ix_runs_job_ended (job_id=?"), "no sort, no scan"
