"""What administrators do to jobs: most are created by the first event that names them; an administrator sets when they should run."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from app.admin import editing, follow_ups
from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import BadInput, Conflict
from app.core.ids import new_id
from app.domain.event import Activity
from app.domain.expectation import Expectation, next_slot, overdue_time
from app.domain.follow_up import FollowUpKind
from app.domain.job import Job
from app.domain.schedule import read_schedule
from app.store import alerts
from app.store.agents import AGENTS
from app.store.customers import customers_by_id
from app.store.jobs import JOBS, JobFilters, delete_history_of, find_job, lock_proposed
from app.store.runs import jobs_with_open_runs, jobs_with_overruns, reopen_given_up, set_longest
from app.store.transactions import Database, ReadTx, WriteTx

AT_ONCE = 200  # jobs whose proposals one call confirms
_TOGETHER = 5  # in one transaction, so that nobody who writes waits long
_RUNS_TOGETHER = 500
_DAILY = Expectation(grace=timedelta(hours=1), period=timedelta(days=1))


async def create_job(
    tx: WriteTx,
    agent_id: str,
    name: str,
    by: Editor,
    *,
    activity: Activity = Activity.BACKUP,
    expectation: Expectation | None = None,
) -> Job:
    """Add a job. Raises BadInput if its agent does not exist, Conflict if the agent has one of that name and activity."""
    agent = await AGENTS.find(tx, agent_id)
    if agent is None:
        raise BadInput(f"there is no agent {agent_id}", code="unknown_agent", field="agent_id")
    job = Job(new_id("job"), agent.customer_id, agent.id, name, activity, created_at=by.at, expectation=expectation)
    job = await _in_zone_of_customer(tx, job)
    return await editing.insert(tx, JOBS, with_expectation(job, job.expectation, by.at), by)


async def update_job(
    tx: WriteTx, job_id: str, edit: Callable[[Job], Job], by: Editor, *, versions: Collection[int] | None = None
) -> Job:
    """Change a job. Raises NotFound, StaleEdit."""
    before = await editing.lock_to_change(tx, JOBS, job_id, by, versions)
    after = await _in_zone_of_customer(tx, edit(before))
    # An expectation that could not be read is gone, and its times are still there: nobody would wait for the job, and it would stay due.
    is_left_due = before.active_expectation is None and before.next_due_at is not None
    if after == before and not is_left_due:
        return before
    if after.expectation != before.expectation or is_left_due:
        after = await _expect(tx, after, before.expectation, by)
    return await editing.save(tx, JOBS, before, after, by)


async def delete_job(database: Database, job_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Delete a job with its runs and daily sums, and close its alerts. Raises NotFound, StaleEdit.

    A long history goes first, in transactions of its own, so that nobody who writes waits long. If that is cut off, the job remains
    with the rest of its history.
    """
    more = True
    while more:
        async with database.write() as tx:
            job = await editing.lock_to_delete(tx, JOBS, job_id, versions)
            more = await delete_history_of(tx, job.id, _RUNS_TOGETHER)
            if not more:
                reason = f"closed: the job was deleted by {by.who}"
                await alerts.close_all_of(tx, str(job.values["customer_id"]), job.id, reason, by.at)
                await follow_ups.leave(tx, FollowUpKind.ALERTS_OF_SUBJECT, job.id, by, reason)
                await editing.delete(tx, JOBS, job, by)


async def confirm_job_expectation(
    tx: WriteTx, job_id: str, by: Editor, *, versions: Collection[int] | None = None
) -> Job:
    """Make the proposed expectation the job's own. Raises NotFound, StaleEdit, and Conflict if nothing is proposed."""
    job = await editing.lock(tx, JOBS, job_id, versions)
    if job.proposed_expectation is None:
        raise Conflict("no expectation is proposed for this job", code="nothing_proposed")
    confirmed = replace(job, expectation=job.proposed_expectation)
    await JOBS.update(tx, job, await _expect(tx, confirmed, job.expectation, by))
    await note(tx, by, "confirm", JOBS.noun, job.id, JOBS.edits(job, confirmed))
    return await editing.lock(tx, JOBS, job.id)


