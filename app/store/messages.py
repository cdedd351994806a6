"""Messages for administrators: lists, and one message with its finished bytes. Only outbox.py leases them and writes their state."""

from dataclasses import dataclass

from sqlalchemy import select

from app.domain.message import Bodies, Message, MessageState
from app.domain.notice import URGENCY_CANARY
from app.store.newest import IndexRanges, page_among, page_newest, split, tested
from app.store.repository import Page, Repository, Window
from app.store.scope import Scope, alerts_of
from app.store.tables import attempts, bodies, messages, notices
from app.store.transactions import ReadTx

MESSAGES = Repository(messages, Message, noun="message", prefix="msg", newest_first=True)


@dataclass(frozen=True, slots=True)
class MessageFilters:
    """Which messages a list shows. Each field that is not None must be met."""

    scope: Scope
    state: MessageState | None = None
    transport: str | None = None
    recipient_id: str | None = None
    is_alert: bool | None = None


async def page_messages(tx: ReadTx, filters: MessageFilters, window: Window) -> Page[Message]:
    """Return the newest messages that meet the filters. Transport and `is_alert` are tested on each that the others find in an index."""
    scope = filters.scope
    same = {
        "recipient_id": filters.recipient_id,
        "customer_id": scope.customer_id,
        "state": filters.state,
        "transport": filters.transport,
    }
    is_alert = [] if filters.is_alert is None else [messages.c.is_alert.is_(filters.is_alert)]
    if scope.names_agent_or_job:
        # All messages about the agents or jobs of the scope, with their successors on other transports.
        of_alerts = notices.c.alert_id.in_(alerts_of(scope)), notices.c.message_id.is_not(None)
        about = select(notices.c.message_id.label("id")).where(*of_alerts).cte("about", recursive=True)
        # A scalar subquery for each row, not a join: for a join PostgreSQL would read all messages.
        successor = select(messages.c.moved_to).where(messages.c.id == about.c.id).correlate(about).scalar_subquery()
        about = about.union(select(successor).where(about.c.id.is_not(None)))
        ids = await tx.connection.scalars(select(about.c.id).where(about.c.id.is_not(None)))
        return await page_among(tx, MESSAGES, ids, [*tested(messages, **same), *is_alert], window)
    ranges = await _ranges(tx, filters)
    found_by = {column.name for column in ranges.columns}
    where = tested(messages, **{name: value for name, value in same.items() if name not in found_by})
    return await page_newest(tx, MESSAGES, ranges, [*where, *is_alert], window)


async def _ranges(tx: ReadTx, filters: MessageFilters) -> IndexRanges:
    """Choose the shortest part of an index that holds all messages asked for."""
    every = IndexRanges(messages)
    if filters.recipient_id is not None:
        return every.by(messages.c.recipient_id, [filters.recipient_id])
    states = tuple(MessageState) if filters.state is None else (filters.state,)
    if filters.scope.customer_id is not None:
        return every.by(messages.c.customer_id, [filters.scope.customer_id]).by(messages.c.state, states)
    if filters.state is not None:
        return (await split(tx, every, messages.c.customer_id)).by(messages.c.state, states)
    return every


async def dead_ids(
    tx: ReadTx, transport: str | None, cause: str | None, recipient_id: str | None, *, before: str | None, limit: int
) -> list[str]:
    """Return the ids of dead messages, the newest first. `cause` is the code of their last attempt; `before`: only older ones."""
    newest = messages.c.id.label("id")
    is_dead = messages.c.state == MessageState.DEAD, messages.c.urgency < URGENCY_CANARY  # a canary is not sent again
    query = select(newest).where(*is_dead).order_by(messages.c.id.desc()).limit(limit)
    for column, wanted in ((messages.c.transport, transport), (messages.c.recipient_id, recipient_id)):
        if wanted is not None:
            query = query.where(column == wanted)
    if before is not None:
        query = query.where(messages.c.id < before)
    if cause is not None:
        later = attempts.alias("later")
        has_later = select(later.c.id).where(
            later.c.message_id == attempts.c.message_id, later.c.number > attempts.c.number
        )
        of_cause = select(attempts.c.id).where(
            attempts.c.message_id == messages.c.id, attempts.c.code == cause, ~has_later.exists()
        )
        query = query.where(of_cause.exists())
    return list(await tx.connection.scalars(query))


async def first_of_successors(tx: ReadTx, message: Message) -> Message:
    """Return the message that this one succeeds, over all moves: the one that the notices were worded into. Else the message itself."""
    first = message
    while first.moved_from is not None:
        before = await MESSAGES.find(tx, first.moved_from)
        if before is None:
            break
        first = before
    return first


async def bodies_of(tx: ReadTx, message_id: str) -> Bodies | None:
    """Return the finished bytes of a message; None where there is no such message."""
    query = select(bodies.c.mail, bodies.c.webhook).where(bodies.c.message_id == message_id)
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else Bodies(mail=row.mail, webhook=row.webhook)
