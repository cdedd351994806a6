"""What an edit leaves behind: its entry in the audit log, and the rows that still have to change after its commit.

An edit inserts a follow-up in its transaction; it stays until all of it is done, whatever crashes. For each kind, `find_rows` finds
the ids of rows to change, in their order, from `follow_up.after` on; it only reads, so it may take long in a large database.
`change_rows` changes a few rows and may be done twice. Entries of the audit log are only ever added.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, bindparam, delete, false, func, insert, or_, select, text, update

from app.domain.alert import AlertKind
from app.domain.audit_entry import AuditEntry, without_secrets
from app.domain.follow_up import FollowUp, FollowUpKind
from app.domain.message import MessageState
from app.domain.notice import NoticeState
from app.store.notices import ABOUT_ALERTS, PENDING, withdraw_notices
from app.store.repository import Page, Repository, Window, equals
from app.store.routing import ROUTES, recipients_by_id
from app.store.tables import agents, alerts, groups, messages, notices
from app.store.tables_managed import audit, follow_ups
from app.store.transactions import ReadTx, WriteTx

AUDIT = Repository(audit, AuditEntry, noun="entry", prefix="aud", newest_first=True)


async def page_audit(
    tx: ReadTx,
    window: Window,
    *,
    who: str | None = None,
    who_id: str | None = None,
    action: str | None = None,
    noun: str | None = None,
    thing_id: str | None = None,
) -> Page[AuditEntry]:
    """Return entries, newest first, filtered, without the secrets that older ones hold in clear text."""
    page = await AUDIT.page(
        tx, equals(audit, who=who, who_id=who_id, action=action, noun=noun, thing_id=thing_id), window
    )
    items = tuple(replace(one, change=without_secrets(one.noun, one.change)) for one in page.items)
    return replace(page, items=items)


async def ids_done_at(tx: ReadTx, who_id: str, action: str, noun: str, at: datetime) -> set[str]:
    """Return the ids of the things to which a person or key did this at one moment."""
    mine = (audit.c.who_id == who_id) & (audit.c.action == action) & (audit.c.noun == noun) & (audit.c.at == at)
    return set((await tx.connection.execute(select(audit.c.thing_id).where(mine))).scalars())


async def insert_follow_up(tx: WriteTx, follow_up: FollowUp) -> None:
    """Store what an edit leaves to do."""
    await tx.connection.execute(insert(follow_ups).values(**asdict(follow_up)))


async def oldest_follow_ups(tx: ReadTx, limit: int) -> list[FollowUp]:
    """Return what is left to do, the oldest first: so of two edits of one thing the later one holds in the end.

    What a newer version left, and only that version can do, stays for it and must not stop the others.
    """
    known = select(follow_ups).where(follow_ups.c.kind.in_(list(FollowUpKind)))
    rows = await tx.connection.execute(known.order_by(follow_ups.c.id).limit(limit))
    return [FollowUp(row.id, FollowUpKind(row.kind), row.subject_id, row.at, row.reason, row.after) for row in rows]


async def advance_follow_up(tx: WriteTx, follow_up: FollowUp, after: str) -> FollowUp | None:
    """Claim the piece up to the id `after`, and return the follow-up behind it; None if another worker did this piece."""
    same = follow_ups.c.id == follow_up.id, follow_ups.c.after == follow_up.after
    claimed = await tx.connection.execute(update(follow_ups).where(*same).values(after=after))
    return replace(follow_up, after=after) if claimed.rowcount == 1 else None


async def delete_follow_up(tx: WriteTx, follow_up: FollowUp) -> None:
    """Delete one of which nothing is left."""
    same = follow_ups.c.id == follow_up.id, follow_ups.c.after == follow_up.after
    await tx.connection.execute(delete(follow_ups).where(*same))


UNSETTLED = (MessageState.QUEUED, MessageState.LEASED, MessageState.UNKNOWN)
# Written exactly as in the partial indexes: SQLite uses them only when their conditions stand word for word in the query.
_DUE, _OPEN = text("notices.state IN ('waiting', 'muted')"), text("alerts.closed_at IS NULL")


async def find_rows(tx: ReadTx, follow_up: FollowUp, limit: int) -> list[str]:
    """Return the next ids of rows that a follow-up may change; fewer than `limit` if these are the last."""
    subject = follow_up.subject_id
    match follow_up.kind:
        case FollowUpKind.REPEATS:
            found = select(alerts.c.id).where(_OPEN)
        case FollowUpKind.ADDRESSES:
            waits = messages.c.recipient_id == subject, messages.c.state.in_(UNSETTLED), messages.c.is_alert
            found = select(messages.c.id).where(*waits, messages.c.move_on_at > follow_up.at)
        case FollowUpKind.NOTICES:
            still = or_(notices.c.state.in_(PENDING), notices.c.repeat_at.is_not(None))
            found = select(notices.c.id).where(notices.c.recipient_id == subject, still)
        case FollowUpKind.GROUPS:
            found = select(groups.c.group_key).where(groups.c.route_id == subject)
        case FollowUpKind.MUTED:
            muted = notices.c.state == NoticeState.MUTED
            found = select(notices.c.id).where(_DUE, muted, notices.c.due_at > follow_up.at)
        case FollowUpKind.SILENCE_LIMITS:
            found = select(agents.c.id).where(*_limited_by_rules())
        case FollowUpKind.ALERTS_OF_AGENT:
            found = select(alerts.c.id).where(alerts.c.agent_id == subject)
        case FollowUpKind.ALERTS_OF_SUBJECT:
            found = select(alerts.c.id).where(alerts.c.subject_id == subject)
    own = found.selected_columns[0]
    rows = await tx.connection.execute(found.where(own > follow_up.after).order_by(own).limit(limit))
    return list(rows.scalars())


async def change_rows(tx: WriteTx, follow_up: FollowUp, ids: Sequence[str]) -> None:
    """Change these rows, as far as they are still as they were found."""
    match follow_up.kind:
        case FollowUpKind.REPEATS:
            await _set_repeats(tx, follow_up, ids)
        case FollowUpKind.ADDRESSES:
            await _move_on(tx, follow_up, ids)
        case FollowUpKind.NOTICES:
            await withdraw_notices(tx, notices.c.id.in_(ids), follow_up.reason)
        case FollowUpKind.GROUPS:
            of_route = groups.c.route_id == follow_up.subject_id, groups.c.group_key.in_(ids)
            await tx.connection.execute(delete(groups).where(*of_route))
        case FollowUpKind.MUTED:
            muted = update(notices).where(notices.c.id.in_(ids), notices.c.state == NoticeState.MUTED)
            await tx.connection.execute(muted.values(due_at=follow_up.at))
        case FollowUpKind.SILENCE_LIMITS:
            asked = update(agents).where(agents.c.id.in_(ids), *_limited_by_rules())
            await tx.connection.execute(asked.values(silent_at=follow_up.at))
        case FollowUpKind.ALERTS_OF_AGENT | FollowUpKind.ALERTS_OF_SUBJECT:
            closed = update(alerts).where(alerts.c.id.in_(ids), alerts.c.closed_at.is_(None))
            await tx.connection.execute(closed.values(closed_at=follow_up.at, closed_reason=follow_up.reason))
            await withdraw_notices(tx, notices.c.alert_id.in_(ids), follow_up.reason)


def _limited_by_rules() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for agents of which rules decide when they are silent, and that are not: the clock asks the rules again.

    One that is silent, and of which no rule opened an alert, is asked again too.
    """
    reported = select(alerts.c.id).where(
        alerts.c.agent_id == agents.c.id,
        alerts.c.kind == AlertKind.AGENT_SILENT,
        or_(alerts.c.closed_at.is_(None), alerts.c.opened_at >= agents.c.silent_since),
    )
    return (
        agents.c.last_heard_at.is_not(None),
        or_(
            and_(agents.c.silent_since.is_(None), agents.c.silent_after_s.is_(None)),
            and_(agents.c.silent_since.is_not(None), ~reported.exists()),
        ),
    )


