"""Notices: decisions to notify, or not to, with their reasons; when each group was notified; when each is repeated."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.sql.base import Executable

from app.core.ids import first_id_at
from app.domain.notice import URGENCY_CRITICAL, Notice, NoticeKind, NoticeState
from app.domain.uncomposed import MARK, Uncomposed, marked_since
from app.store.customers import Scope, alerts_of
from app.store.prepared import Builder, Prepared
from app.store.repository import IndexRanges, Page, Repository, Window, page_among, page_newest, split, tested
from app.store.row_mapping import UNREADABLE, readable, readable_values
from app.store.tables import groups, notices
from app.store.tables_managed import routes
from app.store.transactions import ReadTx, WriteTx
from app.store.types import Utc
from app.store.unreadable import put_off as put_off_rows
from app.store.unreadable import split_readable

ABOUT_ALERTS = (NoticeKind.OPENED, NoticeKind.REPEATED)  # those that report an alert; a recovery follows only them
PENDING = (NoticeState.WAITING, NoticeState.MUTED)
# Written exactly as in the partial index: SQLite uses it only when its condition stands word for word in the query.
_DUE = text("notices.state IN ('waiting', 'muted')")
_NOW = bindparam("now", type_=Utc)
_MUTE_ENDED = _DUE, notices.c.state == NoticeState.MUTED, notices.c.due_at <= _NOW
_REPEAT_DUE = notices.c.repeat_at <= _NOW, notices.c.state == NoticeState.WORDED
_UNREADABLE_AFTER = timedelta(minutes=15)
NOTICES = Repository(notices, Notice, noun="notice", prefix="ntc", newest_first=True)


@dataclass(frozen=True, slots=True)
class NoticeFilters:
    """Which notices a list shows. Each field that is not None must be met."""

    scope: Scope
    recipient_id: str | None = None
    route_id: str | None = None
    alert_id: str | None = None
    message_id: str | None = None
    summary_id: str | None = None
    what: NoticeKind | None = None
    state: NoticeState | None = None


def _build_group_times(db: Builder) -> Select[tuple[str, str, datetime]]:
    wanted = db.table("wanted", route_id=String, group_key=String)
    same = (groups.c.route_id == wanted.c.route_id) & (groups.c.group_key == wanted.c.group_key)
    found = select(groups.c.route_id, groups.c.group_key, groups.c.told_at).join_from(wanted, groups, same)
    return found.order_by(groups.c.route_id, groups.c.group_key).with_for_update(of=groups)


def _build_save_group_time(db: Builder) -> Executable:
    insert = db.insert(groups).values({name: bindparam(name) for name in ("route_id", "group_key", "told_at")})
    return insert.on_conflict_do_update(
        index_elements=["route_id", "group_key"], set_={"told_at": insert.excluded.told_at}
    )


_GROUP_TIMES = Prepared(_build_group_times)
_SAVE_GROUP_TIME = Prepared(_build_save_group_time)
_INSERT = Prepared(lambda db: db.insert_each(notices, Notice.__slots__).on_conflict_do_nothing())
_SUPPRESS_WAITING = Prepared(
    lambda _: (
        update(notices)
        .where(
            notices.c.alert_id == bindparam("of_alert"),
            notices.c.state.in_((NoticeState.WAITING, NoticeState.MUTED)),
            notices.c.what.in_(ABOUT_ALERTS),
        )
        .values(state=NoticeState.SUPPRESSED, reason=bindparam("why"))
    )
)
_END_REPEATS = Prepared(
    lambda db: (
        update(notices)
        .where(db.one_of(notices.c.alert_id, "alert_ids"), notices.c.repeat_at.is_not(None))
        .values(repeat_at=None)
    )
)
_REMINDERS_DUE = Prepared(
    lambda _: union_all(
        *(
            select(found.c.id)
            for found in (
                select(notices.c.id).where(*_MUTE_ENDED).limit(1).subquery("muted"),
                select(notices.c.id).where(*_REPEAT_DUE).limit(1).subquery("repeated"),
            )
        )
    )
)


def select_waiting_due(*columns: ColumnElement[Any], limit: ColumnElement[int]) -> Select[Any]:
    """Return the statement that selects columns of due notices that wait to be worded, the most urgent first."""
    due = select(*columns).where(_DUE, notices.c.state == NoticeState.WAITING, notices.c.due_at <= _NOW)
    return due.order_by(notices.c.urgency, notices.c.due_at, notices.c.id).limit(limit)


WAITING_DUE = Prepared(lambda _: select_waiting_due(*NOTICES.mapping.columns, limit=bindparam("limit", type_=Integer)))


def _build_mark_worded(db: Builder) -> Executable:
    worded = db.table("worded", id=String, message_id=String)
    own = notices.c.id == worded.c.id, notices.c.state == NoticeState.WAITING
    return update(notices).where(*own).values(state=NoticeState.WORDED, message_id=worded.c.message_id)


_MARK_WORDED = Prepared(_build_mark_worded)
_WORDED_FOR = Prepared(
    lambda db: (
        select(*NOTICES.mapping.columns)
        .where(
            db.one_of(notices.c.alert_id, "alert_ids"),
            notices.c.state == NoticeState.WORDED,
            notices.c.what.in_(ABOUT_ALERTS),
        )
        .order_by(notices.c.id)
    )
)


async def page_notices(tx: ReadTx, filters: NoticeFilters, window: Window) -> Page[Notice]:
    """Return the newest notices that meet the filters. `what` and route are tested on each that the others find in an index."""
    scope = filters.scope
    same = {
        "alert_id": filters.alert_id,
        "message_id": filters.message_id,
        "summary_id": filters.summary_id,
        "recipient_id": filters.recipient_id,
        "customer_id": scope.customer_id,
        "state": filters.state,
        "route_id": filters.route_id,
        "what": filters.what,
    }
    if scope.names_agent_or_job:
        ids = await tx.connection.scalars(select(notices.c.id).where(notices.c.alert_id.in_(alerts_of(scope))))
        return await page_among(tx, NOTICES, ids, tested(notices, **same), window)
    ranges = await _ranges(tx, filters)
    found_by = {column.name for column in ranges.columns}
    where = tested(notices, **{name: value for name, value in same.items() if name not in found_by})
    return await page_newest(tx, NOTICES, ranges, where, window)


async def _ranges(tx: ReadTx, filters: NoticeFilters) -> IndexRanges:
    """Choose the shortest part of an index that holds all notices asked for."""
    every = IndexRanges(notices)
    for column, wanted_id in (
        (notices.c.alert_id, filters.alert_id),
        (notices.c.message_id, filters.message_id),
        (notices.c.summary_id, filters.summary_id),
        (notices.c.recipient_id, filters.recipient_id),
    ):
        if wanted_id is not None:
            return every.by(column, [wanted_id])
    states = tuple(NoticeState) if filters.state is None else (filters.state,)
    if filters.scope.customer_id is not None:
        return every.by(notices.c.customer_id, [filters.scope.customer_id]).by(notices.c.state, states)
    if filters.state is not None:
        return (await split(tx, every, notices.c.customer_id)).by(notices.c.state, states)
    return every


async def insert_notices(tx: WriteTx, made: Sequence[Notice]) -> None:
    """Store notices; one that exists already (by its dedupe key) stays as it is."""
    await tx.change_each(_INSERT, [{name: getattr(notice, name) for name in Notice.__slots__} for notice in made])


async def suppress_waiting(tx: WriteTx, reasons: Mapping[str, str]) -> None:
    """Suppress the notices of closed alerts that were not worded yet, and end all repeats. `reasons`: alert id to why."""
    if not reasons:
        return
    await tx.change_each(
        _SUPPRESS_WAITING, [{"of_alert": alert_id, "why": why} for alert_id, why in sorted(reasons.items())]
    )
    await tx.change(_END_REPEATS, alert_ids=sorted(reasons))


async def delete_waiting_acknowledgements(tx: WriteTx, alert_ids: Sequence[str]) -> None:
    """Delete the notices that would report the acknowledgements of these alerts, as far as they are not worded.

    They were undone. If the notices stayed, nobody would be notified of the next acknowledgement: each has one for an alert.
    """
    own = notices.c
    unsent = own.alert_id.in_(alert_ids), own.what == NoticeKind.ACKNOWLEDGED, own.state == NoticeState.WAITING
    await tx.connection.execute(delete(notices).where(*unsent))


async def restore_waiting(tx: WriteTx, reasons: Mapping[str, str], now: datetime) -> None:
    """Take back `suppress_waiting`: what it suppressed is decided on again, as a muted notice that is due, and repeats go on."""
    for alert_id, why in sorted(reasons.items()):
        of_alert = notices.c.alert_id == alert_id
        suppressed = of_alert, notices.c.state == NoticeState.SUPPRESSED, notices.c.reason == why
        again = update(notices).where(*suppressed).values(state=NoticeState.MUTED, due_at=now)
        await tx.connection.execute(again)
    await resume_repeats(tx, sorted(reasons), now)


async def resume_repeats(tx: WriteTx, alert_ids: Sequence[str], now: datetime) -> None:
    """Let the routes that reported these open alerts repeat them again: a repeat that falls due while there is no reason for it ends."""
    for alert_id in alert_ids:
        of_alert = notices.c.alert_id == alert_id
        every = select(notices.c.route_id, func.max(notices.c.id).label("id")).where(
            of_alert, notices.c.state == NoticeState.WORDED, notices.c.route_id.is_not(None)
        )
        newest = every.group_by(notices.c.route_id, notices.c.recipient_id).subquery()
        repeating = (
            select(notices.c.id, notices.c.due_at, routes.c.repeat_every_s)
            .join(newest, newest.c.id == notices.c.id)
            .join(routes, routes.c.id == notices.c.route_id)
            .where(routes.c.repeat_every_s.is_not(None))
        )
        for row in (await tx.connection.execute(repeating)).all():
            repeat_at = max(now, row.due_at + timedelta(seconds=row.repeat_every_s))
            await tx.connection.execute(update(notices).where(notices.c.id == row.id).values(repeat_at=repeat_at))


async def worded_for(tx: ReadTx, alert_ids: Iterable[str]) -> dict[str, list[Notice]]:
    """Return, by alert, the worded notices that reported it."""
    found: dict[str, list[Notice]] = {}
    for values in await tx.fetch(_WORDED_FOR, alert_ids=sorted(set(alert_ids))):
        notice = NOTICES.mapping.read_values(values)
        found.setdefault(notice.alert_id or "", []).append(notice)
    return found


async def reported_of(tx: ReadTx, alert_ids: Sequence[str]) -> list[Notice]:
    """Return the notices that reported these alerts or their ends, in any state, the oldest first."""
    about = notices.c.alert_id.in_(alert_ids), notices.c.what.in_((*ABOUT_ALERTS, NoticeKind.RECOVERED))
    rows = await tx.connection.execute(select(*NOTICES.mapping.columns).where(*about).order_by(notices.c.id))
    return readable(rows, NOTICES.mapping.read, "notice")


async def reminders_due(tx: ReadTx, now: datetime) -> bool:
    """Return whether a mute has ended or a repeat is due."""
    return bool(await tx.fetch(_REMINDERS_DUE, now=now))


async def muted_due(tx: WriteTx, now: datetime, limit: int) -> list[Notice]:
    """Claim muted notices whose mute has ended."""
    return await _claim(
        tx,
        select(notices).where(*_MUTE_ENDED).order_by(notices.c.due_at),
        notices.c.due_at,
        now,
        limit,
    )


async def repeats_due(tx: WriteTx, now: datetime, limit: int) -> list[Notice]:
    """Claim worded notices whose alert may be reported again now."""
    due = select(notices).where(*_REPEAT_DUE).order_by(notices.c.repeat_at)
    return await _claim(tx, due, notices.c.repeat_at, now, limit)


async def _claim(tx: WriteTx, due: Select[Any], when: Column[Any], now: datetime, limit: int) -> list[Notice]:
    rows = await tx.connection.execute(due.limit(limit).with_for_update(skip_locked=True), {"now": now})
    found, unreadable = split_readable(rows, NOTICES.mapping.read, "notice")
    await put_off_rows(tx, when, unreadable, now)
    return found


async def judge_later(tx: WriteTx, due: Sequence[Notice], now: datetime) -> None:
    """Look later again at muted or repeated notices whose alert cannot be read (`store/unreadable.py`)."""
    await put_off_rows(tx, notices.c.due_at, [one.id for one in due if one.state is NoticeState.MUTED], now)
    await put_off_rows(tx, notices.c.repeat_at, [one.id for one in due if one.state is NoticeState.WORDED], now)


async def clear_repeat(tx: WriteTx, ids: Sequence[str]) -> None:
    """Note that the repeats of these notices were decided."""
    if ids:
        await tx.connection.execute(update(notices).where(notices.c.id.in_(ids)).values(repeat_at=None))


async def settle_muted(tx: WriteTx, reasons: Mapping[str, str]) -> None:
    """End muted notices, by id, with the reason of each."""
    if reasons:
        change = (
            update(notices)
            .where(notices.c.id == bindparam("of_id"))
            .values(state=NoticeState.SUPPRESSED, reason=bindparam("why"))
        )
        await tx.connection.execute(change, [{"of_id": notice_id, "why": why} for notice_id, why in reasons.items()])


async def group_times(tx: WriteTx, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
    """Return when the newest message of each group (route id, group key) was or will be due."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = await tx.fetch(_GROUP_TIMES, wanted=wanted)
    return {(route_id, group_key): told_at for route_id, group_key, told_at in rows}


