"""What an upgrade finds in a database is shown as it would have been if it had come afterwards. On both databases."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from app.store.tables import alerts, jobs, runs
from tests.support.context import open_system
from tests.support.migrated import migrate, migrate_back


async def test_an_open_alert_of_a_run_that_takes_too_long_is_a_state_of_its_job(
    database_url: str, tmp_path: Path
) -> None:
    async with open_system(database_url, tmp_path) as system:
        for name in ("hangs", "well"):
            await system.receive(job=name, phase="started", run="r")
        await system.decide()
        longest = {"cron": None, "period_s": 864_000, "time_zone": "UTC", "grace_s": 3600, "longest_s": 3600}
        async with system.context.database.write() as tx:
            hangs = jobs.c.name == "hangs"
            await tx.connection.execute(update(jobs).where(hangs).values(expectation=longest))
            await tx.connection.execute(
                update(runs)
                .where(runs.c.job_id.in_(jobs.select().with_only_columns(jobs.c.id).where(hangs)))
                .values(overrun_at=system.time[0])
            )
        system.pass_time(hours=2)
        await system.decide()
        [alert] = await system.rows(alerts)
        assert (alert.kind, alert.closed_at) == ("overrun", None)
        async with system.context.database.write() as tx:  # as 0028 left it
            await tx.connection.execute(update(jobs).values(overrun_since=None))
            await tx.connection.execute(update(runs).where(runs.c.outcome == "overrun").values(outcome="superseded"))
    migrate_back(database_url, "0032")
    migrate(database_url)
    async with open_system(database_url, tmp_path) as system:
        found = {job.name: job.overrun_since for job in await system.rows(jobs)}
        assert found == {"hangs": alert.since, "well": None}
        system.pass_time(hours=3)
        system.agent_ids["sql01"] = alert.agent_id
        await system.receive(job="hangs", outcome="success")
        await system.decide()
        assert {job.name: job.overrun_since for job in await system.rows(jobs)} == {"hangs": None, "well": None}
        assert [one.closed_at for one in await system.rows(alerts)] == [system.time[0]]


async def test_an_open_alert_of_a_late_failure_is_a_state_of_its_job(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        now = system.time[0]
        await system.receive(job="hidden", outcome="success", occurred_at=now + timedelta(hours=5))
        await system.receive(job="well", outcome="success")
        await system.decide()
        system.pass_time(hours=1)
        await system.receive(job="hidden", outcome="failure", occurred_at=now)
        await system.receive(job="failed", outcome="failure")
        await system.decide()
        async with system.context.database.write() as tx:  # as 0034 had it: no job had such a state
            await tx.connection.execute(update(jobs).values(late_failure_at=None))
    migrate_back(database_url, "0034")
    migrate(database_url)
    async with open_system(database_url, tmp_path) as system:
        found = {job.name: job.late_failure_at for job in await system.rows(jobs)}
        assert found == {"hidden": now, "well": None, "failed": None}
