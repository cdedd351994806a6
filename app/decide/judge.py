"""Folds a batch of claimed events and decides what changed: from events to alerts and notices, in one transaction."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from app.core.ids import new_id
from app.core.replacing import replace
from app.decide.fold import FoldedJob, fold_job
from app.decide.notify import NoticeRequest, load_routing, notify, notify_closed
from app.decide.rules import (
    AlertChange,
    CloseAlert,
    OpenAlert,
    RepeatAlert,
    began_of_unclear_end,
    judge_agent_silence,
    judge_clock,
    judge_outcomes,
    judge_overrun,
)
from app.decide.silence import silence_limit
from app.decide.unclear import REMEMBERED, judge_unclear
from app.decide.until_fixed import end_fixed, is_well_again
from app.domain.agent import Agent, AgentState, watch_clock
from app.domain.alert import Alert, AlertKind, Rule, alert_facts
from app.domain.customer import Customer
from app.domain.event import TAUGHT_RUN, Event, EventKind, RunOutcome, Severity, job_name_of, outcome_of
from app.domain.job import Job, history_order, late_failure_at, overrun_since, restore_state
from app.domain.notice import NoticeKind
from app.domain.pairing import places_to_pair
from app.domain.run import Run, run_keys_of
from app.store import agents, alerts, batches, jobs, notices, runs
from app.store.batches import LockedRows
from app.store.events import (
    forms_reported_before,
    has_good_end_since,
    mark_events_folded,
    read_unclear_history,
    received_times,
)
from app.store.jobs import JobName
from app.store.routing import current_silences, customers_and_rules
from app.store.row_mapping import UNREADABLE
from app.store.run_history import find_nearby_runs, proven_ends, read_histories
from app.store.transactions import WriteTx

OpenAlerts = Mapping[str, Sequence[Alert]]  # by the id of the job or agent
_NEVER_NEW = (EventKind.MISSED, EventKind.OVERRUN, EventKind.TAUGHT)  # such an event does not make a job


UNAPPROVED = "its agent is new and waits for approval"


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What a batch refers to, loaded once."""

    customers: Mapping[str, Customer]
    agents: Mapping[str, Agent]
    rules: Sequence[Rule]
    now: datetime


@dataclass(frozen=True, slots=True)
class JudgedEvents:
    """The events that were decided, how many notices were made, and whether alerts or groups of notices were changed, which locks them."""

    events: Sequence[Event]
    notices: int
    has_changed_alerts: bool


@dataclass(frozen=True, slots=True)
class JudgedChange:
    """A change of an alert, with the agent and the job that it is about; None: it is about the agent itself."""

    change: AlertChange
    agent: Agent
    job: Job | None


async def judge_events(tx: WriteTx, events: Sequence[Event], now: datetime, *, is_first: bool = True) -> JudgedEvents:
    """Fold events that `tx` has claimed, and open, repeat and close alerts.

    Those of jobs whose open runs must be settled first, in several transactions, stay as they are. If these are not the first events
    of `tx`, so do those of agents on which another worker decides: to wait for it might be to wait for one that waits for us.
    """
    by_name = _events_by_job(events)
    locked = await _lock(tx, events, by_name, is_first=is_first)
    if not is_first:
        events = [event for event in events if event.agent_id in locked.agents]
        by_name = _events_by_job(events)
    batch = BatchContext(locked.customers, locked.agents, locked.rules, now)
    folded, opened, postponed = await _fold(tx, batch, events, by_name, locked.jobs)
    events = [event for event in events if event.id not in postponed]
    changes = await _judge_jobs(tx, batch, folded, opened)
    of_agents, heard_again = await _judge_agents(tx, batch, events, opened)
    well_again = [(batch.agents[f.after.agent_id], f.after) for f in folded if is_well_again(f.before, f.after)]
    await mark_events_folded(
        tx, [event.id for event in events], {event: run for job in folded for event, run in job.run_of.items()}
    )
    fixed = [*well_again, *((agent, None) for agent in heard_again)]
    judged = [*changes, *of_agents]
    return JudgedEvents(events, await _apply(tx, batch, judged, fixed), bool(judged or fixed))


