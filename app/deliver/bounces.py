"""Acts on a notice about one of our mails: if the mail came back, its message becomes `bounced` and goes by the next transport."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from app.context import AppContext
from app.deliver.failover import move_on
from app.deliver.report import report_bounced
from app.domain.bounced_address import after_bounce
from app.domain.message import LEGAL_MOVES, Message, MessageState
from app.domain.notice import URGENCY_CANARY
from app.domain.returned_mail import DeliveryReport, ReturnedMail, ReturnKind
from app.store import outbox, returned_mails
from app.store.transactions import WriteTx

# Servers try for up to five days. After that, nobody can act on the notice any more.
STILL_NEWS_FOR = timedelta(days=7)
_MAIL = ("smtp", "mapi", "graph")
_WHY_MOST = 300


async def report_arrived(
    context: AppContext, tx: WriteTx, mail: ReturnedMail, report: DeliveryReport, now: datetime
) -> str | None:
    """Do what follows from a report, and return it in words; None while the message is being sent: the report must wait.

    Legal at any time and any number of times: a notice may come late, twice, and about a message that moved on.
    """
    held = (await outbox.lock(tx, [mail.about_id])).get(mail.about_id)
    if held is None:
        return "the message is no longer kept"
    message = held.message
    if message.state is MessageState.LEASED:
        return None
    if report.kind is ReturnKind.DELIVERED:
        await _note_arrival(tx, message.address)
    if report.kind is not ReturnKind.BOUNCED:
        return "noted"
    is_canary = message.urgency == URGENCY_CANARY  # its address is used once, and an alert reports it
    if message.state is not MessageState.BOUNCED and message.transport in _MAIL and not is_canary:
        before = await returned_mails.find_bounced_address(tx, message.address)
        was_well = before is not None and await returned_mails.was_well_between(tx, before, message)
        bounced = after_bounce(before, message.address, report, message.id, now, was_well=was_well)
        await returned_mails.save_bounced_address(tx, bounced, is_new=before is None)
    if (message.state, MessageState.BOUNCED) not in LEGAL_MOVES:
        return f"noted; the message is {message.state} already"
    after = await _bounce(tx, message, report, now)
    await outbox.save(tx, [after])
    tx.after_commit(partial(report_bounced, after))
    tx.after_commit(lambda: context.wakeups.wake("messages"))
    return f"the message is bounced; {'it goes by the next transport' if after.moved_to else 'its recipient has no other transport'}"


async def _bounce(tx: WriteTx, message: Message, report: DeliveryReport, now: datetime) -> Message:
    status = "" if report.status is None or report.status in report.words else f"{report.status} "
    why = f"came back: {status}{report.words}"[:_WHY_MOST]
    # A mail that came back has not arrived, even if an earlier attempt ended as `unknown`.
    sure = replace(message, maybe_sent=False)
    if now - message.created_at > STILL_NEWS_FOR:
        return sure.to(MessageState.BOUNCED, now, why=f"{why}; too late to send it by another transport")
    if await _has_gone_on(tx, message):
        return sure.to(MessageState.BOUNCED, now, why=f"{why}; its successor was sent by another transport before")
    moved = await move_on(tx, sure, now, why, MessageState.BOUNCED)
    return moved or sure.to(MessageState.BOUNCED, now, why=f"{why}; the recipient has no other transport")


async def _has_gone_on(tx: WriteTx, message: Message) -> bool:
    """Say whether a successor exists that was sent or will be: not one that was settled because this message had been sent after all."""
    next_id = message.moved_to
    while next_id is not None and (successor := await outbox.find_message(tx, next_id)) is not None:
        if successor.state not in (MessageState.SENT, MessageState.DEAD, MessageState.MOVED, MessageState.BOUNCED):
            return True
        if successor.state is MessageState.SENT and successor.attempts > 0:
            return True
        next_id = successor.moved_to
    return False


async def _note_arrival(tx: WriteTx, address: str) -> None:
    """Forget that mail to an address came back; if that was reported, `decide` reports the end first."""
    before = await returned_mails.find_bounced_address(tx, address)
    if before is not None and before.reported_at is not None:
        await returned_mails.save_bounced_address(tx, replace(before, in_a_row=0), is_new=False)
    else:
        await returned_mails.forget_bounced_address(tx, address)
