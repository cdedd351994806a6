"""Moves the times of what waits to be composed or sent, after the clock was put back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, bindparam, select, update

from app.domain.message import MessageState
from app.domain.notice import NoticeState
from app.store.tables import messages, notices
from app.store.transactions import ReadTx, WriteTx

_WAITING: Mapping[Table, ColumnElement[bool]] = {
    notices: notices.c.state.in_((NoticeState.WAITING, NoticeState.MUTED)),
    messages: messages.c.state.in_((MessageState.QUEUED, MessageState.UNKNOWN)),
}


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A notice or message that is not due yet."""

    table: Table
    id: str
    due_at: datetime


async def not_due_yet(tx: ReadTx, now: datetime, *, of_the_future: bool) -> list[WaitingRow]:
    """Return notices and messages that wait for a later moment; `of_the_future`: only those that were stored at a time after `now`."""
    found: list[WaitingRow] = []
    for table, waits in _WAITING.items():
        query = select(table.c.id, table.c.due_at).where(waits, table.c.due_at > now).order_by(table.c.due_at)
        if of_the_future:
            query = query.where(table.c.created_at > now)
        found += [WaitingRow(table, row.id, row.due_at) for row in await tx.connection.execute(query)]
    return found


async def bring_forward(tx: WriteTx, rows: Sequence[WaitingRow], by: timedelta, now: datetime) -> None:
    """Make them due earlier by so much, but not before `now`. Those that were changed meanwhile stay as they are."""
    for table, waits in _WAITING.items():
        own = [
            {"of_id": row.id, "before": row.due_at, "due": max(now, row.due_at - by)}
            for row in rows
            if row.table is table
        ]
        if own:
            same = table.c.id == bindparam("of_id"), table.c.due_at == bindparam("before"), waits
            await tx.connection.execute(update(table).where(*same).values(due_at=bindparam("due")), own)