def _events_by_job(events: Sequence[Event]) -> dict[JobName, list[Event]]:
    by_name: dict[JobName, list[Event]] = {}
    for event in events:
        if event.kind is not EventKind.SILENT and (job_name := job_name_of(event)) is not None:
            key = JobName(event.customer_id, event.agent_id, job_name, event.activity.value)
            by_name.setdefault(key, []).append(event)
    return by_name


async def _lock(
    tx: WriteTx, events: Sequence[Event], by_name: Mapping[JobName, list[Event]], *, is_first: bool
) -> LockedRows:
    """Lock the agents and jobs of these events. Without `is_first`, those of agents that another worker has locked are left out."""
    agent_ids, customer_ids = {event.agent_id for event in events}, {event.customer_id for event in events}
    if is_first:
        with suppress(*UNREADABLE):  # SQLite holds a damaged time: a damaged customer must not hide the others
            return await batches.lock_rows(tx, agent_ids, customer_ids, by_name)
    locked = await agents.lock_agents(tx, agent_ids, waits=is_first)
    customers, rules = await customers_and_rules(tx, customer_ids)
    of_agents = [name for name in by_name if name.agent_id in locked]
    return LockedRows(locked, customers, rules, await jobs.lock_jobs(tx, of_agents))


async def _fold(
    tx: WriteTx,
    batch: BatchContext,
    events: Sequence[Event],
    by_name: Mapping[JobName, list[Event]],
    locked: dict[JobName, Job],
) -> tuple[list[FoldedJob], OpenAlerts, set[str]]:
    """Fold and save; return also the open alerts of these jobs and agents, and the ids of the events that are postponed."""
    new = {
        name
        for name, of_job in by_name.items()
        if name not in locked and not all(event.kind in _NEVER_NEW for event in of_job)
    }
    locked |= await jobs.make_jobs(tx, new, batch.now)
    found = [
        (job, valid)
        for name, of_job in by_name.items()
        if (job := locked.get(name)) is not None  # not deleted meanwhile
        and (valid := _still_valid(of_job, job))
    ]
    postponed = await _settle_many_overtaken(tx, found)
    waiting = {event.id for job, of_job in found if job.id in postponed for event in of_job}
    found = [(job, of_job) for job, of_job in found if job.id not in postponed]
    keys = {(job.customer_id, job.id, key) for job, of_job in found for event in of_job for key in run_keys_of(event)}
    subjects = [(job.customer_id, job.id) for job, _ in found]
    subjects += [(agent.customer_id, agent.id) for agent in batch.agents.values()]
    stored, opened = await batches.find_runs_and_open_alerts(tx, keys, subjects)
    known: dict[str, dict[str, Run]] = {job.id: {} for job, _ in found}
    for (job_id, run_key), run in stored.items():
        known[job_id][run_key] = run
    places = {job.id: places_to_pair(job, known[job.id].values(), of_job) for job, of_job in found}
    explained = {event.extra.get(TAUGHT_RUN) for event in events if event.kind is EventKind.TAUGHT}
    taken = [run.id for run in stored.values() if run.run_key in explained]
    nearby = await find_nearby_runs(tx, places, taken)
    folded = []
    for job, of_job in found:
        zone = batch.customers[job.customer_id].time_zone
        one = fold_job(job, known[job.id], of_job, zone, nearby.get(job.id))
        if batch.agents[job.agent_id].state is not AgentState.APPROVED:  # nothing is expected of it
            one.after = replace(one.after, told_expectation=None, learn_at=None, next_due_at=None, overdue_at=None)
        folded.append(one)
    await _save(tx, folded)
    return folded, opened, waiting


async def _settle_many_overtaken(tx: WriteTx, found: Sequence[tuple[Job, Sequence[Event]]]) -> set[str]:
    """Settle some of the open runs of jobs that have very many, before an end that overtakes them. Return the jobs that have still more.

    The end waits meanwhile: an agent may report a million starts and then one end, and no transaction is to settle them all.
    """
    ends = {
        job.id: max(ended)
        for job, of_job in found
        if job.running_since is not None
        and (ended := [event.occurred_at for event in of_job if outcome_of(event) is not None])
    }
    many = await runs.jobs_with_many_open_runs(tx, ends)
    return {job_id for job_id in sorted(many) if await runs.supersede_some(tx, job_id, ends[job_id])}