async def confirm_job_expectations(database: Database, filters: JobFilters, by: Editor) -> int:
    """Confirm what is proposed for the jobs that are meant, `AT_ONCE` at most, and return how many were confirmed."""
    confirmed = 0
    while confirmed < AT_ONCE:
        async with database.write() as tx:
            waiting = await lock_proposed(tx, filters, _TOGETHER)
            for job_id in waiting:
                await confirm_job_expectation(tx, job_id, by)
        confirmed += len(waiting)
        if len(waiting) < _TOGETHER:
            break
    return confirmed


async def dismiss_job_expectation(
    tx: WriteTx, job_id: str, by: Editor, *, versions: Collection[int] | None = None
) -> Job:
    """Expect nothing of the job, and learn nothing any more, until an expectation is set. Raises NotFound, StaleEdit, Conflict."""
    job = await editing.lock(tx, JOBS, job_id, versions)
    if job.expectation is not None:
        raise Conflict("this job has an expectation; remove it instead", code="has_expectation")
    if job.dismissed_at is None:
        await JOBS.update(tx, job, await _expect(tx, job, None, by))
        change = {"proposed_expectation": [JOBS.values(job)["proposed_expectation"], None]}
        await note(tx, by, "dismiss", JOBS.noun, job.id, change)
    return await editing.lock(tx, JOBS, job.id)


async def is_known_backup(tx: ReadTx, agent_id: str, name: str) -> bool:
    """Return whether the agent has a backup job of this name."""
    return await find_job(tx, _backup(agent_id, name)) is not None


async def expect_daily_backup(tx: WriteTx, agent_id: str, name: str, by: Editor) -> None:
    """Expect a backup each day, with an hour of grace. The job is created if its first event has not done so; an expectation stays."""
    job = await find_job(tx, _backup(agent_id, name))
    if job is None:
        await create_job(tx, agent_id, name, by, expectation=_DAILY)
    elif job.expectation is None:
        await update_job(tx, job.id, lambda before: replace(before, expectation=before.expectation or _DAILY), by)


def with_expectation(job: Job, expectation: Expectation | None, now: datetime) -> Job:
    """Return the job with an expectation that begins now: no slot before it counts as missed. What was learned is over.

    Raises BadInput for a cron expression that never falls due.
    """
    job = replace(job, expectation=expectation, proposed_expectation=None, learn_at=None, dismissed_at=None)
    if expectation is None:
        return replace(job, last_due_at=None, next_due_at=None, overdue_at=None)
    if expectation.cron is not None:
        read_schedule(expectation.cron)
    settled, awaited = next_slot(expectation, job.last_came_at, None, now)
    return replace(job, last_due_at=settled, next_due_at=awaited, overdue_at=overdue_time(expectation, awaited))


async def _in_zone_of_customer(tx: ReadTx, job: Job) -> Job:
    """Return the job with its period in its customer's time zone: on a night in autumn, a daily run comes after 25 hours."""
    expectation = job.expectation
    if expectation is None or expectation.period is None or expectation.time_zone != "UTC":
        return job
    customer = (await customers_by_id(tx, {job.customer_id}))[job.customer_id]
    return replace(job, expectation=replace(expectation, time_zone=customer.time_zone))


async def _expect(tx: WriteTx, job: Job, previous: Expectation | None, by: Editor) -> Job:
    """Apply the expectation of a job that exists, also to its open runs, and return the job with it."""
    longest = job.expectation.longest if job.expectation else None
    # A run that hangs tonight is why the longest duration is set, so it holds for what runs now too.
    if job.expectation is None or longest != (previous.longest if previous else None):
        if longest is not None:
            # A person may close a false alarm first and then set a longer time: the run must be watched for that time too.
            await reopen_given_up(tx, job, by.at - longest)
            began = await jobs_with_open_runs(tx, [job.id])
            job = replace(job, running_since=began.get(job.id))
            if job.running_since is not None and not await jobs_with_overruns(tx, [job.id]):
                job = replace(job, overrun_since=None)  # what took too long may take longer now
        await set_longest(tx, job.id, longest)
    if job.expectation is not None:
        return with_expectation(job, job.expectation, by.at)
    await alerts.close_missed(tx, job.id, f"{by.who} expects nothing of this job", by.at)
    # That nothing is expected is a decision too: nothing is learned from now on.
    return replace(with_expectation(job, None, by.at), dismissed_at=by.at, overrun_since=None)


def _backup(agent_id: str, name: str) -> JobFilters:
    return JobFilters(agent_id=agent_id, name=name, activity=Activity.BACKUP)
