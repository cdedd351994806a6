"""Summaries: their schedules, the jobs and the period of each, made once when they are due, and the numbers that are lacking.

Numbers are lacking where a summary was sent and the database was put back to an older state since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import (
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.core.ids import new_id
from app.core.log import log
from app.domain.summary_schedule import SummarySchedule
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable
from app.store.tables_managed import summaries, summary_gaps, summary_schedules
from app.store.transactions import ReadTx, WriteTx

MOST_DUE = 100
SUMMARY_SCHEDULES = Repository(
    summary_schedules,
    SummarySchedule,
    noun="summary schedule",
    prefix="sch",
    edited=(
        "name",
        "customer_id",
        "enabled",
        "every",
        "hour",
        "minute",
        "weekday",
        "month_day",
        "time_zone",
        "matchers",
        "recipients",
    ),
)


async def page_summary_schedules(
    tx: ReadTx,
    window: Window,
    *,
    customer_id: str | None = None,
    name: str | None = None,
    enabled: bool | None = None,
) -> Page[SummarySchedule]:
    """Return summary schedules in the order of their ids, filtered."""
    same = equals(summary_schedules, customer_id=customer_id, name=name, enabled=enabled)
    return await SUMMARY_SCHEDULES.page(tx, same, window)


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary that was made: its number and the period that it covers."""

    id: str
    schedule: SummarySchedule
    number: int
    period_start: datetime
    period_end: datetime


async def schedules_due(tx: ReadTx, now: datetime) -> list[str]:
    """Return the ids of enabled schedules whose time has come and that can be read, at most MOST_DUE."""
    due = select(summary_schedules).where(summary_schedules.c.enabled, summary_schedules.c.next_at <= now)
    rows = await tx.connection.execute(due.order_by(summary_schedules.c.next_at))
    return [schedule.id for schedule in readable(rows, SUMMARY_SCHEDULES.mapping.read, "summary schedule")[:MOST_DUE]]


async def claim_due_schedule(tx: WriteTx, schedule_id: str, now: datetime) -> SummarySchedule | None:
    """Return a schedule, locked until the commit; None if it is no longer due, or another worker makes its summary."""
    due = summary_schedules.c.id == schedule_id, summary_schedules.c.enabled, summary_schedules.c.next_at <= now
    row = (
        await tx.connection.execute(select(summary_schedules).where(*due).with_for_update(skip_locked=True))
    ).one_or_none()
    return None if row is None else SUMMARY_SCHEDULES.mapping.read(row)


async def set_next_summary(tx: WriteTx, schedule_id: str, next_at: datetime) -> None:
    """Set when the schedule is due next."""
    await tx.connection.execute(
        update(summary_schedules).where(summary_schedules.c.id == schedule_id).values(next_at=next_at)
    )


async def last_period_end(tx: ReadTx, schedule_id: str) -> datetime | None:
    """Return the end of the newest period that a regular summary covers."""
    regular = (summaries.c.schedule_id == schedule_id) & summaries.c.on_demand.is_(False)
    moment: datetime | None = await tx.connection.scalar(select(func.max(summaries.c.period_end)).where(regular))
    return moment


async def insert_summary(
    tx: WriteTx, schedule: SummarySchedule, *, start: datetime, end: datetime, now: datetime, on_demand: bool
) -> str | None:
    """Number and store a summary; return its id, or None if this schedule already has one up to `end`."""
    summary_id = new_id("sum")
    inserted = (sqlite.insert if tx.is_sqlite else postgresql.insert)(summaries).on_conflict_do_nothing()
    made = await tx.connection.execute(
        inserted.values(
            id=summary_id,
            schedule_id=schedule.id,
            number=schedule.last_number + 1,
            period_start=start,
            period_end=end,
            on_demand=on_demand,
            made_at=now,
        )
    )
    if made.rowcount != 1:
        return None
    await tx.connection.execute(
        update(summary_schedules)
        .where(summary_schedules.c.id == schedule.id)
        .values(last_number=schedule.last_number + 1)
    )
    return summary_id


async def find_summary(tx: ReadTx, summary_id: str) -> Summary | None:
    """Return a summary with its schedule."""
    row = (await tx.connection.execute(select(summaries).where(summaries.c.id == summary_id))).one_or_none()
    if row is None:
        return None
    schedule = await SUMMARY_SCHEDULES.get(tx, row.schedule_id)
    return Summary(summary_id, schedule, row.number, row.period_start, row.period_end)


@dataclass(frozen=True, slots=True)
class SummaryGap:
    """Summaries of a schedule, from the first to the last number, that were sent and are not known here."""

    schedule: str  # its name
    first: int
    last: int
    noticed_at: datetime


async def summary_numbers(tx: ReadTx) -> dict[str, int]:
    """Return the number of the newest summary of each schedule, by its id."""
    rows = await tx.connection.execute(select(summary_schedules.c.id, summary_schedules.c.last_number))
    return {row.id: row.last_number for row in rows}


async def jump_ahead(tx: WriteTx, sent: Mapping[str, int], now: datetime) -> list[SummaryGap]:
    """Let schedules continue after the numbers that were sent already, and return the gaps; none where a schedule is that far."""
    query = select(summary_schedules.c.id, summary_schedules.c.name, summary_schedules.c.last_number)
    locked = query.where(summary_schedules.c.id.in_(sent)).order_by(summary_schedules.c.id).with_for_update()
    gaps = []
    for row in (await tx.connection.execute(locked)).all():
        last = sent[row.id]
        if row.last_number >= last:
            continue
        gap = SummaryGap(row.name, row.last_number + 1, last, now)
        values = {"id": new_id("gap"), "schedule_id": row.id, "first_number": gap.first, "last_number": last}
        await tx.connection.execute(insert(summary_gaps).values(**values, noticed_at=now))
        await tx.connection.execute(
            update(summary_schedules).where(summary_schedules.c.id == row.id).values(last_number=last)
        )
        gaps.append(gap)
        tx.after_commit(partial(_report_gap, gap))
    return gaps


def _report_gap(gap: SummaryGap) -> None:
    log.error(
        "the database was put back to an older state: it does not know the last summaries that were sent",
        schedule=gap.schedule,
        first=gap.first,
        last=gap.last,
    )


async def gap_before(tx: ReadTx, schedule_id: str, number: int) -> tuple[int, int] | None:
    """Return the first and last number that the database lacks directly before a summary, or None."""
    gaps = await tx.fetch(_GAP_BEFORE, schedule_id=schedule_id, last_number=number - 1)
    return (gaps[0][0], gaps[0][1]) if gaps else None


_GAP_BEFORE = Prepared(
    lambda _: select(summary_gaps.c.first_number, summary_gaps.c.last_number).where(
        summary_gaps.c.schedule_id == bindparam("schedule_id"), summary_gaps.c.last_number == bindparam("last_number")
    )
)


async def gaps_since(tx: ReadTx, moment: datetime) -> list[SummaryGap]:
    """Return the gaps that were noticed since a moment, oldest first."""
    query = select(summary_gaps, summary_schedules.c.name).join(
        summary_schedules, summary_schedules.c.id == summary_gaps.c.schedule_id
    )
    rows = await tx.connection.execute(query.where(summary_gaps.c.noticed_at >= moment).order_by(summary_gaps.c.id))
    return [SummaryGap(row.name, row.first_number, row.last_number, row.noticed_at) for row in rows]