async def save_group_times(tx: WriteTx, times: Mapping[tuple[str, str], datetime]) -> None:
    """Store when the newest message of each group is due."""
    rows = [{"route_id": route, "group_key": key, "told_at": at} for (route, key), at in sorted(times.items())]
    await tx.change_each(_SAVE_GROUP_TIME, rows)


async def waiting_due(tx: ReadTx, now: datetime, limit: int) -> list[Notice]:
    """Return due notices that wait to be worded, the most urgent first. Those that another version wrote, however many, stop no others."""
    looked_at = limit
    while True:
        rows = await tx.fetch(WAITING_DUE, now=now, limit=looked_at)
        found = readable_values(rows, NOTICES.mapping, "notice")
        if len(found) >= limit or len(rows) < looked_at:
            return found[:limit]
        looked_at *= 4  # they stay as they are: a worker of that version may be about to word them


async def mark_worded(tx: WriteTx, worded: Sequence[tuple[str, str]]) -> bool:
    """Claim waiting notices, each with the id of the message that words it. False, and then no claim may be kept, if one is no longer waiting."""
    return await tx.change_counted(_MARK_WORDED, worded=worded) == len(worded)


async def unmark_worded(tx: WriteTx, message_ids: Collection[str]) -> None:
    """Take back the claims of messages that are not kept."""
    back = update(notices).where(notices.c.message_id.in_(message_ids))
    await tx.connection.execute(back.values(state=NoticeState.WAITING, message_id=None))


