"""Decides that a summary is due, once for each schedule and period even after a crash; even if all is well. It does not render it."""

from datetime import datetime, timedelta

from app.context import AppContext
from app.core.ids import new_id
from app.core.log import log
from app.decide.summary_numbers import keep_numbers
from app.domain.calendar import next_time, previous_time, whole_period_until
from app.domain.dedupe import group_key, summary_key
from app.domain.notice import URGENCY_SUMMARY, Notice, NoticeKind, NoticeState
from app.domain.summary_schedule import SummarySchedule
from app.store import notices
from app.store.summaries import (
    MOST_DUE,
    SUMMARY_SCHEDULES,
    claim_due_schedule,
    insert_summary,
    last_period_end,
    schedules_due,
    set_next_summary,
)
from app.store.transactions import WriteTx


async def tick(context: AppContext) -> bool:
    """Make the summaries that are due, each in a transaction of its own; True if there may be more."""
    now = context.clock()
    await keep_numbers(context)  # first: after a restore, the next summary must not repeat a number
    async with context.database.read() as tx:
        due = await schedules_due(tx, now)
    for schedule_id in due:
        async with context.database.write() as tx:
            if (schedule := await claim_due_schedule(tx, schedule_id, now)) is not None:
                await _make_regular(tx, schedule, now)
                tx.after_commit(lambda: context.wakeups.wake("notices"))
    if due:
        await keep_numbers(context)
    return len(due) == MOST_DUE


async def _make_regular(tx: WriteTx, schedule: SummarySchedule, now: datetime) -> None:
    try:
        end, next_at = newest_due(schedule, now), next_time(schedule.recurrence, now)
    except Exception:  # noqa: BLE001  (one schedule, such as one with a time zone that no longer exists, must not stop all others)
        log.exception("a summary schedule cannot be read; it is tried again in an hour", schedule=schedule.id)
        await set_next_summary(tx, schedule.id, now + timedelta(hours=1))
        return
    await _make(tx, schedule, end, now, on_demand=False)
    await set_next_summary(tx, schedule.id, next_at)


def newest_due(schedule: SummarySchedule, now: datetime) -> datetime:
    """Return the end of the newest period that is over: after an outage of days one summary is made, which covers them all."""
    newest = previous_time(schedule.recurrence, now)
    return newest if schedule.next_at is None else max(schedule.next_at, newest)


async def make_now(tx: WriteTx, schedule_id: str, now: datetime) -> str | None:
    """Make a summary up to now, which an administrator asked for; return its id, or None where there is no such schedule.

    It does not change the schedule: the regular summary is still made, and covers the whole period.
    """
    schedule = await SUMMARY_SCHEDULES.find(tx, schedule_id, for_change=True)
    if schedule is None:
        return None
    return await _make(tx, schedule, now, now, on_demand=True)


async def _make(tx: WriteTx, schedule: SummarySchedule, end: datetime, now: datetime, *, on_demand: bool) -> str | None:
    if on_demand:
        start = whole_period_until(schedule.recurrence, end)
    else:
        start = previous_time(schedule.recurrence, end)
        start = min(start, await last_period_end(tx, schedule.id) or start)
    summary_id = await insert_summary(tx, schedule, start=start, end=end, now=now, on_demand=on_demand)
    if summary_id is None:
        return None  # another worker made it
    why = f"summary '{schedule.name}' up to {end:%Y-%m-%d %H:%M} UTC" + (
        ", asked for by an administrator" if on_demand else ""
    )
    made = [
        Notice(
            id=new_id("ntc"),
            what=NoticeKind.SUMMARY,
            state=NoticeState.WAITING,
            reason=why,
            due_at=now,
            group_key=group_key(summary_id, (recipient_id,)),
            urgency=URGENCY_SUMMARY,
            dedupe=summary_key(summary_id, recipient_id),
            created_at=now,
            customer_id=schedule.customer_id,
            recipient_id=recipient_id,
            summary_id=summary_id,
        )
        for recipient_id in dict.fromkeys(schedule.recipients)
    ]
    await notices.insert_notices(tx, made)
    return summary_id