def _still_valid(of_job: list[Event], job: Job) -> list[Event]:
    """Drop events of the clock that an administrator's edit has overtaken: no later event would end the alert that they open."""
    return of_job if job.dismissed_at is None else [event for event in of_job if event.kind is not EventKind.MISSED]


async def _save(tx: WriteTx, folded: Sequence[FoldedJob]) -> None:
    await runs.save_runs(tx, [run for f in folded for run in f.runs])
    histories = await read_histories(tx, [f.after.id for f in folded if f.is_late])
    for f in folded:
        if f.is_late:
            history = histories[f.after.id]
            f.ended = sorted(history.newest.values(), key=history_order)
            f.after = restore_state(f.after, history)
        if f.late_failure is not None and not await _hides_behind(tx, f, f.late_failure):
            f.late_failure = None
        if f.late_failure is not None or f.before.late_failure_at is not None:
            f.after = replace(f.after, late_failure_at=late_failure_at(f.after, f.fresh, f.late_failure))
    maybe_running = [f for f in folded if f.before.running_since or any(run.outcome is None for run in f.runs)]
    # A run that ended settles those that began before it; what is still open then shows whether the job is running.
    ends = {f.after.id: (f.before.last_finished_at, f.after.last_finished_at) for f in maybe_running if f.ended}
    await runs.supersede(tx, {job: (since, end) for job, (since, end) in ends.items() if end is not None})
    began = await runs.jobs_with_open_runs(tx, [f.after.id for f in maybe_running]) if maybe_running else {}
    for f in maybe_running:
        f.after = replace(f.after, running_since=began.get(f.after.id))
    maybe_hanging = [f for f in folded if f.before.overrun_since or f.overran]
    hanging = await runs.jobs_with_overruns(tx, [f.after.id for f in maybe_hanging])
    proven = await proven_ends(tx, [f.after.id for f in maybe_hanging])
    for f in maybe_hanging:
        proven_until = proven.get(f.after.id)
        # A run that hung and then ended unclear is not proven, in whichever order both are decided on.
        hangs_since = hanging.get(f.after.id) or began_of_unclear_end(f.after, f.overran, proven_until)
        f.after = replace(f.after, overrun_since=overrun_since(f.after, hangs_since, proven_until))
    await jobs.save_changes(tx, [(f.before, f.after) for f in folded if f.after != f.before])
    by_day = {
        (f.after.customer_id, f.after.id, day): sums
        for f in folded
        for day, sums in f.sums.items()
        if any(sums.values())
    }
    await runs.add_to_days(tx, by_day)


async def _hides_behind(tx: WriteTx, folded: FoldedJob, failure: Run) -> bool:
    """Return whether a failure came after a run with a later time, or with the same one, and nothing good came after it.

    Only the times of receipt show it: events are decided in any order, and those of one request are in the order of their own times.
    """
    earlier = [run for run in folded.ended if run.id != failure.id and history_order(run) >= history_order(failure)]
    own = failure.event_id or ""
    received = await received_times(tx, {own, *(run.event_id for run in earlier if run.event_id)})
    if own not in received:
        return False
    is_hidden = not folded.is_late or any(
        received.get(run.event_id or "", received[own]) < received[own]
        or (run.ended_at == failure.ended_at and received.get(run.event_id or "") == received[own])
        for run in earlier
    )
    return is_hidden and not await has_good_end_since(tx, folded.after, received[own])


