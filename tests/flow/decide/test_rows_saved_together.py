"""Rows that deciding saves together come back as they were, on both databases: on PostgreSQL they go in one statement, as arrays."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from app.domain.event import RunOutcome, Severity
from app.domain.run import Run
from app.store.batches import find_runs_and_open_alerts
from app.store.runs import save_runs
from app.store.tables import jobs
from tests.support.context import open_system

_AT = datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC)


async def test_runs_saved_together_come_back_as_they_were(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        await system.receive(job="nightly", phase="finished", outcome="success")
        await system.decide()
        [job] = await system.rows(jobs)
        full = Run(
            id="run_full",
            customer_id=job.customer_id,
            job_id=job.id,
            run_key='run:{"a", NULL}',
            heard_at=_AT,
            started_at=_AT - timedelta(hours=2),
            ended_at=_AT,
            outcome=RunOutcome.FAILURE,
            severity=Severity.CRITICAL,
            message='repository "nas\\01" is locked, {é, 漢}\n',
            metrics={"bytes_processed": 2**53, "duration_s": 0.1, "a \"b\", 'c'": -1.5},
            decided_by="key",
            event_id="evt_1",
            overrun_at=_AT + timedelta(days=3),
            day=date(2026, 3, 29),
        )
        empty = Run(id="run_empty", customer_id=job.customer_id, job_id=job.id, run_key="run:NULL", heard_at=_AT)
        keys = {(run.customer_id, run.job_id, run.run_key) for run in (full, empty)}
        async with system.context.database.write() as tx:
            await save_runs(tx, [full, empty])
            stored, _ = await find_runs_and_open_alerts(tx, keys, [])
            assert stored == {(job.id, run.run_key): run for run in (full, empty)}
            await save_runs(tx, [])
            await save_runs(tx, [Run("run_other", *(full.customer_id, full.job_id, full.run_key), heard_at=_AT)])
            again, _ = await find_runs_and_open_alerts(tx, keys, [])
        assert again[job.id, full.run_key] == Run("run_full", full.customer_id, full.job_id, full.run_key, heard_at=_AT)
