"""The next run that a tool announces becomes the expectation of its job: Duplicati's reports contain it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.compose import tick as compose
from app.decide import missed
from app.decide import tick as decide
from app.store.tables import jobs, messages
from tests.support.api import ENROL_KEY, Api, serving
from tests.support.context import SystemUnderTest, open_system

DAY = timedelta(days=1)


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def live_at(api: Api, moment: datetime) -> None:
    """Decide and compose at this time."""
    context = replace(api.context, clock=lambda: moment)
    await missed.write_due_events(context)
    while await decide.tick(context):
        pass
    while await compose.tick(context):
        pass


async def test_a_mail_reports_duplicati_s_next_run_that_did_not_come(api: Api) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    body = {
        "Data": {
            "MainOperation": "Backup",
            "ParsedResult": "Success",
            "EndTime": now.isoformat().replace("+00:00", "Z"),
        },
        "Extra": {
            "machine-id": "0f1e2d3c4b5a",
            "machine-name": "NAS01",
            "backup-id": "DB-1",
            "backup-name": "docs",
            "next-scheduled-run": f"{now + DAY:%Y%m%dT%H%M%SZ}",
        },
        "LogLines": [],
        "Exception": None,
    }
    assert (await api.client.post(f"/in/duplicati/{ENROL_KEY}", json=body)).is_success
    await live_at(api, now)
    [job] = await api.items("/v1/jobs")
    assert job["expectation"] is None
    assert (job["told_expectation"]["period_s"], job["told_expectation"]["grace_s"]) == (86_400, 21_600)
    assert datetime.fromisoformat(job["next_due_at"]) == now + DAY
    await live_at(api, now + DAY + timedelta(hours=5, minutes=59))
    assert await api.items("/v1/alerts", kind="missed") == []
    await live_at(api, now + DAY + timedelta(hours=6, minutes=1))
    [alert] = await api.items("/v1/alerts", kind="missed")
    assert (alert["severity"], alert["job_id"]) == ("error", job["id"])
    assert "as its tool announced, and did not come" in alert["message"]
    async with api.context.database.read() as tx:
        subjects = list(await tx.connection.scalars(select(messages.c.subject)))
    assert any("MISSED" in subject and "docs" in subject for subject in subjects), subjects


async def tell(system: SystemUnderTest, following: datetime | str, **more: Any) -> None:
    """Report a run that announces the next one."""
    following = following if isinstance(following, str) else following.isoformat()
    await system.receive(job="db", outcome="success", extra={"expects": {"next": following, "grace_s": 3600}}, **more)


async def next_due(system: SystemUnderTest) -> datetime | None:
    """Decide, and return the time that is expected next."""
    await system.decide()
    [job] = await system.rows(jobs)
    found: datetime | None = job.next_due_at
    return found


async def test_each_report_moves_the_expected_time_and_a_late_one_does_not_move_it_back(
    system: SystemUnderTest,
) -> None:
    now = system.time[0]
    await tell(system, now + DAY)
    assert await next_due(system) == now + DAY
    system.pass_time(days=1)
    await tell(system, now + 8 * DAY)
    assert await next_due(system) == now + 8 * DAY
    await tell(system, now + 2 * DAY, occurred_at=now + timedelta(hours=1))
    assert await next_due(system) == now + 8 * DAY, "an older report came late"
    system.pass_time(hours=1)
    await tell(system, now + 3 * DAY)
    assert await next_due(system) == now + 3 * DAY, "the schedule was changed to an earlier time"


@pytest.mark.parametrize("following", ["2026-11-24T03:00:00", "2026-11-01T03:00:00Z", "2028-01-01T00:00:00Z", "soon"])
async def test_an_announcement_that_is_not_valid_is_ignored(system: SystemUnderTest, following: str) -> None:
    await tell(system, following)
    assert await next_due(system) is None


async def test_a_run_that_announces_nothing_is_expected_again_after_the_last_announced_time(
    system: SystemUnderTest,
) -> None:
    now = system.time[0]
    await tell(system, now + DAY)
    await system.decide()
    system.pass_time(hours=5)
    await system.receive(job="db", outcome="success")
    assert await next_due(system) == now + DAY, "one by hand in between does not fill the slot"
    system.pass_time(hours=19)
    await system.receive(job="db", outcome="success")
    assert await next_due(system) == now + 2 * DAY


async def test_an_expectation_of_an_administrator_overrides_what_a_tool_announces(system: SystemUnderTest) -> None:
    now = system.time[0]
    await tell(system, now + DAY)
    await system.decide()
    stored = {"cron": None, "period_s": 7200, "time_zone": "UTC", "grace_s": 0, "longest_s": None}
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(jobs).values(expectation=stored, next_due_at=None))
    system.pass_time(hours=1)
    await tell(system, now + 2 * DAY)
    assert await next_due(system) == now + timedelta(hours=3)
