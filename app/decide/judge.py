"""Folds a batch of claimed events and judges what changed: the hand-over from events to alerts and notices, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from app.core.ids import new_id
from app.decide.facts import facts_of
from app.decide.fold import FoldedJob, Sums, fold_job, group_by_job
from app.decide.rules import Close, Open, Repeat, Verdict, judge_overrun, judge_rows, judge_silence, rule_for
from app.decide.tell import Telling, open_desk, tell, tell_closed
from app.domain.agent import Agent
from app.domain.alert import Alert, AlertKind, Rule
from app.domain.customer import Customer
from app.domain.event import Event, EventKind, Severity, job_of
from app.domain.job import Job, order_of, replay
from app.domain.notice import NoticeKind
from app.domain.pairing import span_to_pair
from app.domain.run import run_key_of
from app.store import agent_fold, alerts, inbox, job_fold, notices, run_fold
from app.store.customers import customers_by_id
from app.store.job_fold import JobName
from app.store.rules import all_rules
from app.store.run_pairs import find_around
from app.store.transactions import WriteTx

_OF_THE_CLOCK = (EventKind.MISSED, EventKind.OVERRUN)


@dataclass(slots=True)
class Scene:
    """Everything that a batch touches, loaded once."""

    customers: Mapping[str, Customer]
    agents: dict[str, Agent]
    rules: Sequence[Rule]
    now: datetime


async def judge(tx: WriteTx, events: Sequence[Event], now: datetime) -> int:
    """Fold and judge events that are claimed by `unit`. Gives how many notices were made."""
    agents = await agent_fold.lock_agents(tx, {event.agent_id for event in events})
    customers = await customers_by_id(tx, {event.customer_id for event in events})
    scene = Scene(customers, agents, await all_rules(tx), now)
    folded = await _fold(tx, scene, events)
    verdicts = await _judge_jobs(tx, scene, folded) + await _judge_agents(tx, scene, events)
    await inbox.mark_folded(
        tx, [event.id for event in events], {event: run for f in folded for event, run in f.run_of.items()}
    )
    return await _apply(tx, scene, verdicts)


async def _fold(tx: WriteTx, scene: Scene, events: Sequence[Event]) -> list[FoldedJob]:
    names = {
        event.id: name for event in events if event.kind is not EventKind.SILENT and (name := job_of(event)) is not None
    }
    grouped = group_by_job(events, names)
    wanted = {key: JobName(of_job[0].customer_id, *key) for key, of_job in grouped.items()}
    heard = {wanted[key] for key, of_job in grouped.items() if not all(event.kind in _OF_THE_CLOCK for event in of_job)}
    jobs = await job_fold.lock_jobs(tx, wanted.values(), scene.now, heard)
    grouped = {key: meant for key, of_job in grouped.items() if (meant := _still_meant(of_job, jobs.get(wanted[key])))}
    keys = {(jobs[wanted[key]].id, run_key_of(event)) for key, of_job in grouped.items() for event in of_job}
    runs = await run_fold.find_runs(tx, keys)
    folded = []
    for key, of_job in grouped.items():
        job = jobs[wanted[key]]
        known = {key: runs[job.id, key] for key in {run_key_of(event) for event in of_job} if (job.id, key) in runs}
        span = span_to_pair(job, known.values(), of_job)
        around = None if span is None else await find_around(tx, job.id, *span)
        folded.append(fold_job(job, known, of_job, scene.customers[job.customer_id].time_zone, around))
    await run_fold.save_runs(tx, [run for f in folded for run in f.runs])
    await _count_anew(tx, folded)
    await _note_open_runs(tx, folded)
    await job_fold.save_jobs(tx, [f.after for f in folded if f.after != f.before])
    await run_fold.add_to_days(tx, _sums(folded))
    return folded


def _still_meant(of_job: list[Event], job: Job | None) -> list[Event]:
    """Leave out what the clock wrote and an administrator was quicker to undo: it would stay, for nothing comes that ends it."""
    if job is None:  # deleted meanwhile
        return []
    return of_job if job.dismissed_at is None else [event for event in of_job if event.kind is not EventKind.MISSED]


async def _count_anew(tx: WriteTx, folded: Sequence[FoldedJob]) -> None:
    for f in folded:
        if f.is_late:
            f.ended = sorted(await run_fold.history(tx, f.after.id), key=order_of)
            f.after = replay(f.after, f.ended)


async def _note_open_runs(tx: WriteTx, folded: Sequence[FoldedJob]) -> None:
    """A run that ended overtakes those that began before it; what is still open then says whether the job is running."""
    ends = {f.after.id: f.after.last_finished_at for f in folded if f.before.running_since and f.after.last_finished_at}
    await run_fold.supersede(tx, ends)
    maybe = [f for f in folded if f.before.running_since is not None or any(run.outcome is None for run in f.runs)]
    began = await run_fold.jobs_with_open_runs(tx, [f.after.id for f in maybe]) if maybe else {}
    for f in maybe:
        f.after = replace(f.after, running_since=began.get(f.after.id))


def _sums(folded: Sequence[FoldedJob]) -> dict[tuple[str, str, date], Sums]:
    return {
        (f.after.customer_id, f.after.id, day): sums
        for f in folded
        for day, sums in f.sums.items()
        if any(sums.values())
    }


async def _judge_jobs(
    tx: WriteTx, scene: Scene, folded: Sequence[FoldedJob]
) -> list[tuple[Verdict, Agent, Job | None]]:
    opened = await alerts.open_alerts(tx, [f.after.id for f in folded])
    verdicts: list[tuple[Verdict, Agent, Job | None]] = []
    for f in folded:
        agent = scene.agents[f.after.agent_id]
        by_kind = {alert.kind: alert for alert in opened.get(f.after.id, [])}
        message = f.ended[-1].message if f.ended else None
        severity = f.ended[-1].severity if f.ended else "info"
        facts = facts_of(scene.customers[agent.customer_id], agent, f.after, "", severity, message)
        found = judge_rows(f.before, f.after, f.ended, by_kind, facts, scene.rules)
        found += judge_overrun(f.after, f.overran, by_kind.get(AlertKind.OVERRUN), facts, scene.rules)
        verdicts += [(verdict, agent, f.after) for verdict in found]
    return verdicts


async def _judge_agents(tx: WriteTx, scene: Scene, events: Sequence[Event]) -> list[tuple[Verdict, Agent, Job | None]]:
    opened = await alerts.open_alerts(tx, scene.agents)
    verdicts: list[tuple[Verdict, Agent, Job | None]] = []
    heard_agents: list[Agent] = []
    for agent_id, agent in sorted(scene.agents.items()):
        reports = [e.received_at for e in events if e.agent_id == agent_id and e.kind is EventKind.REPORT]
        silences = (e for e in events if e.agent_id == agent_id and e.kind is EventKind.SILENT)
        # Of one that was never heard every word of the clock counts; else only the one about when it was heard last.
        silent = next((e for e in silences if agent.last_heard_at in (None, e.occurred_at)), None)
        facts = facts_of(scene.customers[agent.customer_id], agent, None, AlertKind.AGENT_SILENT, "error", None)
        alert = next((a for a in opened.get(agent_id, []) if a.kind is AlertKind.AGENT_SILENT), None)
        found = judge_silence(
            agent.customer_id, silent, heard=bool(reports), alert=alert, facts=facts, rules=scene.rules
        )
        verdicts += [(verdict, agent, None) for verdict in found]
        if reports:
            heard_agents.append(
                _heard(agent, max(reports), rule_for(AlertKind.AGENT_SILENT, agent.customer_id, facts, scene.rules))
            )
    await agent_fold.save_heard(tx, heard_agents)
    return verdicts


def _heard(agent: Agent, at: datetime, rule: Rule | None) -> Agent:
    """Note when an agent was last heard, and when its silence is to be called: by its own limit, else by the rule's."""
    at = max(at, agent.last_heard_at or at)
    limit = agent.silent_after or (rule.silent_after if rule is not None and rule.enabled else None)
    return replace(agent, last_heard_at=at, silent_at=None if limit is None else at + limit)