async def _judge_jobs(
    tx: WriteTx, batch: BatchContext, folded: Sequence[FoldedJob], opened: OpenAlerts
) -> list[JudgedChange]:
    maybe_overrun = {
        alert.subject_id for of_job in opened.values() for alert in of_job if alert.kind is AlertKind.OVERRUN
    }
    maybe_overrun |= {f.after.id for f in folded if f.overran is not None}
    hanging = await runs.jobs_with_overruns(tx, maybe_overrun)
    proven = await proven_ends(tx, maybe_overrun)
    judged: list[JudgedChange] = []
    for f in folded:
        if f.is_routine and not opened.get(f.after.id):
            continue  # without an open alert, nothing can open, repeat or close: so it is for nearly all events
        agent = batch.agents[f.after.agent_id]
        by_kind = {alert.kind: alert for alert in opened.get(f.after.id, [])}
        clear = [run for run in f.ended if run.outcome is not RunOutcome.UNCLEAR]
        message = clear[-1].message if clear else None
        severity = clear[-1].severity if clear else "info"
        facts = alert_facts(batch.customers[agent.customer_id], agent, f.after, "", severity, message)
        changes: list[AlertChange] = []
        if f.has_clear_end:
            changes += judge_outcomes(f.before, f.after, clear, by_kind, facts, batch.rules, f.fresh, f.late_failure)
        overrun = by_kind.get(AlertKind.OVERRUN)
        if overrun is not None or f.overran is not None:
            changes += judge_overrun(
                f.after, f.overran, hanging.get(f.after.id), proven.get(f.after.id), overrun, facts, batch.rules
            )
        changes += await _judge_unclear(tx, batch, f, opened.get(f.after.id, []), facts)
        judged += [JudgedChange(change, agent, f.after) for change in changes]
    return judged


async def _judge_unclear(
    tx: WriteTx, batch: BatchContext, folded: FoldedJob, opened: Sequence[Alert], facts: Mapping[str, str]
) -> list[AlertChange]:
    by_form = {alert.form: alert for alert in opened if alert.kind is AlertKind.UNCLEAR}
    may_open = bool(folded.unclear) or folded.withdrawn is not None
    if not may_open and not (by_form and folded.has_clear_end):
        return []
    job = folded.after
    history = await read_unclear_history(tx, job.id, [a.event_id for a in by_form.values() if a.event_id])
    history = replace(history, withdrawn=folded.withdrawn)
    before = await forms_reported_before(tx, job.id, batch.now - REMEMBERED) if may_open else set[str]()
    return judge_unclear(job, {run.id for run in folded.unclear}, history, by_form, before, facts, batch.rules)


async def _judge_agents(
    tx: WriteTx, batch: BatchContext, events: Sequence[Event], opened: OpenAlerts
) -> tuple[list[JudgedChange], list[Agent]]:
    """Return the changes of alerts about agents, and the agents that counted as silent until now."""
    by_agent: dict[str, list[Event]] = {}
    for event in events:
        by_agent.setdefault(event.agent_id, []).append(event)
    judged: list[JudgedChange] = []
    reported_agents: list[Agent] = []
    heard_again: list[Agent] = []
    for agent_id, agent in sorted(batch.agents.items()):
        reports = [e for e in by_agent.get(agent_id, ()) if e.kind is EventKind.REPORT]
        silences = [e for e in by_agent.get(agent_id, ()) if e.kind is EventKind.SILENT]
        proven = [e.received_at for e in reports if e.outcome is not RunOutcome.UNCLEAR]
        proven_at = max([*proven, *([agent.last_proven_at] if agent.last_proven_at else [])], default=None)
        facts = alert_facts(batch.customers[agent.customer_id], agent, None, AlertKind.AGENT_SILENT, "error", None)
        by_kind = {alert.kind: alert for alert in opened.get(agent_id, ())}
        changes = judge_agent_silence(
            agent.customer_id,
            max(silences, key=lambda event: event.occurred_at, default=None),
            proven_at,
            alert=by_kind.get(AlertKind.AGENT_SILENT),
            facts=facts,
            rules=batch.rules,
        )
        judged += [JudgedChange(change, agent, None) for change in changes]
        if reports:
            at = max([*(e.received_at for e in reports), *([agent.last_heard_at] if agent.last_heard_at else [])])
            limit = silence_limit(agent, facts, batch.rules)
            silent_at = None if limit is None else at + limit
            is_back = agent.silent_since is not None and proven_at is not None and proven_at >= agent.silent_since
            heard = replace(
                agent,
                last_heard_at=at,
                last_proven_at=proven_at,
                silent_at=silent_at,
                silent_since=None if is_back else agent.silent_since,
            )
            heard = watch_clock(heard, reports)
            reported_agents.append(heard)
            heard_again += [heard] if is_back else []
            alert = by_kind.get(AlertKind.CLOCK_OFF)
            if alert is not None or heard.clock_offset is not None:
                judged += [JudgedChange(change, heard, None) for change in _judge_clock(batch, agent, heard, alert)]
    await agents.save_heard(tx, reported_agents)
    return judged, heard_again


