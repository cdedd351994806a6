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
from app.store.mail_views import read_summary_view
from app.store.runs import newest_first
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.tables import alerts, jobs, messages, notices
from app.store.tables_managed import summary_schedules
from tests.support.context import Lived, live_in


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path, time_zone="Europe/Berlin") as lived:
        lived.time[0] = datetime(2026, 11, 2, 1, 0, 4, tzinfo=UTC)  # a Monday, 02:00 in Berlin
        yield lived


async def run_daily(lived: Lived, days: int, job: str = "db", **more: Any) -> None:
    """Report a run a day, the first one now; the time is then that of the last one."""
    for day in range(days):
        if day:
            lived.pass_time(days=1)
        await lived.receive(job=job, outcome="success", **more)
        await lived.decide()


async def missed_alerts(lived: Lived) -> list[Any]:
    """Return the alerts of missed runs; the silent agent has an alert of its own."""
    return await lived.rows(alerts, alerts.c.kind == "missed")


async def the_job(lived: Lived) -> Any:
    [job] = await lived.rows(jobs)
    return job


async def test_five_runs_make_a_proposal(lived: Lived) -> None:
    await run_daily(lived, 4)
    assert (await the_job(lived)).proposed_expectation is None
    lived.pass_time(days=1)
    await run_daily(lived, 1)
    job = await the_job(lived)
    assert job.expectation is None
    assert (job.proposed_expectation["cron"], job.proposed_expectation["time_zone"]) == ("0 2 * * *", "Europe/Berlin")
    assert job.next_due_at == datetime(2026, 11, 7, 1, 0, tzinfo=UTC)


async def test_a_job_that_stops_is_reported_though_its_proposal_was_not_confirmed(lived: Lived) -> None:
    await run_daily(lived, 9)
    lived.pass_time(hours=26)
    await lived.decide()
    assert await lived.rows(alerts) == []
    lived.pass_time(hours=2)
    await lived.decide()
    lived.pass_time(minutes=2)
    await lived.decide()
    [alert] = await lived.rows(alerts)
    assert (alert.kind, alert.severity) == ("missed", "warning")
    assert "learned from its runs: daily at 02:00 (Europe/Berlin); not confirmed" in alert.message
    [notice] = await lived.rows(notices)
    assert notice.state == "waiting"


async def test_a_learned_job_that_ended_is_reported_once_and_then_no_longer_expected(lived: Lived) -> None:
    await run_daily(lived, 9)
    for _ in range(4 * 9):
        lived.pass_time(hours=6)
        await lived.decide()
    [alert] = await missed_alerts(lived)
    job = await the_job(lived)
    assert (alert.repeats, job.missed_in_row, job.overdue_at) == (4, 5, None)
    assert [n.what for n in await lived.rows(notices, notices.c.alert_id == alert.id)] == ["opened"]
    await lived.receive(job="db", outcome="success")
    await lived.decide()
    assert (await the_job(lived)).overdue_at is not None, "it is awaited again once it runs"
    [alert] = await missed_alerts(lived)
    assert alert.closed_reason == "it ran"


async def test_a_schedule_that_changed_is_learned_before_anything_is_reported_missed(lived: Lived) -> None:
    await run_daily(lived, 5)
    # From working days to every night: the weekend was never seen, and Monday's run is the sixth.
    lived.pass_time(days=3)
    await run_daily(lived, 5)
    lived.pass_time(days=2, hours=20)
    await lived.decide()
    assert await missed_alerts(lived) == []
    assert (await the_job(lived)).proposed_expectation["cron"] == "0 2 * * 1-5"


async def test_manual_runs_lead_to_no_proposal_and_no_alert(lived: Lived) -> None:
    for hours in (5, 49, 2, 130, 31, 8, 77, 200, 3, 19):
        await lived.receive(job="by hand", outcome="success")
        await lived.decide()
        lived.pass_time(hours=hours)
    for _ in range(8):
        lived.pass_time(days=5)
        await lived.decide()
    assert (await the_job(lived)).proposed_expectation is None
    assert await missed_alerts(lived) == []


async def test_a_history_that_is_sent_at_once_is_learned_from(lived: Lived) -> None:
    now = lived.time[0]
    for day in range(14, 0, -1):
        await lived.receive(job="db", outcome="success", occurred_at=now - timedelta(days=day))
    await lived.decide()
    job = await the_job(lived)
    # Daylight saving changed between them, and the job kept to UTC.
    assert (job.proposed_expectation["cron"], job.proposed_expectation["time_zone"]) == ("0 1 * * *", "UTC")
    assert job.next_due_at > now, "nothing is missed that lies before the proposal"


async def test_a_job_with_an_expectation_is_not_learned(lived: Lived) -> None:
    await run_daily(lived, 1)
    stored = {"cron": "0 2 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 86_400, "longest_s": None}
    async with lived.context.database.write() as tx:
        await tx.connection.execute(update(jobs).values(expectation=stored))
    lived.pass_time(days=1)
    await run_daily(lived, 6)
    job = await the_job(lived)
    assert (job.proposed_expectation, job.learn_at) == (None, None)


async def test_old_jobs_are_learned_less_often(lived: Lived) -> None:
    await run_daily(lived, 40)
    job = await the_job(lived)
    assert job.learn_at is not None
    assert job.learn_at - job.learned_at >= timedelta(days=4)


async def test_the_mail_says_what_the_expectation_was_learned_from_and_a_dismissal_ends_it(lived: Lived) -> None:
    await run_daily(lived, 9)
    for _ in range(2):
        lived.pass_time(hours=15)
        await lived.decide()
    while await compose.tick(lived.context):
        pass
    [message] = await lived.mails(messages.c.is_alert, messages.c.subject.contains("MISSED"))
    mail = message_from_bytes(message.mail, policy=policy.default).get_body(("plain",))
    assert mail is not None
    words = " ".join(mail.get_content().split())
    assert "Learned from its runs, not confirmed: daily at 02:00 (Europe/Berlin)." in words
    job = await the_job(lived)
    assert [section.title for section in (await summary(lived)).sections] == ["missed"]
    async with lived.context.database.write() as tx:
        await dismiss_job_expectation(tx, job.id, Editor("ann", lived.time[0], lived.context.wakeups.wake))
    [alert] = await missed_alerts(lived)
    assert alert.closed_reason == "ann expects nothing of this job"
    assert [section.title for section in (await summary(lived)).sections] == ["ok"]


async def summary(lived: Lived) -> SummaryView:
    """Return the next summary."""
    async with lived.context.database.read() as tx:
        [row] = (await tx.connection.execute(select(summary_schedules.c.id))).all()
        schedule = await SUMMARY_SCHEDULES.get(tx, row.id)
        return await read_summary_view(
            tx, schedule, number=1, start=lived.time[0] - timedelta(days=1), end=lived.time[0]
        )


async def test_the_cost_of_learning_does_not_grow_with_the_history(sqlite_database_url: str, tmp_path: Path) -> None:
    async with live_in(sqlite_database_url, tmp_path) as lived, lived.context.database.read() as tx:
        query = newest_first("job_1", 200).compile(
            tx.connection.engine.sync_engine, compile_kwargs={"literal_binds": True}
        )
        [plan] = (await tx.connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))).all()
    assert plan.detail.startswith("SEARCH runs USING INDEX ix_runs_job_ended (job_id=?"), "no sort, no scan"
