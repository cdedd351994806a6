"""What administrators do to alerts: acknowledge one, so that its notices are not repeated, or close it by hand."""

from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import Conflict, NotFound
from app.domain.alert import Alert
from app.store import alerts
from app.store.notices import suppress_waiting
from app.store.transactions import WriteTx


async def acknowledge_alert(tx: WriteTx, alert_id: str, name: str | None, comment: str | None, by: Editor) -> None:
    """Store who takes the alert on; the first one stays. Raises NotFound, and Conflict if it is closed."""
    alert = await _lock_open_alert(tx, alert_id)
    if alert.acknowledged_at is not None:
        return
    who = name or by.who
    await alerts.acknowledge(tx, alert_id, f"{who} ({comment})"[:200] if comment else who, by.at)
    await note(tx, by.who, by.at, "acknowledge", "alert", alert_id, {"name": who, "comment": comment})


async def close_alert(tx: WriteTx, alert_id: str, reason: str, by: Editor) -> None:
    """Close an alert and suppress its notices that still wait. Raises NotFound, and Conflict if it is closed already.

    A later failure opens a new alert.
    """
    alert = await _lock_open_alert(tx, alert_id)
    closed_reason = f"closed by {by.who}: {reason}"
    await alerts.close_alerts(tx, [(alert, closed_reason)], by.at)
    await suppress_waiting(tx, {alert_id: closed_reason})
    await note(tx, by.who, by.at, "close", "alert", alert_id, {"reason": reason})


async def _lock_open_alert(tx: WriteTx, alert_id: str) -> Alert:
    alert = await alerts.lock_alert(tx, alert_id)
    if alert is None:
        raise NotFound(f"there is no alert {alert_id}")
    if alert.closed_at is not None:
        raise Conflict(f"the alert is closed already ({alert.closed_reason})", code="closed")
    return alert
