"""What administrators do to alerts: acknowledge one, so that its notices are not repeated, or close it by hand."""

from dataclasses import replace

from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import Conflict, NotFound
from app.domain.alert import Alert, AlertKind
from app.store import alerts, runs
from app.store.jobs import lock_jobs_by_id, save_jobs
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
        await save_jobs(tx, [replace(job, running_since=began.get(job.id))])
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
