"""Repeats all open alerts to programs that end what they did not hear of again: Alertmanager (`resolve_timeout`), and Icinga 2 with `ttl_s`.

One message for each recipient and address with all its open alerts, delivered like any other; the next one is made once it is settled.
The newest one that could not be sent is kept until one is sent, so that doctor and metrics report one trouble, and not a new one each time.
An Alertmanager that was started again, and has forgotten its alerts, has them back after it.
"""

import asyncio
from datetime import datetime, timedelta

from app.compose.webhook_body import render_alerts
from app.context import AppContext
from app.core.errors import Unavailable
from app.core.ids import new_id
from app.core.log import log
from app.core.mail_address import message_id_header
from app.core.periodic import Idle
from app.domain.mail_views import AlertView
from app.domain.message import Bodies, Message
from app.domain.notice import URGENCY_SUMMARY, Notice, NoticeKind, NoticeState
from app.domain.recipient import Recipient
from app.domain.transport_options import refresh_s_of
from app.store import outbox
from app.store.messages import delete_refreshes, newest_refresh, open_alerts_of, read_alert_views
from app.store.routing import all_recipients
from app.store.row_mapping import UNREADABLE
from app.store.transactions import ReadTx

_GIVE_UP_AFTER = timedelta(minutes=2)
_READ_TOGETHER = 300


async def tick(context: AppContext) -> bool | Idle:
    """Make the refreshes that are due. Return how long to wait if nobody wants any."""
    now = context.clock()
    async with context.database.read() as tx:
        wanted = [
            (recipient, place, refresh_s)
            for recipient in await all_recipients(tx)
            for place, to in enumerate(recipient.transports)
            if (refresh_s := refresh_s_of(to.transport, to.options)) is not None
        ]
        if not wanted:
            return Idle(context.wakeups.idle)
        open_alerts = await open_alerts_of(tx, {recipient.id for recipient, _, _ in wanted})
    for recipient, place, refresh_s in wanted:
        if recipient.id in open_alerts:
            try:
                await _refresh(context, recipient, place, refresh_s, open_alerts[recipient.id], now)
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001  (the boundary of one address: without their refresh, the others would end their alerts)
                log.exception("open alerts could not be sent again", recipient=recipient.id)
    return False


async def _refresh(
    context: AppContext, recipient: Recipient, place: int, refresh_s: int, alert_ids: list[str], now: datetime
) -> None:
    to = recipient.transports[place]
    # A failed one ends before the next is due: its longer and longer waits would end results that live for a minute.
    give_up_at = now + min(_GIVE_UP_AFTER, timedelta(seconds=refresh_s))
    async with context.database.read() as tx:
        newest = await newest_refresh(tx, recipient.id, to, now)
        if newest is not None and (not newest.is_settled or newest.created_at + timedelta(seconds=refresh_s) > now):
            return
        views = [
            view
            for start in range(0, len(alert_ids), _READ_TOGETHER)
            for view in await _read_views(
                tx, [_notice(alert_id, recipient.id, now) for alert_id in alert_ids[start : start + _READ_TOGETHER]]
            )
        ]
    found = [view for view in views if view.alert.closed_at is None]
    if not found:
        return
    # In a thread: one sender can have thousands of alerts open, and nothing else would run meanwhile.
    body = await asyncio.to_thread(render_alerts, found, base_url=context.settings.public_url, is_whole=True)
    message_id = new_id("msg")
    message = Message(
        id=message_id,
        recipient_id=recipient.id,
        transport=to.transport,
        place=place,
        address=to.address,
        urgency=URGENCY_SUMMARY,
        is_alert=False,
        subject=f"{len(found)} open alerts, sent again",
        message_id=message_id_header(message_id, context.settings.mail_from),
        created_at=now,
        due_at=now,
        move_on_at=give_up_at,
        give_up_at=give_up_at,
    )
    async with context.database.write() as tx:
        await delete_refreshes(tx, recipient.id, to, now)
        await outbox.insert_messages(tx, [(message, Bodies(webhook=body))])
        tx.after_commit(lambda: context.wakeups.wake("messages"))


async def _read_views(tx: ReadTx, made: list[Notice]) -> list[AlertView]:
    """Return what the alerts are about. One that another version wrote, and that cannot be read, must not end all others there."""
    try:
        return list((await read_alert_views(tx, made)).values())
    except UNREADABLE:
        if len(made) == 1:
            log.exception("an open alert cannot be read, so it is not sent again", alert=made[0].alert_id)
            return []
    middle = len(made) // 2
    return [*await _read_views(tx, made[:middle]), *await _read_views(tx, made[middle:])]


def _notice(alert_id: str, recipient_id: str, now: datetime) -> Notice:
    return Notice(
        id=new_id("ntc"),
        what=NoticeKind.REPEATED,
        state=NoticeState.WAITING,
        reason="still open",
        due_at=now,
        group_key="",
        urgency=URGENCY_SUMMARY,
        dedupe="",
        created_at=now,
        recipient_id=recipient_id,
        alert_id=alert_id,
    )
