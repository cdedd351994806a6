"""One pass of composing: due notices become messages in the outbox, one for each recipient and group of notices.

A message is rendered once, and outside the transaction, which may not take long. The notices are marked in the transaction that
inserts the message, some messages in one. If one of them was withdrawn in the meantime (its alert closed), the group is rendered again.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jinja2 import TemplateError

from app.compose import alert_mail, mime, plain_mail, summary_mail, webhook_body
from app.compose.alert_card import AnswerUrl
from app.compose.alert_subject import first_topic, topic_of
from app.compose.end_addresses import end_addresses, is_choice, to_each
from app.compose.first_way import first_way, relay_named, ways_in_doubt
from app.compose.render import RenderedMail
from app.compose.unsubscribe import unsubscribe_headers
from app.context import AppContext
from app.core import metrics
from app.core.errors import Unavailable
from app.core.ids import new_id
from app.core.log import log
from app.core.mail_address import message_id_header
from app.core.periodic import Idle
from app.domain.answer_link import PATH, PURPOSE, sign_answer
from app.domain.bounced_address import first_usable
from app.domain.mail_views import AlertView
from app.domain.message import KEEPS_STATES, Bodies, Message, takes_json
from app.domain.notice import Notice, NoticeKind
from app.domain.recipient import Address, Recipient
from app.domain.relay import agent_of, unfit
from app.domain.uncomposed import mark
from app.store import notices, outbox, relays
from app.store.due_notices import read_due_notices
from app.store.messages import AlertRows, read_alert_views
from app.store.outbox_at_once import ComposedGroup, store_composed
from app.store.summaries import find_summary
from app.store.summary_views import read_summary_view
from app.store.transactions import ReadTx, WriteTx
from app.store.writer_queue import WriteOrder

BATCH = 1_000
# Groups that are read and stored together: the first messages of a pass must not wait until hundreds were worded.
AT_ONCE, LATER_AT_ONCE = 10, 40
MOST_GROUPS = 50  # a pass; after it the most urgent are read again, so that a critical alert does not wait for hundreds
MOST_REFERENCES = 20
MOST_FOR_PROGRAMS = 50  # alerts in a message: some programs take one request for each
RETRY_AFTER = timedelta(minutes=5)
_BY_ITSELF = "it goes by mapi, perhaps through the relay that it is about, because you have no other transport: add one"


@dataclass(frozen=True, slots=True)
class ComposedMessage:
    """What was rendered for one group of notices, before it is addressed. `webhook` is None if the recipient has none.

    `threads` are the Message-IDs of earlier mails; `alert_ids`, of all alerts in it; `conversation`, if it is about one alert;
    `schedule_id`, of a summary.
    """

    mail: RenderedMail
    webhook: bytes | None
    threads: tuple[str, ...]
    alert_ids: tuple[str, ...] = ()
    conversation: mime.Conversation | None = None
    schedule_id: str | None = None


@dataclass(frozen=True, slots=True)
class WordedGroup:
    """Notices with the message that words them, before it is stored. `also`: the same for other addresses that must get it."""

    group: Sequence[Notice]
    message: Message
    bodies: Bodies
    also: Sequence[tuple[Message, Bodies]] = ()

    @property
    def stored(self) -> Sequence[tuple[Message, Bodies]]:
        """Every message, with its bodies."""
        return (self.message, self.bodies), *self.also


async def tick(context: AppContext) -> bool | Idle:
    """Compose what is due. True if there may be more; how long to wait for a wakeup if nothing is due before then."""
    now, idle = context.clock(), context.wakeups.idle
    async with context.database.read() as tx:
        due, recipients, bounced, about = await read_due_notices(tx, now, BATCH)
        if not due:
            return False if await notices.waiting_due(tx, now + idle, 1) else Idle(idle)
        all_views = None if about is None else await _read_together(tx, due, about)
    avoided = frozenset(one.address for one in bounced if one.is_passed_over(now))
    by_group: dict[
        tuple[str | None, str], list[Notice]
    ] = {}  # in the order of the notices: the most urgent group first
    for notice in due:
        by_group.setdefault((notice.recipient_id, notice.group_key), []).append(notice)
    groups = [
        part for group in by_group.values() for part in _parts(group, recipients.get(group[0].recipient_id or ""))
    ]
    taken = 0
    while some := groups[taken : min(taken + (LATER_AT_ONCE if taken else AT_ONCE), MOST_GROUPS)]:
        taken += len(some)
        if about is None:
            async with context.database.read() as tx:
                views = await _read_together(tx, [notice for group in some for notice in group])
        else:
            views = all_views
        worded: list[WordedGroup] = []
        for group in some:
            if group[0].what is NoticeKind.SUMMARY and worded:  # which may take long: no alert waits for it
                await _store(context, worded)
                worded = []
            await asyncio.sleep(0)  # to word one takes up to a millisecond, in which no request is answered
            to = recipients.get(group[0].recipient_id or "")
            worded += await _compose_or_put_off(context, group, to, views, avoided, now)
        await _store(context, worded)
    return len(due) == BATCH or len(groups) > MOST_GROUPS


def _parts(group: list[Notice], to: Recipient | None) -> list[list[Notice]]:
    """Cut a group for a recipient with a transport to a program that keeps states: no alert may be left out of its documents."""
    if to is None or not any(one.transport in KEEPS_STATES for one in to.transports):
        return [group]
    ends = [notice for notice in group if notice.what is NoticeKind.RECOVERED]
    if is_choice(to) and 0 < len(ends) < len(group):  # they may go to other addresses than what is new
        others = [notice for notice in group if notice.what is not NoticeKind.RECOVERED]
        return [*_parts(others, to), *_parts(ends, to)]
    return [group[start : start + MOST_FOR_PROGRAMS] for start in range(0, len(group), MOST_FOR_PROGRAMS)]


async def _read_views(context: AppContext, group: Sequence[Notice]) -> dict[str, AlertView]:
    async with context.database.read() as tx:
        return await read_alert_views(tx, group)


async def _read_together(
    tx: ReadTx, some: Sequence[Notice], about: AlertRows | None = None
) -> dict[str, AlertView] | None:
    """Return what the alerts of several groups are about; None if they must be read one by one, because one cannot be read."""
    try:
        return await read_alert_views(tx, some, about)
    except Unavailable:
        raise
    except Exception:  # noqa: BLE001  (the boundary of several groups: the one at fault is put off by the caller)
        log.exception("alerts could not be read together; each message is composed alone", notices=len(some))
    return None


async def _compose_or_put_off(
    context: AppContext,
    group: list[Notice],
    to: Recipient | None,
    views: dict[str, AlertView] | None,
    avoided: frozenset[str],
    now: datetime,
) -> list[WordedGroup]:
    """Return the message of a group. If it fails, each of its notices is composed alone, and what fails then is put off.

    One alert that cannot be worded must not hide the others of its group, nor the alert of ours which reports that.
    """
    if len(group) > 1:
        try:
            found = await _read_views(context, group) if views is None else views
            one = await _compose_group(context, group, to, found, avoided, now)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001  (the boundary of one group: the notice at fault is put off below)
            log.exception("alerts could not be composed together; each is composed alone", notices=len(group))
            alone = [await _compose_or_put_off(context, [notice], to, None, avoided, now) for notice in group]
            return [one for ones in alone for one in ones]
        return [] if one is None else [one]
    worded: list[WordedGroup] = []
    async with _putting_off(context, group):
        found = await _read_views(context, group) if views is None else views
        if (one := await _compose_group(context, group, to, found, avoided, now)) is not None:
            worded.append(one)
    return worded


@asynccontextmanager
async def _putting_off(context: AppContext, group: Sequence[Notice]) -> AsyncIterator[None]:
    """Put a group off if the block fails: it must not keep the others from being sent."""
    try:
        yield
    except Unavailable:
        raise
    except Exception as cause:  # noqa: BLE001  (the boundary of one group)
        log.exception("a message could not be composed and is tried again", notice=group[0].id, after=RETRY_AFTER)
        now = context.clock()
        async with context.database.write() as tx:
            await notices.put_off(tx, {one.id: mark(one.reason, cause, now) for one in group}, now + RETRY_AFTER)


async def _store(context: AppContext, worded: Sequence[WordedGroup]) -> None:
    """Put messages into the outbox, together with the mark that their notices are worded; each alone if not all can be stored."""
    if len(worded) > 1:
        try:
            return await _store_together(context, worded)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001  (the boundary of several groups: the one at fault is put off below)
            log.exception("messages could not be stored together; each is stored alone", messages=len(worded))
    for one in worded:
        async with _putting_off(context, one.group):
            await _store_together(context, [one])
    return None


async def _store_together(context: AppContext, worded: Sequence[WordedGroup]) -> None:
    if context.database.is_sqlite:
        async with context.database.write(WriteOrder.COMPOSE) as tx:
            kept = await _mark_worded(tx, worded)
            await outbox.insert_messages(tx, [pair for one in kept for pair in one.stored])
    else:
        groups = [ComposedGroup(one.message.id, [notice.id for notice in one.group], one.stored) for one in worded]
        async with context.database.alone() as alone:
            done = await store_composed(alone, groups)
        kept = [one for one in worded if one.message.id in done]
    context.wakeups.wake_transports(message.transport for one in kept for message, _ in one.stored)
    for one in worded:
        for notice in one.group:
            waited_s = (context.clock() - notice.due_at).total_seconds()
            metrics.STAGE_SECONDS.labels("decided_to_worded").observe(max(0.0, waited_s))


async def _mark_worded(tx: WriteTx, worded: Sequence[WordedGroup]) -> list[WordedGroup]:
    """Mark the notices of all groups, and return the groups. One whose notices do not all wait any more is left out, and they are unmarked."""
    if await notices.mark_worded(tx, [(notice.id, one.message.id) for one in worded for notice in one.group]):
        return list(worded)
    await notices.unmark_worded(tx, [one.message.id for one in worded])
    if len(worded) == 1:
        return []
    return [kept for one in worded for kept in await _mark_worded(tx, [one])]


async def _compose_group(
    context: AppContext,
    group: list[Notice],
    to: Recipient | None,
    views: dict[str, AlertView],
    avoided: frozenset[str],
    now: datetime,
) -> WordedGroup | None:
    """Return the message that words a group; None, and then its notices are suppressed, if there is nobody or nothing to tell."""
    if to is None or not to.transports:
        await _suppress(context, group, "its recipient has no transport" if to else "its recipient no longer exists")
        return None
    is_summary = group[0].what is NoticeKind.SUMMARY
    ends: list[tuple[int, Address]] = []
    alerts_only = KEEPS_STATES if is_summary else frozenset()
    place, relay_id = first_usable(to.transports, avoided, without=alerts_only), None
    way = place, to.transports[place]
    if way[1].transport in alerts_only:
        await _suppress(context, group, "its recipient has only transports that take alerts and no summaries")
        return None
    if is_summary:
        composed = await _compose_summary(context, group[0], to)
    else:
        found = [views[notice.id] for notice in group if notice.id in views]
        if is_choice(to):
            async with context.database.read() as tx:
                ends = await end_addresses(tx, group, to, avoided)
            way = ends[0] if ends else way
        if in_doubt := ways_in_doubt(found):
            way = first_way(to.transports, avoided, in_doubt, await _other_transports(context, to, now))
            relay_id = await _relay_in_trouble(context, found)
        if relay_id is not None and way[1].transport == "mapi":
            found = [replace(view, reason=f"{view.reason}; {_BY_ITSELF}") for view in found]
        found = [
            view
            for view in found
            if view.what is not NoticeKind.ACKNOWLEDGED
            or (view.alert.acknowledged_at is not None and view.alert.closed_at is None)
        ]
        if not found:
            await _suppress(context, group, "the acknowledgement was undone, or the alert is closed")
            return None
        composed = _compose_alerts(context, found, _answer_url(context, to, way[1], now), to)
    if composed is None:
        await _suppress(context, group, "its alert or summary no longer exists")
        return None
    message, bodies = _address(context, group, to, composed, way, now)
    message = replace(message, about_relay_id=relay_id)
    if ends:
        (message, bodies), *also = to_each(message, bodies, ends)
        return WordedGroup(group, message, bodies, also)
    return WordedGroup(group, message, bodies)


async def _suppress(context: AppContext, group: Sequence[Notice], why: str) -> None:
    async with context.database.write() as tx:
        await notices.suppress(tx, [notice.id for notice in group], why)


async def _relay_in_trouble(context: AppContext, found: Sequence[AlertView]) -> str | None:
    """Return the id of the relay whose trouble or lost canary these alerts report; None if there is none."""
    names = {relay_named(view) for view in found} - {None}
    if not names:
        return None
    async with context.database.read() as tx:
        return next((relay.id for relay in await relays.all_relays(tx) if agent_of(relay)[1] in names), None)


def _answer_url(context: AppContext, to: Recipient, first: Address, now: datetime) -> AnswerUrl | None:
    """Return how the address is made by which this recipient answers an alert; None for one who gets no mail."""
    address = _mail_address(to, first)
    secret, base_url = context.secret.derive(PURPOSE), context.settings.public_url
    if address is None:
        return None
    return lambda alert_id: f"{base_url}{PATH}{sign_answer(secret, alert_id, to.id, address, now)}"


def _mail_address(to: Recipient, first: Address) -> str | None:
    return next((one.address for one in (first, *to.transports) if not takes_json(one.transport)), None)


def _compose_alerts(
    context: AppContext, found: Sequence[AlertView], answer: AnswerUrl | None, to: Recipient
) -> ComposedMessage | None:
    if not found:
        return None
    base_url = context.settings.public_url
    threads = tuple(dict.fromkeys(view.thread_id for view in found if view.thread_id))
    mail = _render_or_plain(found, answer, base_url)
    alert_ids = tuple(dict.fromkeys(view.alert.id for view in found))
    conversation = None
    if len(found) == 1:
        alert, topic = found[0].alert, first_topic(found[0]) or topic_of(found[0])
        conversation = mime.Conversation(alert.id, topic, alert.opened_at)
    body = None
    if any(takes_json(one.transport) for one in to.transports):
        is_whole = any(one.transport in KEEPS_STATES for one in to.transports)
        body = webhook_body.render_alerts(found, base_url=base_url, is_whole=is_whole)
    return ComposedMessage(mail, body, threads, alert_ids, conversation)


def _render_or_plain(found: Sequence[AlertView], answer: AnswerUrl | None, base_url: str) -> RenderedMail:
    """Return the mail of its template, or a plain one: an alert leaves although a template is broken, and so does the alert about that."""
    try:
        return alert_mail.render(found, base_url=base_url, answer=answer)
    except Exception as cause:
        if len(found) > 1 and not isinstance(cause, TemplateError):  # one alert may be at fault: each is composed alone
            raise
        log.exception("the mail about alerts could not be rendered; it is sent as plain text", alerts=len(found))
        return plain_mail.render(found, base_url=base_url)


async def _compose_summary(context: AppContext, notice: Notice, to: Recipient) -> ComposedMessage | None:
    async with context.database.read() as tx:
        summary = await find_summary(tx, notice.summary_id or "")
        if summary is None:
            return None
        view = await read_summary_view(
            tx, summary.schedule, number=summary.number, start=summary.period_start, end=summary.period_end
        )
    base_url = context.settings.public_url
    mail = summary_mail.render(view, base_url=base_url)
    has_program = any(takes_json(one.transport) for one in to.transports)
    body = webhook_body.render_summary(view, base_url=base_url) if has_program else None
    return ComposedMessage(mail, body, (), schedule_id=summary.schedule.id)


async def _other_transports(context: AppContext, to: Recipient, now: datetime) -> Sequence[str]:
    """Return the transports by which mail to this recipient could leave, whether or not the recipient names them."""
    async with context.database.read() as tx:
        fit = [
            relay
            for relay in await relays.all_relays(tx)
            if (not (relay.customers or relay.recipients) or to.id in relay.recipients)
            and unfit(relay, await relays.oldest_for(tx, relay), now) is None
        ]
    return (*context.settings.mail_transports, *(["mapi"] if fit else []))


def _address(
    context: AppContext,
    group: Sequence[Notice],
    to: Recipient,
    composed: ComposedMessage,
    way: tuple[int, Address],
    now: datetime,
) -> tuple[Message, Bodies]:
    """Return the message and every body that the recipient's transports take, so that failover renders nothing."""
    place, first = way
    message_id = new_id("msg")
    sender = context.settings.mail_from
    header = message_id_header(message_id, sender)
    mail_to = _mail_address(to, first)
    rendered = composed.mail
    if composed.schedule_id is not None and mail_to is not None:
        headers = unsubscribe_headers(context, composed.schedule_id, to.id, mail_to)
        rendered = replace(rendered, headers=(*rendered.headers, *headers))
    threads = composed.threads[:MOST_REFERENCES]
    # An id for each alert, which no mail has: by it Gmail knows the mails of one alert, and keeps those of another one with the same
    # subject apart.
    roots = tuple(message_id_header(alert_id, sender) for alert_id in composed.alert_ids[:MOST_REFERENCES])
    mail = mail_to and mime.build(
        rendered,
        sender=sender,
        to=mail_to,
        message_id=header,
        date=now,
        in_reply_to=threads[0] if threads else None,
        references=(*roots, *threads),
        conversation=composed.conversation,
    )

    message = Message(
        id=message_id,
        customer_id=group[0].customer_id if len({notice.customer_id for notice in group}) == 1 else None,
        recipient_id=to.id,
        transport=first.transport,
        place=place,
        address=first.address,
        urgency=min(notice.urgency for notice in group),
        is_alert=group[0].what is not NoticeKind.SUMMARY,
        subject=composed.mail.subject,
        message_id=header,
        created_at=now,
        due_at=now,
        move_on_at=now + timedelta(minutes=context.settings.failover_after_min),
        give_up_at=now + timedelta(hours=context.settings.retry_for_h),
    )
    return message, Bodies(mail=mail or None, webhook=composed.webhook)
