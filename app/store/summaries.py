"""Summary schedules, as administrators edit them; and the summaries made from them: found when they are due, made once."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.ids import new_id
from app.domain.summary_schedule import SummarySchedule
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable
from app.store.tables_managed import summaries, summary_schedules
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
    schedule = await SUMMARY_SCHEDULES.get(tx, row.schedule_id)
    return Summary(summary_id, schedule, row.number, row.period_start, row.period_end)
