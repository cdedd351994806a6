"""Attempts: one row for each try at sending, written before it starts and completed after it ended. Rows are never deleted singly."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import String, bindparam, func, select, update

from app.domain.attempt import Attempt, Evidence
from app.store.prepared import Prepared
from app.store.tables import attempts, messages
from app.store.transactions import ReadTx, WriteTx

_INSERT = Prepared(lambda db: db.insert(attempts).values({name: bindparam(name) for name in Attempt.__slots__}))
_END = Prepared(
    lambda _: (
        update(attempts)
        .where(attempts.c.id == bindparam("of_id", type_=String))
        .values({name: bindparam(name) for name in ("ended_at", "outcome", "code", "text", "evidence")})
    )
)


async def insert_attempts(tx: WriteTx, begun: Sequence[Attempt]) -> None:
    """Insert attempts that are about to start, or that a relay made earlier and reports now."""
    await tx.change_each(_INSERT, [{name: getattr(attempt, name) for name in Attempt.__slots__} for attempt in begun])


class EndedAttempt(NamedTuple):
    """How an attempt ended. `outcome` and `ended_at` are None while only its state so far is known."""

    id: str
    ended_at: datetime | None
    outcome: str | None
    code: str
    text: str
    evidence: Evidence | None = None


async def end_attempts(tx: WriteTx, ended: Sequence[EndedAttempt]) -> None:
    """Write how attempts ended."""
    names = ("of_id", "ended_at", "outcome", "code", "text", "evidence")
    await tx.change_each(_END, [dict(zip(names, values, strict=True)) for values in ended])


async def attempt_under(tx: ReadTx, message_id: str, token: str) -> Attempt | None:
    """Return the attempt that was begun under this lease token."""
    query = select(attempts).where(attempts.c.message_id == message_id, attempts.c.token == token)
    row = (await tx.connection.execute(query)).mappings().one_or_none()
    return None if row is None else Attempt(**row)


async def attempts_of(tx: ReadTx, message_id: str) -> list[Attempt]:
    """Return a message's attempts, oldest first."""
    rows = await tx.connection.execute(
        select(attempts).where(attempts.c.message_id == message_id).order_by(attempts.c.number)
    )
    return [Attempt(**row) for row in rows.mappings()]


async def count_unknown(tx: ReadTx, message_id: str) -> int:
    """Count the attempts at a message that ended unknown."""
    query = select(func.count()).where(attempts.c.message_id == message_id, attempts.c.outcome == "unknown")
    return int((await tx.connection.execute(query)).scalar_one())


async def latest_by_transport(tx: ReadTx, among: int = 200) -> dict[str, Attempt]:
    """Return each transport's newest ended attempt, among the newest `among` attempts of all; ids sort by time."""
    newest = select(attempts).order_by(attempts.c.id.desc()).limit(among).subquery()
    query = (
        select(messages.c.transport, newest)
        .join_from(newest, messages, messages.c.id == newest.c.message_id)
        .where(newest.c.ended_at.is_not(None))
        .order_by(newest.c.id)
    )
    rows = (await tx.connection.execute(query)).mappings()
    return {row["transport"]: Attempt(**{name: row[name] for name in Attempt.__slots__}) for row in rows}
