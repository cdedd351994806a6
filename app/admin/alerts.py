"""What administrators do to alerts: acknowledge one, so that its notices are not repeated, or close it by hand; and take that back."""

from dataclasses import replace
from datetime import datetime, timedelta

from app.admin.audit import done_at, note
from app.admin.editing import Editor
from app.core.errors import Conflict, NotFound
from app.core.ids import new_id
from app.domain.alert import Alert, AlertKind
from app.domain.dedupe import notice_key
from app.domain.job import overrun_since
from app.domain.notice import URGENCY_RECOVERY, Notice, NoticeKind, NoticeState
from app.store import alerts, runs
from app.store.jobs import lock_jobs_by_id, save_jobs
from app.store.notices import (
    delete_waiting_acknowledgements,
    insert_notices,
    restore_waiting,
    resume_repeats,
    suppress_waiting,
    worded_for,
)
from app.store.routing import recipients_by_id
from app.store.run_history import proven_ends
from app.store.transactions import WriteTx


async def acknowledge_alert(tx: WriteTx, alert_id: str, name: str | None, comment: str | None, by: Editor) -> bool:
    """Store who takes the alert on, and return True; if somebody has it already, they stay. Raises NotFound, and Conflict if it is closed."""
    alert = await _lock_open_alert(tx, alert_id)
    if alert.acknowledged_at is not None:
        return False
    who = name or by.who
    await alerts.acknowledge(tx, alert_id, f"{who} ({comment})"[:200] if comment else who, by.who_id, by.at)
    await note(tx, by, "acknowledge", "alert", alert_id, {"name": who, "comment": comment})
    return True


async def take_over_alert(tx: WriteTx, alert_id: str, comment: str | None, by: Editor) -> None:
    """Store that somebody else has the alert from now on. Raises NotFound, and Conflict if it is closed."""
    alert = await _lock_open_alert(tx, alert_id)
    await alerts.acknowledge(tx, alert_id, f"{by.who} ({comment})"[:200] if comment else by.who, by.who_id, by.at)
    await note(tx, by, "take-over", "alert", alert_id, {"name": by.who, "was": alert.acknowledged_by})


async def undo_acknowledgement(tx: WriteTx, at: datetime, by: Editor) -> list[str]:
    """Take back what this person acknowledged at this moment; return the ids of these alerts. Nobody has them again."""
    undone = [] if by.who_id is None else await alerts.release_acknowledged(tx, at, by.who_id)
    await delete_waiting_acknowledgements(tx, undone)
    await resume_repeats(tx, sorted(undone), by.at)
    for alert_id in undone:
        await note(tx, by, "undo-acknowledge", "alert", alert_id, {})
    return undone


async def release_alert(tx: WriteTx, alert: Alert, by: Editor) -> None:
    """Take back the acknowledgement of one alert, as it was read: a later one of somebody else stays."""
    if alert.acknowledged_at is not None and await alerts.release(tx, alert.id, alert.acknowledged_at):
        await delete_waiting_acknowledgements(tx, [alert.id])
        await resume_repeats(tx, [alert.id], by.at)  # it may have been acknowledged for hours
        await note(tx, by, "undo-acknowledge", "alert", alert.id, {})


async def undo_closing(tx: WriteTx, at: datetime, by: Editor) -> list[str]:
    """Open again what this person closed at this moment; return the ids of these alerts.

    Its notices that waited are decided on again, and its repeats go on. An alert is left out if a newer one of its kind is open, or
    if it was about a run that takes too long: that run is given up by the closing.
    """
    closed = [alert for alert in await alerts.lock_closed_at(tx, at) if alert.kind is not AlertKind.OVERRUN]
    own = await done_at(tx, by, "close", "alert", at)
    mine = [alert for alert in closed if alert.id in own]
    reopened = await alerts.reopen(tx, mine)
    await restore_waiting(tx, {alert.id: alert.closed_reason or "" for alert in reopened}, by.at)
    tx.after_commit(lambda: by.wake("events"))  # deciding judges them again
    for alert in reopened:
        await note(tx, by, "undo-close", "alert", alert.id, {})
    return [alert.id for alert in reopened]


async def tell_others(
    tx: WriteTx,
    alert_id: str,
    but: str | None,
    by: Editor,
    after: timedelta = timedelta(0),
    but_recipient: str | None = None,
) -> int:
    """Leave a notice for each recipient who was notified of the alert, `but` those at the address of who has it now; return how many.

    `but_recipient`: the id of one who knows it without an address, because it was acknowledged in a program of theirs.

    Once for each alert and recipient, however often it is taken on. Alerts that one message reported are reported together again.
    `after`: how long the notices wait, so that what is undone at once is sent to nobody.
    """
    sent = {notice.recipient_id: notice for notice in (await worded_for(tx, [alert_id])).get(alert_id, ())}
    known = await recipients_by_id(tx, [id_ for id_ in sent if id_ is not None])
    own = {id_ for id_, one in known.items() if but is not None and one.has_address(but)} | {but_recipient}
    made = [
        Notice(
            id=new_id("ntc"),
            what=NoticeKind.ACKNOWLEDGED,
            state=NoticeState.WAITING,
            reason=f"notified of this alert at {notice.due_at:%Y-%m-%d %H:%M} UTC; {by.who} acknowledged it",
            due_at=by.at + after,
            group_key=f"acknowledged {notice.message_id or alert_id}",
            urgency=URGENCY_RECOVERY,
            dedupe=notice_key(alert_id, NoticeKind.ACKNOWLEDGED, "", recipient_id or "", ""),
            created_at=by.at,
            customer_id=notice.customer_id,
            recipient_id=recipient_id,
            route_id=notice.route_id,
            alert_id=alert_id,
        )
        for recipient_id, notice in sent.items()
        if recipient_id not in own
    ]
    await insert_notices(tx, made)
    tx.after_commit(lambda: by.wake("notices"))
    return len(made)


async def close_alert(tx: WriteTx, alert_id: str, reason: str, by: Editor) -> None:
    """Close an alert and suppress its notices that still wait. Raises NotFound, and Conflict if it is closed already.

    A later failure opens a new alert. Of runs that take too long, no end is expected any more.
    """
    # The job first, as deciding locks them: in the other order, both could wait for each other.
    stored = await alerts.ALERTS.find(tx, alert_id)
    is_overrun = stored is not None and stored.kind is AlertKind.OVERRUN
    locked = await lock_jobs_by_id(tx, [stored.subject_id]) if stored is not None and is_overrun else []
    alert = await _lock_open_alert(tx, alert_id)
    for job in locked:
        await runs.give_up_overruns(tx, job.id)
        began = await runs.jobs_with_open_runs(tx, [job.id])
        since = overrun_since(job, None, (await proven_ends(tx, [job.id])).get(job.id))
        await save_jobs(tx, [replace(job, running_since=began.get(job.id), overrun_since=since)])
    closed_reason = f"closed by {by.who}: {reason}"
    await alerts.close_alerts(tx, [(alert, closed_reason)], by.at)
    await suppress_waiting(tx, {alert_id: closed_reason})
    await note(tx, by, "close", "alert", alert_id, {"reason": reason})


async def _lock_open_alert(tx: WriteTx, alert_id: str) -> Alert:
    alert = await alerts.lock_alert(tx, alert_id)
    if alert is None:
        raise NotFound(f"there is no alert {alert_id}")
    if alert.closed_at is not None:
        raise Conflict(f"the alert is closed already ({alert.closed_reason})", code="closed")
    return alert
