"""Jobs in the database, as administrators see and edit them."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, select, text

from app.domain.event import Activity
from app.domain.job import Job, JobState
from app.store.repository import Page, Repository, Window, equals
from app.store.tables import job_days, jobs, runs
from app.store.transactions import ReadTx, WriteTx

JOBS = Repository(jobs, Job, noun="job", prefix="job", edited=("agent_id", "name", "activity", "expectation"))

# Without an expectation that was set, announced or learned, and not dismissed either: if it never ran again, nobody would hear of it.
WITHOUT_EXPECTATION = and_(
    *(jobs.c[name].is_(None) for name in ("expectation", "proposed_expectation", "told_expectation", "dismissed_at"))
)


@dataclass(frozen=True, slots=True)
class JobFilters:
    """Which jobs are meant; None: any."""

    customer_id: str | None = None
    agent_id: str | None = None
    name: str | None = None
    activity: Activity | None = None
    state: JobState | None = None
    has_expectation: bool | None = None
    has_proposal: bool | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filters as conditions of a query."""
        same = equals(
            jobs,
            customer_id=self.customer_id,
            agent_id=self.agent_id,
            name=self.name,
            activity=self.activity,
            state=self.state,
        )
        for column, wanted in (
            (jobs.c.expectation, self.has_expectation),
            (jobs.c.proposed_expectation, self.has_proposal),
        ):
            if wanted is not None:
                same.append(column.is_not(None) if wanted else column.is_(None))
        return same


async def page_jobs(tx: ReadTx, filters: JobFilters, window: Window) -> Page[Job]:
    """Return the jobs that are meant, in the order of their ids."""
    return await JOBS.page(tx, filters.conditions(), window)


async def find_job(tx: ReadTx, filters: JobFilters) -> Job | None:
    """Return the oldest job that is meant, or None."""
    return next(iter((await page_jobs(tx, filters, Window(1))).items), None)


async def lock_proposed(tx: WriteTx, filters: JobFilters, limit: int) -> list[str]:
    """Return the ids of jobs whose proposed expectation waits to be confirmed, locked, oldest first."""
    # As text: SQLite uses the partial index only where its condition appears literally in the query.
    waiting = select(jobs.c.id).where(text("proposed_expectation IS NOT NULL"), *filters.conditions())
    return list(await tx.connection.scalars(waiting.order_by(jobs.c.id).limit(limit).with_for_update()))


async def delete_history_of(tx: WriteTx, job_id: str) -> None:
    """Delete the runs and daily sums of a job that is about to be deleted. Its events stay until their retention ends."""
    await tx.connection.execute(delete(runs).where(runs.c.job_id == job_id))
    await tx.connection.execute(delete(job_days).where(job_days.c.job_id == job_id))
