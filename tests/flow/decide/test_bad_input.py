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
from tests.support.context import Lived, live_in

NIGHTLY = {"cron": "0 2 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 3600, "longest_s": None}


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path) as lived:
        yield lived


async def change(lived: Lived, table: Any, *conditions: Any, **values: Any) -> None:
    async with lived.context.database.write() as tx:
        await tx.connection.execute(update(table).where(*conditions).values(**values))


async def expect_nightly(lived: Lived, *conditions: Any, **more: Any) -> None:
    due = lived.time[0].replace(hour=2) + timedelta(days=1)
    await change(
        lived, jobs, *conditions, expectation=NIGHTLY | more, next_due_at=due, overdue_at=due + timedelta(hours=1)
    )


async def fail_and_decide(lived: Lived, **more: Any) -> None:
    await lived.receive(job="db", outcome="failure", **more)
    await lived.decide()


async def test_a_rule_that_cannot_be_read_does_not_stop_the_others(lived: Lived) -> None:
    async with lived.context.database.write() as tx:
        row = (await tx.connection.execute(select(rules).where(rules.c.kind == "failed"))).mappings().one()
        odd = {
            "id": "rul_odd",
            "name": "odd",
            "position": 0,
            "matchers": [{"field": "job", "test": "regex", "value": "x"}],
        }
        await tx.connection.execute(insert(rules), [{**row, **odd}])
    await fail_and_decide(lived)
    assert [alert.kind for alert in await lived.rows(alerts)] == ["failed"]


async def test_an_expectation_in_a_time_zone_that_no_longer_exists_does_not_stop_the_other_jobs(lived: Lived) -> None:
    for name in ("bad", "good"):
        await lived.receive(job=name, outcome="success")
    await lived.decide()
    await expect_nightly(lived, jobs.c.name == "good")
    await expect_nightly(lived, jobs.c.name == "bad", time_zone="Mars/Olympus")
    lived.pass_time(hours=16)
    await lived.decide()
    assert [event.job for event in await lived.rows(events, events.c.kind == "missed")] == ["good"]


async def test_a_message_that_cannot_be_rendered_does_not_stop_the_others(lived: Lived) -> None:
    await fail_and_decide(lived)
    await change(lived, notices, recipient_id="rcp_odd")
    async with lived.context.database.write() as tx:
        row = (await tx.connection.execute(select(recipients))).mappings().one()
        odd = {"id": "rcp_odd", "name": "odd", "transports": [{"transport": "smtp", "address": "a\r\nb"}]}
        await tx.connection.execute(insert(recipients), [{**row, **odd}])
    lived.pass_time(minutes=6)
    await fail_and_decide(lived, agent="other")
    await compose.tick(lived.context)
    assert [row.recipient_id for row in await lived.rows(messages) if row.recipient_id != "rcp_odd"]


async def test_a_success_dated_tomorrow_hides_no_failure(lived: Lived) -> None:
    await lived.receive(job="db", outcome="success", occurred_at=lived.time[0] + timedelta(hours=23))
    await lived.decide()
    lived.pass_time(hours=1)
    await fail_and_decide(lived)
    assert [alert.kind for alert in await lived.rows(alerts)] == ["failed"]


async def test_a_waiting_notice_whose_alert_becomes_critical_is_sent_at_once(lived: Lived) -> None:
    await change(lived, rules, retry_within_s=1800)
    await fail_and_decide(lived)
    lived.pass_time(minutes=1)
    await fail_and_decide(lived, severity="critical")
    [notice] = await lived.rows(notices)
    assert (notice.due_at, notice.urgency) == (lived.time[0], 0)


async def test_a_reported_alert_that_becomes_critical_is_reported_again(lived: Lived) -> None:
    await fail_and_decide(lived)
    await change(lived, notices, state="worded")
    lived.pass_time(minutes=1)
    await fail_and_decide(lived, severity="critical")
    first, again = await lived.rows(notices)
    assert (first.what, again.what, again.due_at) == ("opened", "repeated", lived.time[0])
    assert again.reason.startswith("it became critical")


async def test_raising_the_number_of_a_rule_closes_no_alert_that_still_fails(lived: Lived) -> None:
    await fail_and_decide(lived)
    await change(lived, rules, after_in_row=5)
    lived.pass_time(hours=1)
    await fail_and_decide(lived)
    [alert] = await lived.rows(alerts)
    assert (alert.closed_at, alert.repeats) == (None, 1)


async def test_a_customer_whose_time_zone_changes_keeps_correct_sums(lived: Lived) -> None:
    late = lived.time[0].replace(hour=23, minute=30)
    lived.pass_time(days=1)
    await lived.receive(job="db", run="r", outcome="success", occurred_at=late, metrics={"bytes_stored": 1000})
    await lived.decide()
    await change(lived, customers, time_zone="Europe/Berlin")
    await lived.receive(
        job="db", run="r", outcome="warning", occurred_at=late + timedelta(minutes=1), metrics={"bytes_stored": 10}
    )
    await lived.decide()
    async with lived.context.database.read() as tx:
        days = [
            row
            for row in await tx.connection.execute(select(job_days))
            if row.successes or row.warnings or row.bytes_stored
        ]
    assert [(row.successes, row.warnings, row.bytes_stored) for row in days] == [(0, 1, 10)]


async def test_a_run_just_before_its_slot_meets_it_though_its_report_is_late(lived: Lived) -> None:
    await lived.receive(job="db", outcome="success")
    await lived.decide()
    await expect_nightly(lived)
    lived.pass_time(hours=16)
    await lived.decide()
    [alert] = await lived.rows(alerts)
    assert alert.kind == "missed"
    slot = lived.time[0].replace(hour=2, minute=0)
    await lived.receive(job="db", outcome="success", occurred_at=slot - timedelta(minutes=2))
    await lived.decide()
    [alert] = await lived.rows(alerts)
    assert alert.closed_reason == "it ran"


async def test_a_week_of_outage_of_a_job_of_every_minute_is_one_missed_run(lived: Lived) -> None:
    await lived.receive(job="db", outcome="success")
    await lived.decide()
    await expect_nightly(lived, cron="* * * * *", grace_s=60)
    lived.pass_time(days=7)
    await lived.decide()
    [event] = await lived.rows(events, events.c.kind == "missed")
    assert lived.time[0] - event.occurred_at == timedelta(seconds=60)


async def test_a_success_that_becomes_a_failure_is_not_the_last_success(lived: Lived) -> None:
    await lived.receive(job="db", run="r", outcome="success")
    await lived.decide()
    await fail_and_decide(lived, run="r", occurred_at=lived.pass_time(minutes=1))
    [job] = await lived.rows(jobs)
    assert (job.last_success_at, job.failures_in_row) == (None, 1)


async def test_a_message_that_was_given_up_is_in_the_summary_of_that_day(lived: Lived) -> None:
    await fail_and_decide(lived)
    await compose.tick(lived.context)
    lived.pass_time(hours=73)
    await change(lived, messages, state="dead", settled_at=lived.time[0])
    await change(lived, summary_schedules, next_at=lived.time[0] + timedelta(minutes=1))
    lived.pass_time(minutes=1)
    await lived.decide()
    await compose.tick(lived.context)
    subjects = [row.subject for row in await lived.rows(messages, messages.c.is_alert.is_(False))]
    assert any(
        "1 message not sent" in subject or "undelivered" in subject or "could not be sent" in subject
        for subject in subjects
    ), subjects
