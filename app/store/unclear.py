"""Unclear runs and their texts: what deciding needs of those of a job, and those that an administrator's answer is for."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import case, func, select

from app.domain.alert import Alert, AlertKind
from app.domain.event import PROVEN, RunOutcome, StoredEvent
from app.domain.job import newest_of
from app.domain.run import Run
from app.domain.text_form import BODY_ENDS_READ, TextForm, form_of
from app.domain.unclear import UnclearHistory, UnclearText
from app.store.alerts import ALERTS
from app.store.events import EVENTS
from app.store.run_history import newest_by_outcome
from app.store.runs import RUNS
from app.store.tables import alerts, events, runs
from app.store.transactions import ReadTx, WriteTx

MOST_ANSWERED = 500  # texts that one answer is for; older ones stay unclear in the history
NEWEST_ALERTS = 500  # of a job, among which an earlier one of the same form is looked for
NEWEST_TEXTS = 50  # of a job's unclear runs since its last proven one; a text costs up to a millisecond


async def count_unclear_texts(tx: ReadTx, job_ids: Iterable[str]) -> dict[str, int]:
    """Return how many forms of unclear texts of each job wait for an answer; jobs without any are left out."""
    waiting = alerts.c.subject_id.in_(set(job_ids)), alerts.c.kind == AlertKind.UNCLEAR, alerts.c.closed_at.is_(None)
    counted = select(alerts.c.subject_id, func.count().label("number")).where(*waiting).group_by(alerts.c.subject_id)
    return {row.subject_id: row.number for row in await tx.connection.execute(counted)}


@dataclass(frozen=True, slots=True)
class ReportedText:
    """An event whose outcome was read from words, with the run that it decides; None: it was not decided on yet."""

    event: StoredEvent
    run: Run | None
    form: TextForm


# As much of a log as its form depends on. The space keeps it longer than both ends, so that it has the form of the whole log.
_ENDS_OF_LOG = case(
    (func.length(events.c.log) <= 2 * BODY_ENDS_READ, events.c.log),
    else_=func.substr(events.c.log, 1, BODY_ENDS_READ)
    + " "
    + func.substr(events.c.log, func.length(events.c.log) - BODY_ENDS_READ + 1),
)


async def read_unclear_history(tx: ReadTx, job_id: str, event_ids: Iterable[str]) -> UnclearHistory:
    """Return the job's unclear runs since its last proven one. `event_ids`: the events that its open unclear alerts rest on."""
    of_job = runs.c.job_id == job_id
    proven = newest_of((await newest_by_outcome(tx, [job_id]))[job_id], *PROVEN)
    since = [] if proven is None else [runs.c.ended_at >= proven.ended_at]
    texts = (
        select(runs, _ENDS_OF_LOG.label("body"), events.c.message.label("subject"))
        .outerjoin(events, events.c.id == runs.c.event_id)
        .where(of_job, runs.c.outcome == RunOutcome.UNCLEAR, runs.c.ended_at.is_not(None), *since)
        .order_by(runs.c.ended_at.desc(), runs.c.run_key.desc())
        .limit(NEWEST_TEXTS)
    )
    # Through the events, because no index of the runs begins with the event that decided them.
    theirs = select(events.c.run_id).where(events.c.id.in_(set(event_ids)), events.c.run_id.is_not(None))
    rested_on = select(runs).where(runs.c.id.in_(theirs), of_job)
    found = UnclearHistory(
        tuple(
            UnclearText(RUNS.mapping.read(row), form_of(row.subject or row.message or "", row.body or "").key)
            for row in reversed((await tx.connection.execute(texts)).all())
        ),
        proven,
        {row.event_id: RUNS.mapping.read(row) for row in await tx.connection.execute(rested_on)},
    )
    return replace(found, texts=tuple(text for text in found.texts if not found.is_answered(text.run)))


async def forms_reported_before(tx: ReadTx, job_id: str, since: datetime) -> set[str]:
    """Return the forms of which this job had an alert since then that is closed, among its newest alerts."""
    newest = select(alerts).where(alerts.c.subject_id == job_id).order_by(alerts.c.id.desc()).limit(NEWEST_ALERTS)
    newest_of_it = newest.subquery()
    closed = newest_of_it.c.kind == AlertKind.UNCLEAR, newest_of_it.c.closed_at >= since
    return set((await tx.connection.scalars(select(newest_of_it.c.form).where(*closed).distinct())).all())


async def find_reported_text(tx: ReadTx, event_id: str) -> ReportedText:
    """Return an event with its run. Raises NotFound."""
    event = await EVENTS.get(tx, event_id)
    row = (await tx.connection.execute(select(runs).where(runs.c.id == event.run_id))).one_or_none()
    form = form_of(event.message or "", event.log or "")
    return ReportedText(event, None if row is None else RUNS.mapping.read(row), form)


async def find_unclear_alerts(tx: ReadTx, customer_id: str, form: str) -> list[Alert]:
    """Return the open unclear alerts of a customer about texts of this form."""
    about = alerts.c.customer_id == customer_id, alerts.c.kind == AlertKind.UNCLEAR, alerts.c.form == form
    query = select(alerts).where(*about, alerts.c.closed_at.is_(None)).order_by(alerts.c.id)
    return [ALERTS.mapping.read(row) for row in await tx.connection.execute(query)]


async def lock_open_alerts(tx: WriteTx, ids: Collection[str]) -> list[Alert]:
    """Return those of these alerts that are still open, locked until the commit."""
    query = select(alerts).where(alerts.c.id.in_(ids), alerts.c.closed_at.is_(None)).order_by(alerts.c.id)
    return [ALERTS.mapping.read(row) for row in await tx.connection.execute(query.with_for_update())]


async def find_unclear_texts(tx: ReadTx, job_ids: Iterable[str], form: str) -> list[ReportedText]:
    """Return the texts of this form, among the newest of the jobs, whose runs are unclear."""
    unclear = (
        select(runs)
        .where(runs.c.job_id.in_(set(job_ids)), runs.c.outcome == RunOutcome.UNCLEAR)
        .order_by(runs.c.id.desc())
        .limit(MOST_ANSWERED)
    )
    by_event = {row.event_id: RUNS.mapping.read(row) for row in await tx.connection.execute(unclear)}
    head = _ENDS_OF_LOG.label("log")
    columns = [head if column is events.c.log else column for column in EVENTS.mapping.columns]
    found: list[ReportedText] = []
    for row in await tx.connection.execute(select(*columns).where(events.c.id.in_(by_event))):
        event = EVENTS.mapping.read(row)
        form_of_event = form_of(event.message or "", event.log or "")
        if form_of_event.key == form:
            found.append(ReportedText(event, by_event[event.id], form_of_event))
    return found
