"""The clock's own events: a run that never came, one that takes too long, an agent that fell silent. Ordinary events from then on.

It waits for what is unread: a slot is judged only once every event received before now has been folded.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.ids import new_id
from app.core.log import log
from app.domain.agent import Agent
from app.domain.dedupe import missed_key, overrun_key, silent_key
from app.domain.event import HABIT, Activity, Event, EventKind, RunOutcome, Severity
from app.domain.expectation import Expectation, earliness, last_slot_until, next_slot
from app.domain.expectation_words import in_words
from app.domain.job import Basis, Job, awaited_as, basis_of
from app.domain.run import EARLY_S
from app.store import agent_fold, inbox, job_fold, run_fold
from app.store.transactions import WriteTx

BATCH = 500
LOOKED_AT_WITHIN = timedelta(minutes=1)


async def tick(context: AppContext) -> bool:
    """Write the events of what fell due. True when there may be more at once."""
    now = context.clock()
    async with context.database.write() as tx:
        unread = await inbox.oldest_waiting(tx)
        before = now if unread is None else min(now, unread)
        made = await _missed(tx, before, now) + await _overrun(tx, before, now) + await _silent(tx, before, now)
        await inbox.insert_clock_events(tx, made)
        if made:
            tx.after_commit(lambda: context.wakeups.wake("events"))
    return len(made) >= BATCH


async def _missed(tx: WriteTx, before: datetime, now: datetime) -> list[Event]:
    made: list[Event] = []
    moved: list[Job] = []
    for job in await job_fold.overdue_jobs(tx, before, BATCH):
        try:
            after, event = _judge_slot(job, before, now)
        except Exception:  # noqa: BLE001  (the rim of one job: a time zone that is no more must not keep all others unjudged)
            log.exception("the expectation of a job cannot be judged; it is left alone until it is edited", job=job.id)
            after, event = replace(job, overdue_at=None), None
        moved.append(after)
        made += [event] if event else []
    await job_fold.save_jobs(tx, moved)
    return made


def _judge_slot(job: Job, before: datetime, now: datetime) -> tuple[Job, Event | None]:
    """Give the job with the slot that it now waits for, and the event that the overdue one was missed."""
    expectation, basis = awaited_as(job), basis_of(job)
    if expectation is None or job.next_due_at is None:
        return replace(job, overdue_at=None), None
    busy_until = _busy_until(job, expectation)
    if busy_until is not None and busy_until > now:
        return replace(job, overdue_at=busy_until), None
    if basis is Basis.LEARNED and not _is_fresh(job):
        return replace(job, learn_at=now, overdue_at=now + LOOKED_AT_WITHIN), None
    # After an outage of ours only the newest slot is called missed: one alert tells it as well as a hundred.
    newest = last_slot_until(expectation, before - expectation.grace)
    slot = max(job.next_due_at, newest or job.next_due_at)
    _, awaited = next_slot(expectation, job.last_came_at, slot, job.created_at)
    after = replace(job, last_due_at=slot, next_due_at=awaited, overdue_at=awaited + expectation.grace)
    return after, _event(job, slot, now, early_s=earliness(expectation, slot).total_seconds())


def _is_fresh(job: Job) -> bool:
    """Say whether its cadence was learned from all its runs: a schedule that was changed must not cost a false alarm."""
    return job.learned_at is not None and (job.last_came_at is None or job.learned_at >= job.last_came_at)


def _busy_until(job: Job, expectation: Expectation) -> datetime | None:
    """A run under way holds the slot, for as long as a run may take."""
    if job.running_since is None or expectation.longest is None:
        return None
    return job.running_since + expectation.longest


def _event(job: Job, slot: datetime, now: datetime, *, early_s: float) -> Event:
    habit = _habit(job)
    last = f"last sign of life {job.last_came_at:%Y-%m-%d %H:%M} UTC" if job.last_came_at else "never heard of yet"
    return Event(
        id=new_id("evt"),
        customer_id=job.customer_id,
        agent_id=job.agent_id,
        key=missed_key(job.id, slot),
        occurred_at=slot,
        received_at=now,
        kind=EventKind.MISSED,
        job=job.name,
        activity=job.activity,
        outcome=RunOutcome.MISSED,
        severity=Severity.WARNING if habit else Severity.ERROR,
        metrics={EARLY_S: early_s},
        extra={HABIT: habit} if habit else {},
        message=f"expected {slot:%Y-%m-%d %H:%M} UTC{_why(job, habit)} and did not come; {last}",
    )


def _habit(job: Job) -> str | None:
    """Give what was learned in words, where that is why it was expected."""
    proposed = job.proposed_expectation if basis_of(job) is Basis.LEARNED else None
    return None if proposed is None else in_words(proposed)


def _why(job: Job, habit: str | None) -> str:
    """Say on whose word it was expected, where that was not an administrator's."""
    if habit is not None:
        return f" (learned from its runs: {habit}; not confirmed)"
    return ", as its tool told," if basis_of(job) is Basis.TOLD else ""


async def _overrun(tx: WriteTx, before: datetime, now: datetime) -> list[Event]:
    due = await run_fold.overrun_runs(tx, before, BATCH)
    await run_fold.clear_overrun(tx, [run.id for run, *_ in due])
    return [
        Event(
            id=new_id("evt"),
            customer_id=run.customer_id,
            agent_id=agent_id,
            key=overrun_key(run.id, run.overrun_at or now),
            occurred_at=run.overrun_at or now,
            received_at=now,
            kind=EventKind.OVERRUN,
            job=job,
            activity=Activity(activity),
            severity=Severity.ERROR,
            message=f"running since {run.started_at:%Y-%m-%d %H:%M} UTC, longer than it should",
        )
        for run, agent_id, job, activity in due
    ]


async def _silent(tx: WriteTx, before: datetime, now: datetime) -> list[Event]:
    due = await agent_fold.fallen_silent(tx, before, BATCH)
    await agent_fold.save_heard(tx, [replace(agent, silent_at=None) for agent in due])
    return [
        Event(
            id=new_id("evt"),
            customer_id=agent.customer_id,
            agent_id=agent.id,
            key=silent_key(agent.id, agent.last_heard_at or now, agent.silent_at or now),
            occurred_at=agent.last_heard_at or _watched_since(agent, now),
            received_at=now,
            kind=EventKind.SILENT,
            activity=Activity.HEARTBEAT,
            severity=Severity.ERROR,
            message="nothing heard of this agent",
        )
        for agent in due
    ]


def _watched_since(agent: Agent, now: datetime) -> datetime:
    """Say from when an agent was awaited that was added by hand and never heard."""
    if agent.silent_at is None or agent.silent_after is None:
        return now
    return agent.silent_at - agent.silent_after
