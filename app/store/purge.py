"""Deletes rows that are too old, in small batches, but none that are unfinished or that an open alert refers to; and stores how long rows are kept.

Ids sort by the time of their making, so "older than" is a range of the primary key and needs no index of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Table, and_, delete, exists, insert, select, text, tuple_, update

from app.domain.retention import Retention
from app.store.tables import (
    alerts,
    attempts,
    bodies,
    canaries,
    events,
    groups,
    ignored_mails,
    job_days,
    jobs,
    messages,
    notices,
    returned_mails,
    runs,
)
from app.store.tables_managed import audit, retention, summaries
from app.store.transactions import ReadTx, WriteTx

BATCH = 100
_FIRST = ""  # sorts before every id
_UNSETTLED = ("queued", "leased", "unknown")


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many rows a batch has deleted, and the last of their ids: the next batch need not look again at older rows, which were kept."""

    rows: int
    last_id: str = _FIRST


async def purge_events(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete events that were decided on and on which no open alert rests."""
    oldest = _oldest("evt", before)
    # Read once: looked up for each event, it would cost the number of events times that of open alerts.
    rested_on = select(alerts.c.event_id).where(text("alerts.closed_at IS NULL"), alerts.c.event_id < oldest)
    return await _purge(
        tx, events, after, [events.c.id < oldest, events.c.state != "new", events.c.id.not_in(rested_on)]
    )


async def purge_ignored_mails(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete mails that reported nothing."""
    return await _purge(tx, ignored_mails, after, [ignored_mails.c.id < _oldest("ign", before)])


async def purge_returned_mails(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete mails that came back and were read, or could not be."""
    is_done = returned_mails.c.state != "new"
    return await _purge(tx, returned_mails, after, [returned_mails.c.id < _oldest("ret", before), is_done])


async def purge_runs(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete runs, except each job's last one."""
    is_last = exists().where(jobs.c.id == runs.c.job_id, jobs.c.last_run_id == runs.c.id)
    return await _purge(tx, runs, after, [runs.c.id < _oldest("run", before), runs.c.heard_at < before, ~is_last])


async def purge_job_days(tx: WriteTx, before: date) -> Deleted:
    """Delete daily sums."""
    key = (job_days.c.customer_id, job_days.c.job_id, job_days.c.day)
    old = (await tx.connection.execute(select(*key).where(job_days.c.day < before).limit(BATCH))).all()
    if old:
        await tx.connection.execute(delete(job_days).where(tuple_(*key).in_([tuple(row) for row in old])))
    return Deleted(len(old))


async def purge_alerts(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete alerts that were closed."""
    return await _purge(tx, alerts, after, [alerts.c.closed_at < before])


async def purge_notices(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete notices that were composed or suppressed, but not those of an open alert or of an unsettled message."""
    of_open = exists().where(alerts.c.id == notices.c.alert_id, alerts.c.closed_at.is_(None))
    on_its_way = exists().where(messages.c.id == notices.c.message_id, messages.c.state.in_(_UNSETTLED))
    done = notices.c.state.in_(("worded", "suppressed"))
    return await _purge(tx, notices, after, [notices.c.id < _oldest("ntc", before), done, ~of_open, ~on_its_way])


async def purge_messages(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete settled messages with their bodies and attempts, except those to which a notice or an unsettled successor refers."""
    named = exists().where(notices.c.message_id == messages.c.id)
    next_one = messages.alias("next_one")
    goes_on = exists().where(next_one.c.id == messages.c.moved_to, next_one.c.state.in_(_UNSETTLED))
    settled = and_(messages.c.settled_at < before, messages.c.state.not_in(_UNSETTLED))
    old = (
        select(messages.c.id)
        .where(messages.c.id > after, messages.c.id < _oldest("msg", before), settled, ~named, ~goes_on)
        .order_by(messages.c.id)
        .limit(BATCH)
        .with_for_update(
            skip_locked=True, of=messages
        )  # otherwise a message that is being queued again would be deleted too
    )
    ids = list((await tx.connection.execute(old)).scalars())
    if ids:
        for belonging in (attempts, bodies):
            await tx.connection.execute(delete(belonging).where(belonging.c.message_id.in_(ids)))
        await tx.connection.execute(delete(messages).where(messages.c.id.in_(ids)))
    return Deleted(len(ids), max(ids, default=_FIRST))


async def purge_groups(tx: WriteTx, before: datetime) -> Deleted:
    """Delete when groups were last sent that have been quiet for so long: the next alert of each starts the group again anyway."""
    key = (groups.c.route_id, groups.c.group_key)
    old = (await tx.connection.execute(select(*key).where(groups.c.told_at < before).limit(BATCH))).all()
    if old:
        await tx.connection.execute(
            delete(groups).where(groups.c.told_at < before, tuple_(*key).in_([tuple(row) for row in old]))
        )
    return Deleted(len(old))


async def purge_summaries(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete summaries, except one that is still to be composed and each schedule's newest: the next one begins where it ended."""
    waits = exists().where(text("notices.state IN ('waiting', 'muted')"), notices.c.summary_id == summaries.c.id)
    later = summaries.alias("later")
    has_later = exists().where(
        later.c.schedule_id == summaries.c.schedule_id,
        later.c.on_demand.is_(False),
        later.c.period_end > summaries.c.period_end,
    )
    return await _purge(tx, summaries, after, [summaries.c.id < _oldest("sum", before), has_later, ~waits])


async def purge_canaries(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete canaries, except those that may still arrive or whose alert is open."""
    done = canaries.c.state != "waiting", canaries.c.is_reported.is_(False)
    return await _purge(tx, canaries, after, [canaries.c.id < _oldest("cny", before), *done])


async def purge_audit(tx: WriteTx, before: datetime, after: str = _FIRST) -> Deleted:
    """Delete entries of the audit log."""
    return await _purge(tx, audit, after, [audit.c.id < _oldest("aud", before)])


async def _purge(tx: WriteTx, table: Table, after: str, old: Sequence[ColumnElement[bool]]) -> Deleted:
    chosen = select(table.c.id).where(table.c.id > after, *old).order_by(table.c.id).limit(BATCH)
    gone = delete(table).where(table.c.id.in_(chosen)).returning(table.c.id)
    ids = list((await tx.connection.execute(gone)).scalars())
    return Deleted(len(ids), max(ids, default=_FIRST))


def _oldest(noun: str, moment: datetime) -> str:
    """Return the text below which every id with the prefix `noun` was created before `moment` (see core/ids.py)."""
    return f"{noun}_{max(0, int(moment.timestamp() * 1000)):012x}"


_ONLY_RETENTION = 1  # the table has one row, or none as long as the settings hold


async def find_retention(tx: ReadTx, *, for_change: bool = False) -> Retention | None:
    """Return what administrators set, or None."""
    query = select(retention).where(retention.c.id == _ONLY_RETENTION)
    row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
    return None if row is None else Retention(row.keep_events_days, row.keep_history_days, row.version)


async def save_retention(tx: WriteTx, kept: Retention) -> None:
    """Store what administrators set, with its version."""
    values = {
        "keep_events_days": kept.keep_events_days,
        "keep_history_days": kept.keep_history_days,
        "version": kept.version,
    }
    done = await tx.connection.execute(update(retention).where(retention.c.id == _ONLY_RETENTION).values(**values))
    if done.rowcount == 0:
        await tx.connection.execute(insert(retention).values(id=_ONLY_RETENTION, **values))
