"""Numbers of summaries that were sent and that the database lacks, since it was put back to an older state."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import insert, select, update

from app.core.ids import new_id
from app.core.log import log
from app.store.tables_managed import summary_gaps, summary_schedules
from app.store.transactions import ReadTx, WriteTx


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
        tx.after_commit(partial(_report, gap))
    return gaps


def _report(gap: SummaryGap) -> None:
    log.error(
        "the database was put back to an older state: it does not know the last summaries that were sent",
        schedule=gap.schedule,
        first=gap.first,
        last=gap.last,
    )


async def gap_before(tx: ReadTx, schedule_id: str, number: int) -> tuple[int, int] | None:
    """Return the first and last number that the database lacks directly before a summary, or None."""
    row = (
        await tx.connection.execute(
            select(summary_gaps.c.first_number, summary_gaps.c.last_number).where(
                summary_gaps.c.schedule_id == schedule_id, summary_gaps.c.last_number == number - 1
            )
        )
    ).first()
    return None if row is None else (row.first_number, row.last_number)


async def gaps_since(tx: ReadTx, moment: datetime) -> list[SummaryGap]:
    """Return the gaps that were noticed since a moment, oldest first."""
    query = select(summary_gaps, summary_schedules.c.name).join(
        summary_schedules, summary_schedules.c.id == summary_gaps.c.schedule_id
    )
    rows = await tx.connection.execute(query.where(summary_gaps.c.noticed_at >= moment).order_by(summary_gaps.c.id))
    return [SummaryGap(row.name, row.first_number, row.last_number, row.noticed_at) for row in rows]
