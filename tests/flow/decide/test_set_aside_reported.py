"""A failure that could not be decided on opens no alert of its own: the service reports that like a failed backup."""

from pathlib import Path
from typing import Any

from sqlalchemy import text, update

from app.decide import set_aside
from app.domain.set_aside import JOB
from app.store.tables import alerts, events, jobs
from tests.support.context import SystemUnderTest, open_system


async def alerts_about_reports(system: SystemUnderTest) -> list[Any]:
    await set_aside.tick(system.context)
    await system.decide()
    of_reports = [job.id for job in await system.rows(jobs, jobs.c.name == JOB)]
    return await system.rows(alerts, alerts.c.job_id.in_(of_reports))


async def test_a_failure_of_a_job_whose_row_cannot_be_read_is_reported_until_it_is_processed(
    database_url: str, tmp_path: Path
) -> None:
    async with open_system(database_url, tmp_path) as system:
        await system.receive(job="files", phase="finished", outcome="success")
        await system.decide()
        assert await alerts_about_reports(system) == []
        async with system.context.database.write() as tx:
            await tx.connection.execute(text("UPDATE jobs SET expectation = '{}'"))
        system.pass_time(hours=1)
        event_id = await system.receive(job="files", phase="finished", outcome="failure")
        await system.decide()
        [alert] = await alerts_about_reports(system)
        assert event_id in alert.message
        assert "files on sql01" in alert.message
        assert len(await alerts_about_reports(system)) == 1, "it is reported once"
        async with system.context.database.write() as tx:
            await tx.connection.execute(text("UPDATE jobs SET expectation = NULL"))
            await tx.connection.execute(update(events).where(events.c.state == "set_aside").values(state="new"))
        system.pass_time(minutes=1)
        await system.decide()
        [alert] = await alerts_about_reports(system)
        assert alert.closed_at is not None
        assert await system.rows(alerts, alerts.c.event_id == event_id, alerts.c.closed_at.is_(None))


async def test_a_success_that_is_set_aside_is_not_reported(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        await system.receive(job="files", phase="finished", outcome="success")
        await system.decide()
        async with system.context.database.write() as tx:
            await tx.connection.execute(text("UPDATE jobs SET expectation = '{}'"))
        await system.receive(job="files", phase="finished", outcome="success")
        await system.decide()
        assert await system.rows(events, events.c.state == "set_aside")
        assert await alerts_about_reports(system) == []


async def test_a_failure_of_an_agent_that_was_deleted_meanwhile_is_reported(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        system.agent_ids["ghost"] = "agt_ghost"  # another process knew it for some seconds more
        await system.receive(agent="ghost", job="files", phase="finished", outcome="failure")
        await system.decide()
        [alert] = await alerts_about_reports(system)
        assert "an agent that was deleted" in alert.message
