"""What a calendar of runs reads: the jobs that are expected to run, and the runs that were missed lately."""

from datetime import datetime

from sqlalchemy import literal_column

from app.core.ids import first_id_at
from app.domain.event import RunOutcome
from app.domain.job import Job
from app.domain.run_calendar import BACK, CalendarEntry
from app.store.job_states import JobChoice, conditions_of
from app.store.jobs import JOBS
from app.store.shown_state import joined_jobs
from app.store.tables import agents, customers, jobs, runs
from app.store.transactions import ReadTx

JOBS_MOST, MISSED_MOST = 500, 500


async def expected_jobs(tx: ReadTx, choice: JobChoice, now: datetime) -> list[Job]:
    """Return the jobs that are expected to run, those that are due first, at most JOBS_MOST."""
    query = joined_jobs(jobs).where(*conditions_of(choice, now), jobs.c.next_due_at.is_not(None))
    rows = await tx.connection.execute(query.order_by(jobs.c.next_due_at, jobs.c.id).limit(JOBS_MOST))
    return [JOBS.mapping.read(row) for row in rows]


async def missed_runs(tx: ReadTx, choice: JobChoice, now: datetime) -> list[CalendarEntry]:
    """Return the newest missed runs of the jobs, at most MISSED_MOST, by the slot at which they were expected."""
    query = (
        joined_jobs(runs.c.job_id, runs.c.started_at)
        .join(runs, runs.c.job_id == jobs.c.id)
        # The first condition selects an index; the id begins with the time of its creation.
        .where(literal_column("runs.outcome <> 'success'"), runs.c.outcome == RunOutcome.MISSED)
        .where(runs.c.id >= first_id_at("run", now - BACK), *conditions_of(choice, now))
        .order_by(runs.c.id.desc())
        .limit(MISSED_MOST)
    )
    return [CalendarEntry(row.job_id, row.started_at, is_missed=True) for row in await tx.connection.execute(query)]


async def names_of_jobs(tx: ReadTx, ids: set[str]) -> dict[str, tuple[str, str, str]]:
    """Return customer, agent and name of jobs by id."""
    found: dict[str, tuple[str, str, str]] = {}
    wanted = sorted(ids)
    for first in range(0, len(wanted), JOBS_MOST):
        query = joined_jobs(jobs.c.id, customers.c.name, agents.c.name, jobs.c.name)
        for job_id, *names in await tx.connection.execute(
            query.where(jobs.c.id.in_(wanted[first : first + JOBS_MOST]))
        ):
            found[job_id] = (names[0], names[1], names[2])
    return found
