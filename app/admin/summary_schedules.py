"""What administrators do to summary schedules. A change of its times moves the next summary, and never sends one twice."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from app.admin import editing
from app.admin.audit import note
from app.admin.editing import Editor
from app.admin.references import check_customer, check_recipients
from app.domain.calendar import next_time
from app.domain.summary_schedule import SummarySchedule
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.transactions import WriteTx


async def create_summary_schedule(tx: WriteTx, schedule: SummarySchedule, by: Editor) -> SummarySchedule:
    """Add a summary schedule. Raises BadInput if its customer or a recipient does not exist, Conflict if the name is taken."""
    await check_customer(tx, schedule.customer_id)
    await check_recipients(tx, schedule.recipients)
    return await editing.insert(tx, SUMMARY_SCHEDULES, _with_next(schedule, by.at), by)


async def update_summary_schedule(
    tx: WriteTx,
    schedule_id: str,
    edit: Callable[[SummarySchedule], SummarySchedule],
    by: Editor,
    *,
    versions: Collection[int] | None = None,
) -> SummarySchedule:
    """Change a summary schedule. Raises NotFound, StaleEdit, BadInput, Conflict."""
    before = await editing.lock_to_change(tx, SUMMARY_SCHEDULES, schedule_id, by, versions)
    after = edit(before)
    if after == before:
        return before
    if after.customer_id != before.customer_id:
        await check_customer(tx, after.customer_id)
    if after.recipients != before.recipients:
        await check_recipients(tx, after.recipients)
    if (after.enabled, after.recurrence) != (before.enabled, before.recurrence):
        after = _with_next(after, by.at)
    return await editing.save(tx, SUMMARY_SCHEDULES, before, after, by)


async def delete_summary_schedule(
    tx: WriteTx, schedule_id: str, by: Editor, *, versions: Collection[int] | None = None
) -> None:
    """Delete a summary schedule with its summaries. Raises NotFound, StaleEdit."""
    schedule = await editing.lock_to_delete(tx, SUMMARY_SCHEDULES, schedule_id, versions)
    await editing.delete(tx, SUMMARY_SCHEDULES, schedule, by)


async def leave_summary(tx: WriteTx, schedule_id: str, recipient_id: str, by: Editor) -> SummarySchedule | None:
    """Send the summary no more to a recipient who does not want it; None if it was not sent to them any more. Raises NotFound.

    A schedule whose last recipient leaves is switched off: one without recipients could not be edited.
    """
    before = await editing.lock(tx, SUMMARY_SCHEDULES, schedule_id)
    if recipient_id not in before.recipients or not before.enabled:
        return None
    others = tuple(one for one in before.recipients if one != recipient_id)
    after = replace(before, recipients=others) if others else replace(before, enabled=False)
    return await editing.save(tx, SUMMARY_SCHEDULES, before, after, by)


async def note_summary_sent(tx: WriteTx, schedule_id: str, summary_id: str, by: Editor) -> None:
    """Add the audit entry of a summary that an administrator had sent at once, and have its notices composed after the commit."""
    await note(tx, by, "send", SUMMARY_SCHEDULES.noun, schedule_id, {"summary_id": summary_id})
    tx.after_commit(lambda: by.wake("notices"))


def _with_next(schedule: SummarySchedule, now: datetime) -> SummarySchedule:
    """Return the schedule with the time of its next summary; None while it is disabled."""
    return replace(schedule, next_at=next_time(schedule.recurrence, now) if schedule.enabled else None)
