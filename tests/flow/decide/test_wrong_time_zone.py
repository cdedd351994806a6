"""A job that comes whole hours off each day: the mail about the missed run and the job itself say that its time zone may be wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from app.admin import jobs as admin_jobs
from app.admin.editing import Editor
from app.compose import tick as compose
from app.decide import tick as decide
from app.domain.expectation import Expectation
from app.store.jobs import JobFilters, find_job
from app.store.tables import messages
from tests.support.api import serving
from tests.support.context import open_system

AT_TEN = Expectation(timedelta(hours=1), cron="0 10 * * *")
SENTENCE = "came 2 hours after the expected time. Check the time zone of its expectation (UTC)"


@pytest.mark.slow
async def test_a_mail_about_a_missed_run_says_that_the_time_zone_may_be_wrong(
    database_url: str, tmp_path: Path
) -> None:
    async with open_system(database_url, tmp_path) as system:
        for day in range(4):
            await system.receive(job="db", phase="started")
            await system.receive(job="db", outcome="success")
            await system.decide()
            async with system.context.database.write() as tx:
                job = await find_job(tx, JobFilters())
                assert job is not None
                by = Editor("an administrator", system.time[0], system.context.wakeups.wake)
                if day == 0:
                    await admin_jobs.update_job(tx, job.id, lambda job: replace(job, expectation=AT_TEN), by)
            for _ in range(24):
                system.pass_time(hours=1)
                await system.decide()
        while await compose.tick(system.context):
            pass
        mails = [mail for mail in await system.mails(messages.c.is_alert) if mail.subject.startswith("[MISSED]")]
        texts = []
        for mail in mails:
            part = message_from_bytes(mail.mail, policy=default).get_body(("plain",))
            assert part is not None
            texts.append(" ".join(part.get_content().split()))
    assert SENTENCE in texts[-1]


async def test_a_job_says_that_its_time_zone_may_be_wrong(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as api:
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
        for day in range(3, 0, -1):
            at = (noon - timedelta(days=day)).isoformat()
            await api.report({"agent": "sql01", "job": "db", "outcome": "success", "occurred_at": at})
        await decide.tick(api.context)
        [job] = await api.items("/v1/jobs")
        assert job["hint"] is None
        path = f"/v1/jobs/{job['id']}"
        await api.tell("PATCH", path, json={"expectation": {"cron": "0 10 * * *"}})
        assert SENTENCE in (await api.tell("GET", path))["hint"]
        await api.tell("PATCH", path, json={"expectation": {"cron": "0 12 * * *"}})
        assert (await api.tell("GET", path))["hint"] is None
