"""From stored events and the clock to alerts and notices, on real databases: what opens, what closes, who is notified, and why not."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from app.core.ids import new_id
from app.decide import missed
from app.store.tables import agents, alerts, events, job_days, jobs, notices
from app.store.tables_managed import routes, rules, silences
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def change(system: SystemUnderTest, table: Any, **values: Any) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(table).values(**values))


async def silence(system: SystemUnderTest, hours: float) -> None:
    now = system.time[0]
    row = {
        "id": new_id("sil"),
        "matchers": [{"field": "job", "test": "like", "value": "DB*"}],
        "starts_at": now,
        "ends_at": now + timedelta(hours=hours),
        "comment": "new disks",
        "created_by": "ann",
        "created_at": now,
    }
    async with system.context.database.write() as tx:
        await tx.connection.execute(insert(silences), [row])


async def expect_daily(system: SystemUnderTest, **more: Any) -> None:
    due = system.time[0] + timedelta(hours=15)
    stored = {"cron": "0 3 * * *", "period_s": None, "time_zone": "UTC", "grace_s": 3600, "longest_s": None} | more
    await change(system, jobs, expectation=stored, next_due_at=due, overdue_at=due + timedelta(hours=1))


async def test_a_failure_opens_one_alert_and_its_recovery_is_reported(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="failure", message="disk full")
    await system.decide()
    [alert] = await system.rows(alerts)
    [notice] = await system.rows(notices)
    assert (alert.kind, alert.message, alert.closed_at) == ("failed", "disk full", None)
    assert notice.state == "waiting"
    assert notice.due_at == system.time[0], "the first failure of a group without recent notices is reported at once"
    assert notice.reason == "a failure; rule 'failed'; route 'everything'; not silenced"
    await change(system, notices, state="worded")
    system.pass_time(hours=1)
    await system.receive(job="db", outcome="failure")
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.repeats == 1
    assert len(await system.rows(notices)) == 1, "a second failure alone is not reported again"
    system.pass_time(hours=1)
    await system.receive(job="db", outcome="success")
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.closed_reason == "ran with outcome success"
    assert [n.what for n in await system.rows(notices)] == ["opened", "recovered"]


async def test_an_alert_that_closes_before_anybody_was_notified_sends_nothing_and_its_notice_says_why(
    system: SystemUnderTest,
) -> None:
    await change(system, rules, retry_within_s=1800)
    await system.receive(job="db", outcome="failure")
    await system.decide()
    [notice] = await system.rows(notices)
    assert notice.due_at == system.time[0] + timedelta(minutes=30)
    system.pass_time(minutes=10)
    await system.receive(job="db", outcome="success")
    await system.decide()
    [notice] = await system.rows(notices)
    assert notice.state == "suppressed"
    assert notice.reason == "closed before anybody was notified: ran with outcome success"


async def test_a_critical_failure_does_not_wait_for_a_retry(system: SystemUnderTest) -> None:
    await change(system, rules, retry_within_s=1800)
    await system.receive(job="db", outcome="failure", severity="critical")
    await system.decide()
    [notice] = await system.rows(notices)
    assert (notice.due_at, notice.urgency) == (system.time[0], 0)


async def test_500_failures_are_two_messages(system: SystemUnderTest) -> None:
    first = system.time[0]
    for number in range(1, 30):
        await system.receive(agent=f"host{number}", job="db", outcome="failure")
    await system.decide()
    system.pass_time(seconds=5)
    for number in range(30, 40):
        await system.receive(agent=f"host{number}", job="db", outcome="failure")
    await system.decide()
    due = sorted({n.due_at for n in await system.rows(notices)})
    assert due == [first, first + timedelta(minutes=5)]
    assert len({n.group_key for n in await system.rows(notices)}) == 1


async def test_warnings_open_after_three_in_a_row(system: SystemUnderTest) -> None:
    for _ in range(2):
        await system.receive(job="db", outcome="warning")
        await system.decide()
        system.pass_time(days=1)
    assert await system.rows(alerts) == []
    await system.receive(job="db", outcome="warning")
    await system.decide()
    [alert] = await system.rows(alerts)
    assert (alert.kind, alert.reason) == ("warning", "3rd run with warnings in a row; rule 'warning'")


async def test_a_run_that_did_not_come_is_missed_and_its_late_report_closes_the_alert(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await expect_daily(system)
    system.pass_time(hours=15, minutes=59)
    await system.decide()
    assert await system.rows(alerts) == [], "within the grace"
    system.pass_time(minutes=1)
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.kind == "missed"
    assert "did not come" in alert.message
    system.pass_time(hours=1)
    await system.receive(job="db", outcome="success", occurred_at=system.time[0] - timedelta(minutes=110))
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.closed_reason == "it ran"
    [job] = await system.rows(jobs)
    assert (job.state, job.missed_in_row) == ("ok", 0)


async def test_nothing_is_reported_missed_while_reports_are_unread(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await expect_daily(system)
    system.pass_time(hours=15)
    await system.receive(job="db", outcome="success")  # received in time, decided on late
    system.pass_time(hours=3)
    await system.decide()
    assert await system.rows(alerts) == []


@pytest.mark.parametrize(("sender", "reported"), [("sql01", 0), ("web01", 1)])
@pytest.mark.parametrize("outcome", ["success", "failure"])
async def test_what_waits_of_one_agent_delays_nothing_that_is_missed_of_another(
    system: SystemUnderTest, sender: str, outcome: str, reported: int
) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await expect_daily(system)
    system.pass_time(hours=15)
    for _ in range(3):
        await system.receive(agent=sender, job="flood", outcome=outcome)
    system.pass_time(hours=3)
    await missed.write_due_events(system.context)
    assert len(await system.rows(events, events.c.kind == "missed")) == reported
    await system.decide()
    assert len(await system.rows(events, events.c.kind == "missed")) == 1


@pytest.mark.parametrize(("sender", "reported"), [("sql01", 0), ("web01", 1)])
async def test_what_waits_of_one_agent_delays_no_overrun_of_another(
    system: SystemUnderTest, sender: str, reported: int
) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await expect_daily(system, longest_s=3600)
    await system.receive(job="db", phase="started", run="r1")
    await system.decide()
    await system.receive(agent=sender, job="flood", outcome="success")
    system.pass_time(hours=1, seconds=1)
    await missed.write_due_events(system.context)
    assert len(await system.rows(events, events.c.kind == "overrun")) == reported


@pytest.mark.parametrize(("sender", "reported"), [("sql01", 0), ("web01", 1)])
async def test_what_waits_of_one_agent_hides_no_silence_of_another(
    system: SystemUnderTest, sender: str, reported: int
) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await change(system, agents, silent_after_s=3600, silent_at=system.time[0] + timedelta(hours=1))
    await system.receive(agent=sender, job="flood", outcome="success")
    system.pass_time(hours=1, seconds=1)
    await missed.write_due_events(system.context)
    assert len(await system.rows(events, events.c.kind == "silent")) == reported


async def test_after_days_of_outage_one_missed_run_is_reported(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await expect_daily(system)
    system.pass_time(days=5)
    await system.decide()
    assert len(await system.rows(events, events.c.kind == "missed")) == 1
    [job] = await system.rows(jobs)
    assert job.next_due_at > system.time[0]


async def test_a_run_that_takes_too_long_opens_an_alert_that_closes_when_it_ends(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    await expect_daily(system, longest_s=3600)
    system.pass_time(minutes=1)
    await system.receive(job="db", phase="started", run="r1")
    await system.decide()
    system.pass_time(hours=1, seconds=1)
    await system.decide()
    [alert] = await system.rows(alerts)
    assert (alert.kind, alert.closed_at) == ("overrun", None)
    await system.receive(job="db", phase="finished", run="r1", outcome="success")
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.closed_reason == "no run takes too long any more"


async def test_a_silent_agent_opens_an_alert_that_closes_when_it_reports(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success")
    await system.decide()
    system.pass_time(hours=48)
    await system.decide()
    [alert] = await system.rows(alerts)
    assert (alert.kind, alert.job_id) == ("agent_silent", None)
    await system.receive(activity="heartbeat")
    await system.decide()
    [alert] = await system.rows(alerts)
    assert alert.closed_reason == "the agent reported again"


async def test_an_alert_that_is_still_open_after_its_silence_is_reported(system: SystemUnderTest) -> None:
    await silence(system, hours=2)
    await system.receive(job="db", outcome="failure")
    await system.decide()
    [notice] = await system.rows(notices)
    assert notice.state == "muted"
    assert "by ann: new disks" in notice.reason
    system.pass_time(hours=2)
    await system.decide()
    muted, reported = await system.rows(notices)
    assert (muted.state, reported.state) == ("suppressed", "waiting")
    assert "its silence has ended" in reported.reason


async def test_an_open_alert_is_repeated_until_acknowledged(system: SystemUnderTest) -> None:
    await change(system, rules, silent_after_s=None)
    await system.receive(job="db", outcome="failure")
    await system.decide()
    for _ in range(2):
        await change(system, notices, state="worded")
        system.pass_time(hours=24)
        await system.decide()
    about_alerts = notices.c.alert_id.is_not(None)
    assert [n.what for n in await system.rows(notices, about_alerts)] == ["opened", "repeated", "repeated"]
    await change(system, notices, state="worded")
    await change(system, alerts, acknowledged_at=system.time[0], acknowledged_by="ann")
    system.pass_time(hours=24)
    await system.decide()
    assert len(await system.rows(notices, about_alerts)) == 3


async def test_without_a_route_a_notice_says_that_nobody_is_notified(system: SystemUnderTest) -> None:
    await change(system, routes, enabled=False)
    await system.receive(job="db", outcome="failure")
    await system.decide()
    [notice] = await system.rows(notices)
    assert (notice.state, notice.reason) == ("suppressed", "a failure; rule 'failed'; no route matches")


async def test_one_bad_event_is_set_aside_and_the_others_are_decided(system: SystemUnderTest) -> None:
    bad = await system.receive(job="db", outcome="failure", metrics={"bytes_processed": {"not": "a number"}})
    await system.receive(job="other", outcome="failure")
    await system.decide()
    [row] = await system.rows(events, events.c.state == "set_aside")
    assert row.id == bad
    assert "TypeError" in row.error
    assert len(await system.rows(alerts)) == 1


async def test_daily_roll_ups_count_each_run_once_however_often_it_changes(system: SystemUnderTest) -> None:
    await system.receive(job="db", run="r1", outcome="failure", metrics={"bytes_processed": 5, "duration_s": 2})
    await system.decide()
    system.pass_time(minutes=1)
    await system.receive(job="db", run="r1", outcome="success", metrics={"bytes_processed": 7, "duration_s": 3})
    await system.decide()
    [day] = await _days(system)
    assert (day.failures, day.successes, day.bytes_processed, day.duration_s) == (0, 1, 7, 3)


async def _days(system: SystemUnderTest) -> list[Any]:
    async with system.context.database.read() as tx:
        return list((await tx.connection.execute(job_days.select())).all())