def _judge_clock(batch: BatchContext, before: Agent, after: Agent, alert: Alert | None) -> list[AlertChange]:
    customer = batch.customers[after.customer_id]
    facts = alert_facts(customer, before, None, AlertKind.CLOCK_OFF, Severity.WARNING, None)
    return judge_clock(before, after, alert, facts, batch.rules)


async def _apply(
    tx: WriteTx, batch: BatchContext, judged: Sequence[JudgedChange], fixed: Sequence[tuple[Agent, Job | None]]
) -> int:
    """Store the changes and their notices, and return how many notices were made. `fixed`: what is well again."""
    requests: list[NoticeRequest] = []
    repeated: list[Alert] = []
    risen: list[Alert] = []
    closed: list[tuple[Alert, str]] = []
    for one in judged:
        match one.change:
            case OpenAlert() as change:
                alert = _new_alert(change, batch, one.agent, one.job)
                requests.append(NoticeRequest(alert, NoticeKind.OPENED, alert.reason, hold=change.hold))
            case RepeatAlert() as change:
                customer, kind = batch.customers[one.agent.customer_id], change.alert.kind
                alert = replace(
                    change.alert,
                    repeats=change.repeats,
                    last_at=change.last_at,
                    message=change.message,
                    event_id=change.event_id,
                    severity=change.severity,
                    facts=alert_facts(customer, one.agent, one.job, kind, change.severity, change.message),
                )
                repeated.append(alert)
                if alert.severity is Severity.CRITICAL and change.alert.severity is not Severity.CRITICAL:
                    risen.append(alert)
            case CloseAlert() as change:
                closed.append((change.alert, change.reason))
    await alerts.lock_in_order(tx, [*(alert.id for alert, _ in closed), *(alert.id for alert in repeated)])
    await alerts.close_alerts(tx, closed, batch.now)
    await alerts.save_repeats(tx, repeated)
    await alerts.insert_alerts(tx, [request.alert for request in requests])  # all of them opened just now
    fixed = [*fixed, *((one.agent, one.job) for one in judged if isinstance(one.change, CloseAlert))]
    if fixed:
        await end_fixed(tx, await current_silences(tx, batch.now), fixed, batch.now)
    if not (requests or closed or risen):
        return 0
    hurried = await notices.hurry(tx, [alert.id for alert in risen], batch.now) if risen else set()
    requests += [
        NoticeRequest(alert, NoticeKind.REPEATED, "it became critical", occasion="critical")
        for alert in risen
        if alert.id not in hurried and alert.acknowledged_at is None
    ]
    routing = await load_routing(tx, batch.now)
    recoveries = await notify_closed(tx, routing, closed, then=requests)
    return len(recoveries) + len(await notify(tx, routing, requests))


def _new_alert(change: OpenAlert, batch: BatchContext, agent: Agent, job: Job | None) -> Alert:
    customer = batch.customers[agent.customer_id]
    return Alert(
        id=new_id("alr"),
        customer_id=agent.customer_id,
        agent_id=agent.id,
        subject_id=job.id if job else agent.id,
        kind=change.kind,
        severity=change.severity,
        reason=f"{change.reason}; {UNAPPROVED}" if agent.state is AgentState.WAITING else change.reason,
        since=change.since,
        opened_at=batch.now,
        last_at=batch.now,
        job_id=job.id if job else None,
        rule_id=change.rule.id,
        message=change.message,
        event_id=change.event_id,
        repeats=change.in_row - 1,
        form=change.form,
        facts=alert_facts(customer, agent, job, change.kind, change.severity, change.message),
    )
