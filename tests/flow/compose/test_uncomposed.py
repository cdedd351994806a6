"""Of an alert that another version wrote no message can be composed. The others are mailed, and this one is reported: in the list of notices and by an alert."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.admin.editing import Editor
from app.admin.jobs import delete_job
from app.compose import tick as compose
from app.decide import uncomposed
from app.domain.uncomposed import JOB, MARK
from app.store.tables import alerts, jobs, messages, notices
from tests.support.context import SystemUnderTest, open_system
from tests.support.fill import copy_rows, id_prefix, numbered


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def live_on(system: SystemUnderTest, minutes: float) -> None:
    for _ in range(2):
        await uncomposed.tick(system.context)
        await system.decide()
        await compose.tick(system.context)
    system.pass_time(minutes=minutes)


async def break_severity(system: SystemUnderTest, alert_id: str, severity: str) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(alerts).where(alerts.c.id == alert_id).values(severity=severity))


async def test_an_alert_that_cannot_be_worded_hides_no_other_and_is_reported_after_the_third_try(
    system: SystemUnderTest,
):
    await system.receive(job="a", outcome="failure")
    await system.receive(job="b", outcome="failure")
    await system.decide()
    broken, _ = await system.rows(alerts)
    await break_severity(system, broken.id, "mood")
    await live_on(system, 6)
    [mail] = await system.mails(messages.c.is_alert)
    assert "b on" in mail.subject, "the other alert of the group was mailed"
    [waiting] = await system.rows(notices, notices.c.alert_id == broken.id)
    assert (waiting.state, MARK in waiting.reason, "mood" in waiting.reason) == ("waiting", True, True)
    await live_on(system, 6)
    assert len(await system.mails(messages.c.is_alert)) == 1, "not reported yet: it may be mended by itself"
    await live_on(system, 6)
    ours_mail = (await system.mails(messages.c.is_alert))[-1]
    assert JOB in ours_mail.subject
    assert waiting.id.encode() in ours_mail.mail.replace(b"=\n", b"").replace(b"=\r\n", b"")
    assert (await system.rows(notices, notices.c.alert_id == broken.id))[0].reason.count(MARK) == 1
    await break_severity(system, broken.id, "error")
    await live_on(system, 6)
    await live_on(system, 6)
    await live_on(system, 6)
    late = [one for one in await system.mails(messages.c.is_alert) if "a on" in one.subject]
    assert late, "it is mailed when it can be"
    assert MARK.encode() not in late[0].mail
    [ours] = [
        one for one in await system.rows(alerts) if JOB in (one.message or "") or "notices wait" in (one.message or "")
    ]
    assert ours.closed_at is not None


async def test_a_notice_that_cannot_be_read_is_reported_too(system: SystemUnderTest):
    await system.receive(job="a", outcome="failure")
    await system.decide()
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(notices).values(what="mood", id="ntc_0" + "0" * 27))
    await live_on(system, 1)
    [ours_mail] = await system.mails(messages.c.is_alert)
    assert JOB in ours_mail.subject


async def test_it_is_reported_again_although_somebody_deleted_the_job_under_which_it_was_reported(
    system: SystemUnderTest,
):
    await system.receive(job="a", outcome="failure")
    await system.decide()
    [broken] = await system.rows(alerts)
    await break_severity(system, broken.id, "mood")
    for _ in range(3):
        await live_on(system, 6)
    [job] = await system.rows(jobs, jobs.c.name == JOB)
    await delete_job(system.context.database, job.id, Editor("ann", system.time[0], system.context.wakeups.wake))
    await live_on(system, 60)
    await live_on(system, 1)
    reported = [one.subject for one in await system.mails(messages.c.is_alert)]
    assert len(reported) == 2, reported
    assert all(JOB in subject for subject in reported)


async def test_more_notices_than_a_pass_takes_that_another_version_wrote_hide_no_other(system: SystemUnderTest):
    await system.receive(job="a", outcome="failure")
    await system.decide()
    [row] = await system.rows(notices)
    before = {**row._mapping, "what": "shouted", "due_at": row.due_at - timedelta(days=1)}
    own_id, dedupe = id_prefix("ntc"), id_prefix("ntc")
    await copy_rows(
        system.context.database,
        notices,
        before,
        compose.BATCH + 5,
        id=lambda number: numbered(own_id, number),
        dedupe=lambda number: numbered(dedupe, number),
    )
    await compose.tick(system.context)
    [mail] = await system.mails(messages.c.is_alert)
    assert "a on" in mail.subject
