"""A disk with little room opens one alert, a full one makes it critical, and it closes when there is room again, on both databases."""

from dataclasses import replace
from pathlib import Path

from app.admin.editing import Editor
from app.admin.jobs import delete_job
from app.core.disk import DiskTrouble
from app.decide import disk_space
from app.store.tables import alerts, events, jobs
from tests.support.context import SystemUnderTest, open_system


async def look(system: SystemUnderTest, free: str, times: int = 2) -> None:
    settings = system.context.settings.model_copy(update={"disk_free": free})
    for _ in range(times):
        await disk_space.tick(replace(system.context, settings=settings))
        await system.decide()
        system.pass_time(minutes=1)


async def test_low_full_and_well_again(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path, disk_reserve_mib=0) as system:
        await look(system, "0%")
        assert await system.rows(events) == []
        await look(system, "900000TiB")
        (alert,) = await system.rows(alerts)
        assert (alert.closed_at, alert.severity) == (None, "error")
        assert "less than the limit of" in alert.message
        system.context.database.writing.trouble = DiskTrouble.FULL
        await look(system, "900000TiB")
        (alert,) = await system.rows(alerts)
        assert (alert.closed_at, alert.severity) == (None, "critical")
        system.context.database.writing.trouble = None
        await look(system, "0%")
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is not None
        assert [event.outcome for event in await system.rows(events)] == ["failure", "failure", "success"]
        await look(system, "900000TiB")
        assert len(await system.rows(alerts)) == 2, "the next time is a new alert"


async def test_it_is_reported_again_although_somebody_deleted_its_job(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path, disk_reserve_mib=0) as system:
        await look(system, "900000TiB")
        (job,) = await system.rows(jobs)
        await delete_job(system.context.database, job.id, Editor("ann", system.time[0], system.context.wakeups.wake))
        system.pass_time(hours=1)
        await look(system, "900000TiB")
        assert [alert.job_id == job.id for alert in await system.rows(alerts)] == [True, False]
