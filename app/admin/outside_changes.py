"""What people do in PagerDuty or Opsgenie with an incident that we opened there: an acknowledgement there counts here."""

from app.admin.alerts import acknowledge_alert, release_alert, tell_others
from app.admin.editing import Editor
from app.context import AppContext
from app.domain.outside_change import OutsideChange, OutsideChangeKind
from app.store.alerts import is_newest_outside_change, lock_alert
from app.store.notices import worded_for
from app.store.transactions import WriteTx


async def apply_outside_change(tx: WriteTx, context: AppContext, event: OutsideChange, recipient_id: str) -> list[str]:
    """Do here what was done there; return the ids of the alerts that it changed.

    Only alerts that this recipient was notified of, and that are open, change. An incident that is resolved there counts as
    acknowledged here: only what proves that the backup works closes an alert. An acknowledgement is taken back only if it was
    made there. A report that is too old, or older than one before it, does nothing.
    """
    by = Editor(event.who, context.clock(), context.wakeups.wake, who_id=recipient_id)
    if not event.is_current(by.at):
        return []
    changed = []
    for alert_id, notices in sorted((await worded_for(tx, event.alert_ids)).items()):
        if recipient_id not in {notice.recipient_id for notice in notices}:
            continue
        alert = await lock_alert(tx, alert_id)
        if alert is None or alert.closed_at is not None:
            continue
        if not await is_newest_outside_change(tx, recipient_id, alert_id, event, by.at):
            continue
        if event.change is OutsideChangeKind.UNACKNOWLEDGED:
            if alert.acknowledged_at is None or alert.acknowledged_by_id != recipient_id:
                continue
            await release_alert(tx, alert, by)
        else:
            comment = "resolved there" if event.change is OutsideChangeKind.RESOLVED else None
            if not await acknowledge_alert(tx, alert_id, None, comment, by):
                continue
            await tell_others(tx, alert_id, None, by, but_recipient=recipient_id)
        changed.append(alert_id)
    return changed
