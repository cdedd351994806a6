"""Takes away what is too old, in small batches. It must not touch what is unfinished or what an open alert points at.

Ids sort by the time of their making, so "older than" is a range of the primary key and needs no index of its own.
"""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, Table, and_, delete, exists, select, text, tuple_

from app.store.tables import alerts, attempts, bodies, events, groups, job_days, jobs, messages, notices, runs
from app.store.tables_managed import audit, summaries
from app.store.transactions import WriteTx

BATCH = 500
_UNSETTLED = ("queued", "leased", "unknown")


async def purge_events(tx: WriteTx, before: datetime) -> int:
    """Remove events that were judged and on which no open alert rests; give how many."""
    rested_on = exists().where(alerts.c.event_id == events.c.id, alerts.c.closed_at.is_(None))
    return await _purge(tx, events, [events.c.id < _oldest("evt", before), events.c.state != "new", ~rested_on])


async def purge_runs(tx: WriteTx, before: datetime) -> int:
    """Remove runs, but for each job's last one."""
    is_last = exists().where(jobs.c.id == runs.c.job_id, jobs.c.last_run_id == runs.c.id)
    return await _purge(tx, runs, [runs.c.id < _oldest("run", before), runs.c.heard_at < before, ~is_last])


async def purge_job_days(tx: WriteTx, before: date) -> int:
    """Remove daily roll-ups."""
    key = (job_days.c.customer_id, job_days.c.job_id, job_days.c.day)
    old = (await tx.connection.execute(select(*key).where(job_days.c.day < before).limit(BATCH))).all()
    if old:
        await tx.connection.execute(delete(job_days).where(tuple_(*key).in_([tuple(row) for row in old])))
    return len(old)


async def purge_alerts(tx: WriteTx, before: datetime) -> int:
    """Remove alerts that were closed."""
    return await _purge(tx, alerts, [alerts.c.closed_at < before])


async def purge_notices(tx: WriteTx, before: datetime) -> int:
    """Remove notices that were worded or suppressed, but not those of an open alert or of a message that is still on its way."""
    of_open = exists().where(alerts.c.id == notices.c.alert_id, alerts.c.closed_at.is_(None))
    on_its_way = exists().where(messages.c.id == notices.c.message_id, messages.c.state.in_(_UNSETTLED))
    done = notices.c.state.in_(("worded", "suppressed"))
    return await _purge(tx, notices, [notices.c.id < _oldest("ntc", before), done, ~of_open, ~on_its_way])


async def purge_messages(tx: WriteTx, before: datetime) -> int:
    """Remove settled messages with their bodies and attempts, but not those that a notice or an unsettled successor still names."""
    named = exists().where(notices.c.message_id == messages.c.id)
    next_one = messages.alias("next_one")
    goes_on = exists().where(next_one.c.id == messages.c.moved_to, next_one.c.state.in_(_UNSETTLED))
    settled = and_(messages.c.settled_at < before, messages.c.state.not_in(_UNSETTLED))
    old = (
        select(messages.c.id)
        .where(messages.c.id < _oldest("msg", before), settled, ~named, ~goes_on)
        .order_by(messages.c.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True, of=messages)  # else one that is being queued anew would go all the same
    )
    ids = list((await tx.connection.execute(old)).scalars())
    if ids:
        for belonging in (attempts, bodies):
            await tx.connection.execute(delete(belonging).where(belonging.c.message_id.in_(ids)))
        await tx.connection.execute(delete(messages).where(messages.c.id.in_(ids)))
    return len(ids)


async def purge_groups(tx: WriteTx, before: datetime) -> int:
    """Forget when groups were told that have been quiet for so long: the next alert of each is the first of a quiet group anyway."""
    key = (groups.c.route_id, groups.c.group_key)
    old = (await tx.connection.execute(select(*key).where(groups.c.told_at < before).limit(BATCH))).all()
    if old:
        await tx.connection.execute(
            delete(groups).where(groups.c.told_at < before, tuple_(*key).in_([tuple(row) for row in old]))
        )
    return len(old)


async def purge_summaries(tx: WriteTx, before: datetime) -> int:
    """Remove summaries, but not one that is still to be worded, nor a schedule's newest: the next one begins where it ended."""
    waits = exists().where(text("notices.state IN ('waiting', 'muted')"), notices.c.summary_id == summaries.c.id)
    later = summaries.alias("later")
    has_later = exists().where(
        later.c.schedule_id == summaries.c.schedule_id,
        later.c.on_demand.is_(False),
        later.c.period_end > summaries.c.period_end,
    )
    return await _purge(tx, summaries, [summaries.c.id < _oldest("sum", before), has_later, ~waits])


async def purge_audit(tx: WriteTx, before: datetime) -> int:
    """Remove entries of the audit log."""
    return await _purge(tx, audit, [audit.c.id < _oldest("aud", before)])


async def _purge(tx: WriteTx, table: Table, old: Sequence[ColumnElement[bool]]) -> int:
    chosen = select(table.c.id).where(*old).order_by(table.c.id).limit(BATCH)
    return (await tx.connection.execute(delete(table).where(table.c.id.in_(chosen)))).rowcount


def _oldest(noun: str, moment: datetime) -> str:
    """Give the text below which every id of `noun` was made before `moment` (see base/ids.py)."""
    return f"{noun}_{max(0, int(moment.timestamp() * 1000)):012x}"
