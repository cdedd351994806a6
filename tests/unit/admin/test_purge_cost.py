"""What deleting old rows costs where many old rows are kept: each of them is looked at once, and not again by each batch."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from app.admin import purge
from app.core.ids import first_id_at
from app.store import purge as batches
from app.store.tables import jobs, runs
from tests.support.context import SystemUnderTest, open_system

KEPT, OLD = 1_000, 100  # rows; a batch is 10 of them


async def test_old_runs_that_are_kept_are_looked_at_once_and_not_again_by_each_batch(
    sqlite_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 000 jobs that are no longer used keep their last run for ever. Looked at by each batch, they made each deleted run ten times as costly."""
    monkeypatch.setattr(batches, "BATCH", 10)
    monkeypatch.setattr(purge, "_BATCHES", 2)  # so that several ticks share the work
    monkeypatch.setattr(purge, "_PAUSE_S", 0)
    async with open_system(sqlite_database_url, tmp_path, log_level="error") as system:
        without = await _steps_to_delete(system, kept=0)
        with_kept = await _steps_to_delete(system, kept=KEPT)
    # Two passes look at each kept row, the second of which finds nothing more. A look takes about 10 steps of SQLite's machine.
    assert with_kept - without < 2 * 2 * 10 * KEPT


async def _steps_to_delete(system: SystemUnderTest, *, kept: int) -> int:
    """Store runs that are kept and later ones that are not, delete the latter, and return how much work the database had."""
    await system.receive(job="nightly", outcome="success")
    await system.decide()
    [job] = await system.rows(jobs)
    at = system.time[0] - timedelta(days=500)
    common = {"customer_id": system.customer_id, "job_id": job.id, "severity": "info", "heard_at": at}
    rows: list[dict[str, Any]] = [
        {"id": f"{first_id_at('run', at)}{number:016x}", "run_key": f"{kept}-{number}", **common}
        for number in range(kept + OLD)
    ]
    same = {column.name: getattr(job, column.name) for column in jobs.columns}
    unused = [
        {**same, "id": f"job_unused{number}", "name": f"unused {number}", "last_run_id": rows[number]["id"]}
        for number in range(kept)
    ]
    for run, one in zip(rows, unused, strict=False):
        run["job_id"] = one["id"]
    async with system.context.database.write() as tx:
        if unused:
            await tx.connection.execute(insert(jobs), unused)
        await tx.connection.execute(insert(runs), rows)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 100
        return 0

    async with system.context.database.write() as tx:
        driver: Any = (await tx.connection.get_raw_connection()).driver_connection
        await driver.set_progress_handler(count, 100)
    while await purge.tick(system.context):
        pass
    await driver.set_progress_handler(None, 0)
    left = {row.id for row in await system.rows(runs)}
    assert {row["id"] for row in rows[:kept]} <= left
    assert not {row["id"] for row in rows[kept:]} & left
    return steps
