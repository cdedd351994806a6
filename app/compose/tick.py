"""One pass of composing: due notices become messages in the outbox, worded once, one for each recipient and group.

Wording happens outside the transaction, which may not be held for long; the notices are claimed with the message in one
commit, and a notice that was taken back meanwhile (its alert closed) has its group worded anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.compose import alert_mail, mime, summary_mail, webhook_body
from app.compose.letter import Letter
from app.context import AppContext
from app.core import metrics
from app.core.errors import Unavailable
from app.core.ids import new_id
from app.core.log import log
from app.core.mail_address import split_address
from app.domain.mail_views import AlertView
from app.domain.message import Bodies, Message
from app.domain.notice import Notice, NoticeKind
from app.domain.recipient import Recipient
from app.store import notices, outbox
from app.store.alert_view import alert_stories
from app.store.recipients import recipients_by_id
from app.store.summaries import find_summary
from app.store.summary_view import summary_story
from app.store.transactions import ReadTx

BATCH = 1_000
MOST_GROUPS = 50  # a pass; then the most urgent are looked for again: a critical alert must not wait for hundreds
MOST_REFERENCES = 20
PUT_OFF = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Worded:
    """What was written for one group of notices, before it is addressed."""

    letter: Letter
    webhook: bytes
    threads: tuple[str, ...]


async def tick(context: AppContext) -> bool:
    """Word what is due. True when there may be more at once."""
    now = context.clock()
    async with context.database.read() as tx:
        due = await notices.waiting_due(tx, now, BATCH)
        if not due:
            return False
        recipients = await recipients_by_id(tx, {notice.recipient_id for notice in due if notice.recipient_id})
        stories = await alert_stories(tx, [notice for notice in due if notice.alert_id])
    groups = _groups(due)
    for group in groups[:MOST_GROUPS]:
        try:
            await _word_group(context, group, recipients.get(group[0].recipient_id or ""), stories, now)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001  (the rim of one group: what cannot be worded must not keep the others from going out)
            log.exception("a message could not be worded; it is tried again", notice=group[0].id, after=PUT_OFF)
            async with context.database.write() as tx:
                await notices.put_off(tx, [notice.id for notice in group], now + PUT_OFF)
    return len(due) == BATCH or len(groups) > MOST_GROUPS


def _groups(due: Sequence[Notice]) -> list[list[Notice]]:
    """Put together what one recipient is told at once, the most urgent group first."""
    grouped: dict[tuple[str | None, str], list[Notice]] = {}
    for notice in due:
        grouped.setdefault((notice.recipient_id, notice.group_key), []).append(notice)
    return list(grouped.values())


async def _word_group(
    context: AppContext, group: list[Notice], to: Recipient | None, stories: dict[str, AlertView], now: datetime
) -> None:
    if to is None or not to.transports:
        await _give_up(context, group, "its recipient has no transport" if to else "its recipient is no more")
        return
    worded = await _word(context, group, stories)
    if worded is None:
        await _give_up(context, group, "what it tells of is no more")
        return
    message, bodies = _address(context, group, to, worded, now)
    async with context.database.write() as tx:
        if await notices.mark_worded(tx, [notice.id for notice in group], message.id):
            await outbox.insert_messages(tx, [(message, bodies)])
            tx.after_commit(lambda: context.wakeups.wake("messages"))
        else:
            await notices.unmark_worded(tx, message.id)
    for notice in group:
        metrics.STAGE_SECONDS.labels("decided_to_worded").observe(
            max(0.0, (context.clock() - notice.due_at).total_seconds())
        )


async def _give_up(context: AppContext, group: Sequence[Notice], why: str) -> None:
    async with context.database.write() as tx:
        await notices.suppress(tx, [notice.id for notice in group], why)


async def _word(context: AppContext, group: Sequence[Notice], stories: dict[str, AlertView]) -> Worded | None:
    base_url = context.settings.public_url
    if group[0].what is NoticeKind.SUMMARY:
        async with context.database.read() as tx:
            return await _word_summary(tx, group[0], base_url)
    told = [stories[notice.id] for notice in group if notice.id in stories]
    if not told:
        return None
    threads = tuple(dict.fromkeys(story.thread_id for story in told if story.thread_id))
    return Worded(alert_mail.word(told, base_url=base_url), webhook_body.word_alerts(told, base_url=base_url), threads)


async def _word_summary(tx: ReadTx, notice: Notice, base_url: str) -> Worded | None:
    summary = await find_summary(tx, notice.summary_id or "")
    if summary is None:
        return None
    story = await summary_story(
        tx, summary.schedule, number=summary.number, start=summary.period_start, end=summary.period_end
    )
    return Worded(summary_mail.word(story, base_url=base_url), webhook_body.word_summary(story, base_url=base_url), ())


def _address(
    context: AppContext, group: Sequence[Notice], to: Recipient, worded: Worded, now: datetime
) -> tuple[Message, Bodies]:
    """Write every body that the recipient's transports take: a failover sends the same words by another way."""
    message_id = new_id("msg")
    sender = context.settings.mail_from
    header = f"<{message_id}@{split_address(sender)[1].rpartition('@')[2] or 'tocsin.invalid'}>"
    mail_to = next((one.address for one in to.transports if one.transport != "webhook"), None)
    threads = worded.threads[:MOST_REFERENCES]
    mail = mail_to and mime.build(
        worded.letter,
        sender=sender,
        to=mail_to,
        message_id=header,
        date=now,
        in_reply_to=threads[0] if threads else None,
        references=threads,
    )
    first = to.transports[0]
    message = Message(
        id=message_id,
        customer_id=group[0].customer_id if len({notice.customer_id for notice in group}) == 1 else None,
        recipient_id=to.id,
        transport=first.transport,
        place=0,
        address=first.address,
        urgency=min(notice.urgency for notice in group),
        is_alert=group[0].what is not NoticeKind.SUMMARY,
        subject=worded.letter.subject,
        message_id=header,
        created_at=now,
        due_at=now,
        move_on_at=now + timedelta(minutes=context.settings.failover_after_min),
        give_up_at=now + timedelta(hours=context.settings.retry_for_h),
    )
    has_webhook = any(one.transport == "webhook" for one in to.transports)
    return message, Bodies(mail=mail or None, webhook=worded.webhook if has_webhook else None)
