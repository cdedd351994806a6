"""What deciding needs of the unclear runs of a job: their texts, the run that answers them, and which forms were reported before."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select

from app.domain.alert import AlertKind
from app.domain.event import PROVEN, RunOutcome
from app.domain.text_form import BODY_READ, form_of
from app.domain.unclear import UnclearHistory, UnclearText
from app.store.runs import RUNS
from app.store.tables import alerts, events, runs
from app.store.transactions import ReadTx

NEWEST_TEXTS = 50  # of a job's unclear runs since its last proven one; a text costs up to a millisecond


async def read_unclear_history(tx: ReadTx, job_id: str, event_ids: Iterable[str]) -> UnclearHistory:
    """Return the job's unclear runs since its last proven one. `event_ids`: the events that its open unclear alerts rest on."""
    of_job = runs.c.job_id == job_id
    ended = select(runs).where(of_job, runs.c.ended_at.is_not(None))
    newest = ended.where(runs.c.outcome.in_(PROVEN)).order_by(runs.c.ended_at.desc(), runs.c.run_key.desc()).limit(1)
    row = (await tx.connection.execute(newest)).first()
    proven = None if row is None else RUNS.mapping.read(row)
    since = [] if proven is None else [runs.c.ended_at >= proven.ended_at]
    texts = (
        select(runs, func.substr(events.c.log, 1, BODY_READ).label("body"), events.c.message.label("subject"))
        .outerjoin(events, events.c.id == runs.c.event_id)
        .where(of_job, runs.c.outcome == RunOutcome.UNCLEAR, *since)
        .order_by(runs.c.ended_at.desc(), runs.c.run_key.desc())
        .limit(NEWEST_TEXTS)
    )
    rested_on = select(runs).where(of_job, runs.c.event_id.in_(set(event_ids)))
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
    """Return the forms of which this job had an alert since then that is closed."""
    query = select(alerts.c.form).where(
        alerts.c.subject_id == job_id, alerts.c.kind == AlertKind.UNCLEAR, alerts.c.closed_at >= since
    )
    return set((await tx.connection.scalars(query.distinct())).all())