async def put_off(tx: WriteTx, reasons: Mapping[str, str], until: datetime) -> None:
    """Delay waiting notices that cannot be worded now. `reasons`: by their ids, with the cause."""
    still = update(notices).where(notices.c.state == NoticeState.WAITING)
    for notice_id, reason in reasons.items():
        await tx.connection.execute(still.where(notices.c.id == notice_id).values(due_at=until, reason=reason))


async def uncomposed(tx: ReadTx, now: datetime) -> list[Uncomposed]:
    """Return waiting notices of which no message could be composed, and old ones that cannot be read."""
    of_mark = notices.c.reason.contains(MARK, autoescape=True)
    old = notices.c.id < first_id_at("ntc", now - _UNREADABLE_AFTER)
    waiting = select(*NOTICES.mapping.columns).where(_DUE, notices.c.state == NoticeState.WAITING)
    found: list[Uncomposed] = []
    for row in await tx.connection.execute(waiting.where(or_(of_mark, and_(old, notices.c.due_at <= now))).limit(1000)):
        try:
            notice = NOTICES.mapping.read(row)
        except UNREADABLE as cause:
            found.append(Uncomposed(row.id, now - _UNREADABLE_AFTER, f"its row cannot be read: {cause!r:.200}"))
        else:
            if (since := marked_since(notice.reason)) is not None:
                found.append(Uncomposed(notice.id, since, notice.reason.partition(MARK)[2].partition(": ")[2]))
    return found