async def _apply(tx: WriteTx, scene: Scene, verdicts: Sequence[tuple[Verdict, Agent, Job | None]]) -> int:
    tellings: list[Telling] = []
    repeated: list[Alert] = []
    risen: list[Alert] = []
    closed: list[tuple[Alert, str]] = []
    for verdict, agent, job in verdicts:
        match verdict:
            case Open():
                alert = _alert(verdict, scene, agent, job)
                tellings.append(Telling(alert, NoticeKind.OPENED, verdict.reason, hold=verdict.hold))
            case Repeat():
                alert = _repeated(verdict, scene, agent, job)
                repeated.append(alert)
                if alert.severity is Severity.CRITICAL and verdict.alert.severity is not Severity.CRITICAL:
                    risen.append(alert)
            case Close():
                closed.append((verdict.alert, verdict.reason))
    await alerts.close_alerts(tx, closed, scene.now)
    await alerts.save_repeats(tx, repeated)
    await alerts.insert_alerts(tx, [telling.alert for telling in tellings])  # all of them opened just now
    if not (tellings or closed or risen):
        return 0
    hurried = await notices.hurry(tx, [alert.id for alert in risen], scene.now) if risen else set()
    tellings += [
        Telling(alert, NoticeKind.REPEATED, "it became critical", turn="critical")
        for alert in risen
        if alert.id not in hurried and alert.acknowledged_at is None
    ]
    desk = await open_desk(tx, scene.now)
    return len(await tell_closed(desk, closed)) + len(await tell(desk, tellings))


def _repeated(seen: Repeat, scene: Scene, agent: Agent, job: Job | None) -> Alert:
    changed = {name: getattr(seen, name) for name in ("repeats", "last_at", "message", "event_id", "severity")}
    kind = seen.alert.kind
    facts = facts_of(scene.customers[agent.customer_id], agent, job, kind, seen.severity, seen.message)
    return replace(seen.alert, **changed, facts=facts)


def _alert(opened: Open, scene: Scene, agent: Agent, job: Job | None) -> Alert:
    return Alert(
        id=new_id("alr"),
        customer_id=agent.customer_id,
        agent_id=agent.id,
        subject_id=job.id if job else agent.id,
        kind=opened.kind,
        severity=opened.severity,
        reason=opened.reason,
        since=opened.since,
        opened_at=scene.now,
        last_at=scene.now,
        job_id=job.id if job else None,
        rule_id=opened.rule.id,
        message=opened.message,
        event_id=opened.event_id,
        repeats=opened.in_row - 1,
        facts=facts_of(scene.customers[agent.customer_id], agent, job, opened.kind, opened.severity, opened.message),
    )
