"""What an administrator does to alerts: acknowledges them, or closes all of a thing that is deleted. The rest lies in alerts.py."""

from datetime import datetime

from sqlalchemy import select, update

from app.domain.alert import Alert, AlertKind
from app.domain.notice import NoticeState
from app.store.alerts import close_alerts
from app.store.mapping import alert_from
from app.store.notices import suppress_waiting
from app.store.tables import alerts, notices
from app.store.transactions import WriteTx


async def lock_alert(tx: WriteTx, alert_id: str) -> Alert | None:
    """Give one alert, locked until the commit."""
    row = (await tx.connection.execute(select(alerts).where(alerts.c.id == alert_id).with_for_update())).one_or_none()
    return None if row is None else alert_from(row)


async def acknowledge(tx: WriteTx, alert_id: str, who: str, now: datetime) -> None:
    """Note who took it on; deciding sees this and repeats no more."""
    taken = update(alerts).where(alerts.c.id == alert_id).values(acknowledged_at=now, acknowledged_by=who)
    await tx.connection.execute(taken)


async def close_missed(tx: WriteTx, job_id: str, reason: str, now: datetime) -> None:
    """Close what is open because the job did not come, and withdraw what was still to be told of it."""
    missed = alerts.c.subject_id == job_id, alerts.c.kind == AlertKind.MISSED, alerts.c.closed_at.is_(None)
    rows = await tx.connection.execute(select(alerts).where(*missed).with_for_update())
    found = [alert_from(row) for row in rows]
    await close_alerts(tx, [(alert, reason) for alert in found], now)
    await suppress_waiting(tx, {alert.id: reason for alert in found})


async def close_all_of(tx: WriteTx, subject_id: str, reason: str, now: datetime) -> None:
    """Close the open alerts of a job or agent that is deleted, and withdraw whatever was still to be told of any of its alerts."""
    own = alerts.c.subject_id == subject_id
    await tx.connection.execute(
        update(alerts).where(own, alerts.c.closed_at.is_(None)).values(closed_at=now, closed_reason=reason)
    )
    of_them = notices.c.alert_id.in_(select(alerts.c.id).where(own))
    pending = notices.c.state.in_((NoticeState.WAITING, NoticeState.MUTED))
    withdraw = update(notices).where(of_them, pending).values(state=NoticeState.SUPPRESSED, reason=reason)
    await tx.connection.execute(withdraw)
    await tx.connection.execute(update(notices).where(of_them, notices.c.repeat_at.is_not(None)).values(repeat_at=None))