async def hurry(tx: WriteTx, alert_ids: Sequence[str], now: datetime) -> set[str]:
    """Make the waiting notices of alerts that became critical due at once; return the alerts that had one."""
    waiting = update(notices).where(notices.c.alert_id.in_(alert_ids), notices.c.state == NoticeState.WAITING)
    hurried = waiting.values(due_at=now, urgency=URGENCY_CRITICAL).returning(notices.c.alert_id)
    return set((await tx.connection.execute(hurried)).scalars())


async def suppress(tx: WriteTx, ids: Sequence[str], why: str) -> None:
    """Suppress waiting notices that have no recipient any more."""
    gone = update(notices).where(notices.c.id.in_(ids), notices.c.state == NoticeState.WAITING)
    await tx.connection.execute(
        gone.values(state=NoticeState.SUPPRESSED, reason=notices.c.reason + f"; {why}", repeat_at=None)
    )


async def withdraw_notices(tx: WriteTx, which: ColumnElement[bool], reason: str) -> None:
    """Suppress those of these notices that are still to be sent, and end the repeats of the others."""
    still = update(notices).where(which, notices.c.state.in_(PENDING))
    await tx.connection.execute(still.values(state=NoticeState.SUPPRESSED, reason=reason))
    await tx.connection.execute(update(notices).where(which, notices.c.repeat_at.is_not(None)).values(repeat_at=None))


async def count_repeats_from(tx: WriteTx, made: Sequence[Notice]) -> None:
    """Count repeats from these notices, where they were stored.

    Without this, an alert that was repeated out of turn (it became critical) would be repeated twice an interval from then on.
    """
    newest = {(n.alert_id, n.route_id): n for n in made if n.what is NoticeKind.REPEATED and n.repeat_at is not None}
    if not newest:
        return
    stored = notices.alias("stored")
    older = (
        notices.c.alert_id == bindparam("of_alert"),
        notices.c.route_id == bindparam("of_route"),
        notices.c.repeat_at.is_not(None),
        notices.c.created_at != bindparam("made_at", type_=notices.c.created_at.type),
        exists(select(stored.c.id).where(stored.c.id == bindparam("new_id"))),
    )
    rows = [
        {"of_alert": alert_id, "of_route": route_id, "made_at": notice.created_at, "new_id": notice.id}
        for (alert_id, route_id), notice in newest.items()
    ]
    await tx.connection.execute(update(notices).where(*older).values(repeat_at=None), rows)
