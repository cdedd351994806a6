"""Ends alerts of deleted jobs and agents at the programs that keep their state, which would show them as open for ever.

Their names are gone, so the end is made of the document that opened the alert there: it belongs to the same labels and services.
"""

import json
from datetime import timedelta

from app.context import AppContext
from app.core.ids import new_id
from app.core.log import log
from app.core.mail_address import message_id_header
from app.domain.dedupe import notice_key
from app.domain.message import KEEPS_STATES, Bodies, Message
from app.domain.notice import URGENCY_RECOVERY, Notice, NoticeKind, NoticeState
from app.domain.recipient import Recipient
from app.store import notices, outbox
from app.store.messages import UnendedAlert, unended_of_deleted
from app.store.routing import all_recipients
from app.store.transactions import WriteTx

_LOOKED_BACK = timedelta(days=1)
_TOGETHER = 100


async def tick(context: AppContext) -> bool:
    """Queue the ends that are missing; True if there are more."""
    now = context.clock()
    async with context.database.read() as tx:
        keepers = {
            one.id: one
            for one in await all_recipients(tx)
            if any(to.transport in KEEPS_STATES for to in one.transports)
        }
        found = await unended_of_deleted(tx, keepers.keys(), now - _LOOKED_BACK, _TOGETHER) if keepers else []
    if not found:
        return False
    async with context.database.write() as tx:
        for one in found:
            await _end(tx, context, one, keepers[one.recipient_id])
        tx.after_commit(lambda: context.wakeups.wake("messages"))
    return len(found) == _TOGETHER


async def _end(tx: WriteTx, context: AppContext, one: UnendedAlert, to: Recipient) -> None:
    """Queue the end at each address that keeps states, and store the notice of it, by which it is made once."""
    now, body = context.clock(), _document(one)
    if body is None:
        log.warning("the end of an alert of a deleted job cannot be sent: its message is gone", alert=one.alert_id)
    made = []
    for place, address in enumerate(to.transports if body is not None else ()):
        if address.transport in KEEPS_STATES:
            message_id = new_id("msg")
            message = Message(
                id=message_id,
                customer_id=one.customer_id,
                recipient_id=to.id,
                transport=address.transport,
                place=place,
                address=address.address,
                urgency=URGENCY_RECOVERY,
                is_alert=True,
                subject=f"[OK] {one.reason}",
                message_id=message_id_header(message_id, context.settings.mail_from),
                created_at=now,
                due_at=now,
                move_on_at=now + timedelta(hours=context.settings.retry_for_h),  # no other transport can end it there
                give_up_at=now + timedelta(hours=context.settings.retry_for_h),
            )
            made.append((message, Bodies(webhook=body)))
    await outbox.insert_messages(tx, made)
    notice = Notice(
        id=new_id("ntc"),
        what=NoticeKind.RECOVERED,
        state=NoticeState.WORDED if made else NoticeState.SUPPRESSED,
        reason=f"{one.reason}; a program that keeps the state of the alert was sent it",
        due_at=now,
        group_key="",
        urgency=URGENCY_RECOVERY,
        dedupe=notice_key(one.alert_id, NoticeKind.RECOVERED, "deleted", to.id, ""),
        created_at=now,
        customer_id=one.customer_id,
        recipient_id=to.id,
        alert_id=one.alert_id,
        message_id=made[0][0].id if made else None,
    )
    await notices.insert_notices(tx, [notice])


def _document(one: UnendedAlert) -> bytes | None:
    """Return the document that opened the alert as one that ends it; None where it is gone."""
    try:
        document = json.loads(one.body or b"")
        [alert] = [found for found in document["data"]["alerts"] if found["id"] == one.alert_id]
    except (ValueError, KeyError, TypeError):
        return None
    closed_at = one.closed_at.isoformat().replace("+00:00", "Z")
    alert |= {
        "what": NoticeKind.RECOVERED.value,
        "closed_at": closed_at,
        "closed_reason": one.reason,
        "reason": one.reason,
    }
    data = {**document["data"], "subject": one.reason, "alerts": [alert], "more": 0}
    ended = {**document, "type": "alert.recovered", "timestamp": closed_at, "data": data}
    return json.dumps(ended, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
