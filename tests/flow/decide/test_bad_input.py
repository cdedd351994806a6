"""What must neither stop all others nor lead to a wrong alert: rows that cannot be read, wrong clocks, rules and time zones that change."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from app.compose import tick as compose
from app.store.tables import alerts, customers, events, job_days, jobs, messages, notices
from app.store.tables_managed import recipients, rules, summary_schedules
from tests.support.context import SystemUnderTest, open_system

NIGHTLY = {"cron": "0 2 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 3600, "longest_s": None}


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def change(system: SystemUnderTest, table: Any, *conditions: Any, **values: Any) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(table).where(*conditions).values(**values))


async def expect_nightly(system: SystemUnderTest, *conditions: Any, **more: Any) -> None:
    due = system.time[0].replace(hour=2) + timedelta(days=1)
    await change(
        system, jobs, *conditions, expectation=NIGHTLY | more, next_due_at=due, overdue_at=due + timedelta(hours=1)
    )


async def fail_and_decide(system: SystemUnderTest, **more: Any) -> None:
    await system.receive(job="db", outcome="failure", **more)
    await system.decide()


async def test_a_rule_that_cannot_be_read_does_not_stop_the_others(system: SystemUnderTest) -> None:
    async with system.context.database.write() as tx:
        row = (await tx.connection.execute(select(rules).where(rules.c.kind == "failed"))).mappings().one()
        odd = {
            "id": "rul_odd",
            "name": "odd",
            "position": 0,
            "matchers": [{"field": "job", "test": "regex", "value": "x"}],
        }
        await tx.connection.execute(insert(rules), [{**row, **odd}])
    await fail_and_decide(system)
    assert [alert.kind for alert in await system.rows(alerts)] == ["failed"]


async def test_an_expectation_in_a_time_zone_that_no_longer_exists_does_not_stop_the_other_jobs(
    system: SystemUnderTest,
) -> None:
    for name in ("bad", "good"):
        await system.receive(job=name, outcome="success")
    await system.decide()
    await expect_nightly(system, jobs.c.name == "good")
    await expect_nightly(system, jobs.c.name == "bad", time_zone="Mars/Olympus")
    system.pass_time(hours=16)
    await system.decide()
    assert [event.job for event in await system.rows(events, events.c.kind == "missed")] == ["good"]


async def test_a_message_that_cannot_be_rendered_does_not_stop_the_others(system: SystemUnderTest) -> None:
    await fail_and_decide(system)
    await change(system, notices, recipient_id="rcp_odd")
    async with system.context.database.write() as tx:
        row = (await tx.connection.execute(select(recipients))).mappings().one()
        odd = {"id": "rcp_odd", "name": "odd", "transports": [{"transport": "smtp", "address": "a\r\nb"}]}
        await tx.connection.execute(insert(recipients), [{**row, **odd}])
    system.pass_time(minutes=6)
    await fail_and_decide(system, agent="other")
    await compose.tick(system.context)
    assert [row.recipient_id for row in await system.rows(messages) if row.recipient_id != "rcp_odd"]


async def test_a_success_dated_tomorrow_hides_no_failure(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success", occurred_at=system.time[0] + timedelta(hours=23))
    await system.decide()
    system.pass_time(hours=1)
    await fail_and_decide(system)
    assert [alert.kind for alert in await system.rows(alerts)] == ["failed"]


async def test_a_waiting_notice_whose_alert_becomes_critical_is_sent_at_once(system: SystemUnderTest) -> None:
    await change(system, rules, retry_within_s=1800)
    await fail_and_decide(system)
    system.pass_time(minutes=1)
    await fail_and_decide(system, severity="critical")
    [notice] = await system.rows(notices)
    assert (notice.due_at, notice.urgency) == (system.time[0], 0)


async def test_a_reported_alert_that_becomes_critical_is_reported_again(system: SystemUnderTest) -> None:
    await fail_and_decide(system)
    await change(system, notices, state="worded")
    system.pass_time(minutes=1)
    await fail_and_decide(system, severity="critical")
    first, again = await system.rows(notices)
    assert (first.what, again.what, again.due_at) == ("opened", "repeated", system.time[0])
    assert again.reason.startswith("it became critical")


async def test_raising_the_number_of_a_rule_closes_no_alert_that_still_fails(system: SystemUnderTest) -> None:
    await fail_and_decide(system)
    await change(system, rules, after_in_row=5)
    system.pass_time(hours=1)
    await fail_and_decide(system)
    [alert] = await system.rows(alerts)
    assert (alert.closed_at, alert.repeats) == (None, 1)


async def test_a_customer_whose_time_zone_changes_keeps_correct_sums(system: SystemUnderTest) -> None:
    late = system.time[0].replace(hour=23, minute=30)
    system.pass_time(days=1)
    await system.receive(job="db", run="r", outcome="success", occurred_at=late, metrics={"bytes_stored": 1000})
    await system.decide()
    await change(system, customers, time_zone="Europe/Berlin")
    await system.receive(
        job="db", run="r", outcome="warning", occurred_at=late + timedelta(minutes=1), metrics={"bytes_stored": 10}
    )
    await system.decide()
    async with system.context.database.read() as tx:
        days = [
            row
            for row in await tx.connection.execute(select(job_days))
            if row.successes or row.warnings or row.bytes_stored
        ]
    assert [(row.successes, row.warnings, row.bytes_stored) for row in days] == [(0, 1, 10)]


async def test_a_run_just_before_its_slot_meets_it_though_its_report_is_late(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await expect_nightly(system)
    system.pass_time(hours=16)
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.kind == "missed"
    slot = system.time[0].replace(hour=2, minute=0)
    await system.receive(job="db", outcome="success", occurred_at=slot - timedelta(minutes=2))
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.closed_reason == "it ran"


async def test_a_week_of_outage_of_a_job_of_every_minute_is_one_missed_run(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await expect_nightly(system, cron="* * * * *", grace_s=60)
    system.pass_time(days=7)
    await system.decide()
    [event] = await system.rows(events, events.c.kind == "missed")
    assert system.time[0] - event.occurred_at == timedelta(seconds=60)


async def test_a_success_that_becomes_a_failure_is_not_the_last_success(system: SystemUnderTest) -> None:
    await system.receive(job="db", run="r", outcome="success")
    await system.decide()
    await fail_and_decide(system, run="r", occurred_at=system.pass_time(minutes=1))
    [job] = await system.rows(jobs)
    assert (job.last_success_at, job.failures_in_row) == (None, 1)


async def test_a_message_that_was_given_up_is_in_the_summary_of_that_day(system: SystemUnderTest) -> None:
    await fail_and_decide(system)
    await compose.tick(system.context)
    system.pass_time(hours=73)
    await change(system, messages, state="dead", settled_at=system.time[0])
    await change(system, summary_schedules, next_at=system.time[0] + timedelta(minutes=1))
    system.pass_time(minutes=1)
    await system.decide()
    await compose.tick(system.context)
    subjects = [row.subject for row in await system.rows(messages, messages.c.is_alert.is_(False))]
    assert any(
        "1 message not sent" in subject or "undelivered" in subject or "could not be sent" in subject
        for subject in subjects
    ), subjects