async def _set_repeats(tx: WriteTx, follow_up: FollowUp, alert_ids: Sequence[str]) -> None:
    """Repeat what the route reported of these alerts `repeat_every` after its newest notice, or never again."""
    route = await ROUTES.find(tx, follow_up.subject_id)
    if route is None:
        return
    every = route.repeat_every if route.enabled else None
    of_route = (notices.c.route_id == route.id, notices.c.what.in_(ABOUT_ALERTS))
    is_reported = (notices.c.state.in_((NoticeState.WAITING, NoticeState.WORDED)), alerts.c.closed_at.is_(None))
    columns = (notices.c.alert_id, notices.c.recipient_id, func.max(notices.c.id).label("newest"))
    newest = (
        select(*columns)
        .join_from(alerts, notices, notices.c.alert_id == alerts.c.id)
        .where(alerts.c.id.in_(alert_ids), *of_route, *is_reported, alerts.c.acknowledged_at.is_(None))
        .group_by(notices.c.alert_id, notices.c.recipient_id)
        .subquery()
    )
    found = await tx.connection.execute(
        select(notices.c.id, notices.c.due_at).join(newest, newest.c.newest == notices.c.id)
    )
    rows = [{"of_id": row.id, "at": None if every is None else row.due_at + every} for row in found]
    if rows:
        change = update(notices).where(notices.c.id == bindparam("of_id"))
        await tx.connection.execute(change.values(repeat_at=bindparam("at")), rows)


async def _move_on(tx: WriteTx, follow_up: FollowUp, ids: Sequence[str]) -> None:
    """Let alerts move on now that wait for an address that their recipient no longer has, where they might never be sent.

    Also alerts for which there was no other transport until now (`move_on_at` is not before `give_up_at`).
    """
    recipient = (await recipients_by_id(tx, [follow_up.subject_id])).get(follow_up.subject_id)
    if recipient is None:
        return
    current = (
        and_(messages.c.transport == to.transport, messages.c.address == to.address) for to in recipient.transports
    )
    may_move = or_(~or_(false(), *current), messages.c.move_on_at >= messages.c.give_up_at)
    moved = update(messages).where(messages.c.id.in_(ids), messages.c.state.in_(UNSETTLED), may_move)
    await tx.connection.execute(moved.values(move_on_at=follow_up.at))
