"""The events that the clock writes: a run that was missed, one that takes too long, an agent that is silent. Then they are ordinary events.

A slot is judged only once every event of its agent that was received before it was over has been folded. After an outage of ours nothing is judged
until agents had time to send again: otherwise the first minute would report runs as missed that ended during the outage and
whose agents still wait for their next try.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.ids import new_id
from app.core.log import log
from app.decide.silence import SilenceVerdict, judge_silence, silence_limit
from app.domain.agent import Agent, AgentState
from app.domain.alert import AlertKind, alert_facts
from app.domain.dedupe import missed_key, overrun_key, silent_key
from app.domain.event import HABIT, RUN_BEGAN, Activity, Event, EventKind, RunOutcome, Severity
from app.domain.expectation import describe_expectation, earliness, last_overdue_slot, next_slot, overdue_time
from app.domain.job import ExpectationSource, Job
from app.domain.refused_reports import BEFORE_DUE, with_refused
from app.domain.run import EARLY_S, NAMED
from app.store import agents, jobs, runs
from app.store.customers import customers_by_id
from app.store.events import insert_clock_events
from app.store.excesses import refused_of_agents
from app.store.heartbeats import GAP, Listening, find_listening
from app.store.routing import all_rules
from app.store.transactions import WriteTx
from app.store.waiting import oldest_waiting

BATCH = 50  # of each kind in one transaction, so that others can write in between
AGENTS_AT_ONCE = 10
RELEARNED_WITHIN = timedelta(minutes=1)
RESEND = timedelta(minutes=5)  # agents wait at most a minute between two tries (docs/agents.md)


async def tick(context: AppContext) -> bool:
    """Write the events of what fell due, unless an outage of ours has just ended. True when there may be more at once."""
    async with context.database.read() as tx:
        listening = await find_listening(tx)
    if listening is not None and is_catching_up(listening, context.clock()):
        return False
    return await write_due_events(context)


def is_catching_up(listening: Listening, now: datetime) -> bool:
    """Return whether agents may still have to send what they could not: the gap has just ended, or its end is not noted yet."""
    return now - listening.at > GAP or (listening.since is not None and now - listening.since < RESEND)


async def write_due_events(context: AppContext) -> bool:
    """Write the events of what fell due. True when there may be more at once."""
    now = context.clock()
    async with context.database.read() as tx:
        is_overdue, is_too_long = await runs.is_any_due(tx, now)
    asked_again = await _ask_about_silent(context, now)

    async def silent(tx: WriteTx, now: datetime) -> tuple[list[Event], bool]:
        return await _silent(tx, asked_again, now)

    more = False
    for find_due, is_any in ((_missed, is_overdue), (_overrun, is_too_long), (silent, bool(asked_again))):
        if not is_any:
            continue
        async with context.database.write() as tx:
            made, is_full = await find_due(tx, now)
            # Nothing is expected of an agent that nobody approved; its slots move on, so that nothing is missed at once when it is.
            known = await agents.agents_by_id(tx, {event.agent_id for event in made}) if made else {}
            refused = {agent.id for agent in known.values() if agent.state is not AgentState.APPROVED}
            made = [event for event in made if event.agent_id not in refused]
            await insert_clock_events(tx, await _with_refusals(tx, made))
            if made:
                tx.after_commit(lambda: context.wakeups.wake("events"))
        more |= is_full
    return more


async def _with_refusals(tx: WriteTx, made: Sequence[Event]) -> list[Event]:
    """Return the events with what was refused of their agents: what seems not to have run may only not have been let in."""
    refused = await refused_of_agents(tx, {event.agent_id for event in made if event.kind is not EventKind.OVERRUN})
    worded = []
    for event in made:
        if event.agent_id in refused:
            # A silent event has the time of the last report that came.
            since = event.occurred_at - (BEFORE_DUE if event.kind is EventKind.MISSED else timedelta(0))
            event = replace(event, message=with_refused(event.message or "", refused[event.agent_id], since))  # noqa: PLW2901
        worded.append(event)
    return worded


async def _missed(tx: WriteTx, now: datetime) -> tuple[list[Event], bool]:
    made: list[Event] = []
    moved: list[Job] = []
    due = await jobs.overdue_jobs(tx, now, BATCH)
    unread_since = await oldest_waiting(tx, {(job.customer_id, job.agent_id) for job in due})
    for job in due:
        try:
            before = min(now, unread_since.get((job.customer_id, job.agent_id), now))
            after, event = judge_slot(job, before, now)
        except Exception:  # noqa: BLE001  (one job, such as one with a time zone that no longer exists, must not stop all others)
            log.exception("the expectation of a job cannot be judged; it is skipped until it is edited", job=job.id)
            after, event = replace(job, overdue_at=None), None
        moved.append(after)
        made += [event] if event else []
    await jobs.save_jobs(tx, moved)
    return made, len(due) == BATCH


def judge_slot(job: Job, before: datetime, now: datetime) -> tuple[Job, Event | None]:
    """Judge the overdue slot of a job: return the job with the slot that is expected next, and the missed event, or None. Pure.

    `before`: every event of the job's agent that was received until then has been folded.
    """
    expectation, source = job.active_expectation, job.expectation_source
    if expectation is None or job.next_due_at is None:
        return replace(job, overdue_at=None), None
    if job.running_since is not None and expectation.longest is not None:
        # A run under way may still meet the slot, for as long as a run may take.
        busy_until = job.running_since + expectation.longest
        if busy_until > now:
            return replace(job, overdue_at=busy_until), None
    is_fresh = job.learned_at is not None and (job.last_came_at is None or job.learned_at >= job.last_came_at)
    if source is ExpectationSource.LEARNED and not is_fresh:
        # Learned once more from all runs first: a schedule that was changed must not cause a false alarm.
        return replace(job, learn_at=now, overdue_at=now + RELEARNED_WITHIN), None
    # After an outage of ours only the newest slot is reported as missed: one alert says as much as a hundred.
    newest = last_overdue_slot(expectation, before)
    slot = max(job.next_due_at, newest or job.next_due_at)
    _, following = next_slot(expectation, job.last_came_at, slot, job.created_at)
    after = replace(job, last_due_at=slot, next_due_at=following, overdue_at=overdue_time(expectation, following))
    habit = describe_expectation(expectation) if source is ExpectationSource.LEARNED else None
    why = ""
    if habit is not None:
        why = f" (learned from its runs: {habit}; not confirmed)"
    elif source is ExpectationSource.ANNOUNCED:
        why = ", as its tool announced,"
    last = f"last report {job.last_came_at:%Y-%m-%d %H:%M} UTC" if job.last_came_at else "no report so far"
    event = Event(
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
        metrics={EARLY_S: earliness(expectation, slot).total_seconds()},
        extra={HABIT: habit} if habit else {},
        message=f"expected {slot:%Y-%m-%d %H:%M} UTC{why} and did not come; {last}",
    )
    return after, event


async def _overrun(tx: WriteTx, now: datetime) -> tuple[list[Event], bool]:
    due = await runs.overrun_runs(tx, now, BATCH)
    await runs.mark_overrun(tx, [found.run.id for found in due])
    made = [
        Event(
            id=new_id("evt"),
            customer_id=found.run.customer_id,
            agent_id=found.agent_id,
            key=overrun_key(found.run.id, found.run.overrun_at or now),
            occurred_at=found.run.overrun_at or now,
            received_at=now,
            kind=EventKind.OVERRUN,
            job=found.job,
            activity=found.activity,
            severity=Severity.ERROR,
            message=_overrun_message(found),
            extra={RUN_BEGAN: found.run.started_at.isoformat()} if found.run.started_at else {},
        )
        for found in due
    ]
    return made, len(due) == BATCH


def _overrun_message(found: runs.OverrunRun) -> str:
    """Say which run hangs, where others of its job went on: the job itself looks well."""
    run, well_at = found.run, found.job_succeeded_at
    began = f"running since {run.started_at:%Y-%m-%d %H:%M} UTC, longer than it should"
    if run.started_at is None or well_at is None or well_at < run.started_at:
        return began
    name = run.run_key.removeprefix(NAMED)
    return f"{began}: the run {name} has not ended; another run of this job succeeded at {well_at:%Y-%m-%d %H:%M} UTC"


async def _ask_about_silent(context: AppContext, now: datetime) -> Mapping[str, tuple[Agent, SilenceVerdict]]:
    """Return, by id, agents whose limit has passed, each with the verdict. Their jobs may be many, so they are not read while others wait to write."""
    async with context.database.read() as tx:
        due, unreadable = await agents.past_limit(tx, now, AGENTS_AT_ONCE)
        of_agents = await jobs.jobs_of_agents(tx, [agent.id for agent in due if agent.silent_after is None])
        customers = await customers_by_id(tx, {agent.customer_id for agent in due}) if due else {}
        rules = await all_rules(tx) if due else []
    unreadable += [agent.id for agent in due if agent.customer_id not in customers]
    if unreadable:
        async with context.database.write() as tx:
            await agents.ask_later(tx, unreadable, now)
    asked: dict[str, tuple[Agent, SilenceVerdict]] = {}
    for agent in due:
        if agent.customer_id not in customers:
            continue
        facts = alert_facts(customers[agent.customer_id], agent, None, AlertKind.AGENT_SILENT, "error", None)
        limit = silence_limit(agent, facts, rules)
        asked[agent.id] = agent, judge_silence(agent, limit, of_agents.get(agent.id, []), now)
    return asked


async def _silent(
    tx: WriteTx, asked_again: Mapping[str, tuple[Agent, SilenceVerdict]], now: datetime
) -> tuple[list[Event], bool]:
    locked = await agents.lock_past_limit(tx, list(asked_again), now)
    due = [agent for agent in locked if asked_again[agent.id][0] == agent]  # those that did not report meanwhile
    made: list[Event] = []
    saved: list[Agent] = []
    for agent in due:
        verdict = asked_again[agent.id][1]
        silent_since = agent.silent_since or (agent.silent_at if verdict.is_silent else None)
        saved.append(replace(agent, silent_at=verdict.ask_again, silent_since=silent_since))
        if not verdict.is_silent:
            continue
        # An agent that was added by hand and never reported: since when it was expected to.
        watched_since = (agent.silent_at or now) - (agent.silent_after or timedelta(0))
        made.append(
            Event(
                id=new_id("evt"),
                customer_id=agent.customer_id,
                agent_id=agent.id,
                key=silent_key(agent.id, agent.last_heard_at or now, agent.silent_at or now),
                occurred_at=agent.last_heard_at or watched_since,
                received_at=now,
                kind=EventKind.SILENT,
                activity=Activity.HEARTBEAT,
                severity=Severity.ERROR,
                message="no report from this agent",
            )
        )
    await agents.save_heard(tx, saved)
    return made, len(asked_again) == AGENTS_AT_ONCE and bool(due)
