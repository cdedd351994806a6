"""What people do to an alert: acknowledge it, so that it is not repeated, or close it by hand."""

from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import Conflict, NotFound
from app.domain.alert import Alert
from app.store import alerts, notices
from app.store.alert_edits import acknowledge as store_acknowledge
from app.store.alert_edits import lock_alert
from app.store.transactions import WriteTx


async def acknowledge(tx: WriteTx, alert_id: str, name: str | None, comment: str | None, by: Editor) -> None:
    """Note that somebody took the alert on; the first one stays. Raises NotFound, Conflict if it is closed."""
    alert = await _open_alert(tx, alert_id)
    if alert.acknowledged_at is not None:
        return
    who = name or by.who
    await store_acknowledge(tx, alert_id, f"{who} ({comment})"[:200] if comment else who, by.at)
    await note(tx, by.who, by.at, "acknowledge", "alert", alert_id, {"name": who, "comment": comment})


async def close(tx: WriteTx, alert_id: str, reason: str, by: Editor) -> None:
    """Close an alert and withdraw what was still to be told of it. A later failure opens a new one."""
    alert = await _open_alert(tx, alert_id)
    words = f"closed by {by.who}: {reason}"
    await alerts.close_alerts(tx, [(alert, words)], by.at)
    await notices.suppress_waiting(tx, {alert_id: words})
    await note(tx, by.who, by.at, "close", "alert", alert_id, {"reason": reason})


async def _open_alert(tx: WriteTx, alert_id: str) -> Alert:
    alert = await lock_alert(tx, alert_id)
    if alert is None:
        raise NotFound(f"there is no alert {alert_id}")
    if alert.closed_at is not None:
        raise Conflict(f"the alert is closed already ({alert.closed_reason})", code="closed")
    return alert
