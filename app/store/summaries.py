"""Summary schedules and the summaries made from them: found when they are due, made once, moved on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.ids import new_id
from app.domain.calendar import Frequency, Recurrence
from app.domain.matcher import Matcher
from app.store.json_forms import matchers_of
from app.store.readable import readable
from app.store.tables_managed import summaries, summary_schedules
from app.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a summary is made, of which jobs, for whom."""

    id: str
    customer_id: str | None
    name: str
    recurrence: Recurrence
    matchers: tuple[Matcher, ...]
    recipients: tuple[str, ...]
    next_at: datetime
    last_number: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary that was made: its number and the period that it covers."""

    id: str
    schedule: Schedule
    number: int
    period_start: datetime
    period_end: datetime


async def schedules_due(tx: WriteTx, now: datetime) -> list[Schedule]:
    """Claim the enabled schedules whose time has come."""
    due = select(summary_schedules).where(summary_schedules.c.enabled, summary_schedules.c.next_at <= now).limit(100)
    rows = await tx.connection.execute(due.with_for_update(skip_locked=True))
    return readable(rows, lambda row: _schedule_of(row, now), "summary schedule")


async def lock_schedule(tx: WriteTx, schedule_id: str) -> Schedule | None:
    """Return one schedule, locked, because its number is about to be raised."""
    found = select(summary_schedules).where(summary_schedules.c.id == schedule_id).with_for_update()
    row = (await tx.connection.execute(found)).one_or_none()
    return None if row is None else _schedule_of(row, row.created_at)


async def move_on(tx: WriteTx, schedule_id: str, next_at: datetime) -> None:
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
    tx: WriteTx, schedule: Schedule, *, start: datetime, end: datetime, now: datetime, on_demand: bool
) -> str | None:
    """Number and store a summary; return its id, or None if this schedule already has one up to `end`."""
    summary_id = new_id("sum")
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(summaries).on_conflict_do_nothing()
    made = await tx.connection.execute(
        insert.values(
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
    schedule = (
        await tx.connection.execute(select(summary_schedules).where(summary_schedules.c.id == row.schedule_id))
    ).one()
    return Summary(
        id=summary_id,
        schedule=_schedule_of(schedule, row.period_end),
        number=row.number,
        period_start=row.period_start,
        period_end=row.period_end,
    )


async def find_schedule(tx: ReadTx, schedule_id: str) -> Schedule | None:
    """Return a schedule, for a preview."""
    row = (
        await tx.connection.execute(select(summary_schedules).where(summary_schedules.c.id == schedule_id))
    ).one_or_none()
    return None if row is None else _schedule_of(row, row.created_at)


def _schedule_of(row: Row[Any], otherwise: datetime) -> Schedule:
    return Schedule(
        id=row.id,
        customer_id=row.customer_id,
        name=row.name,
        recurrence=Recurrence(Frequency(row.every), row.hour, row.minute, row.weekday, row.month_day, row.time_zone),
        matchers=matchers_of(row.matchers),
        recipients=tuple(row.recipients),
        next_at=row.next_at or otherwise,
        last_number=row.last_number,
    )
