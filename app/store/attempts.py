"""Attempts: one row a try at sending, written before it starts and completed after it ended. Nothing is ever taken away."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select, update

from app.domain.attempt import Attempt
from app.store.tables import attempts, messages
from app.store.transactions import ReadTx, WriteTx

_END = (
    update(attempts)
    .where(attempts.c.id == bindparam("b_id"))
    .values(
        {name: bindparam(f"b_{name}", type_=attempts.c[name].type) for name in ("ended_at", "outcome", "code", "text")}
    )
)


async def insert_attempts(tx: WriteTx, begun: Sequence[Attempt]) -> None:
    """Write attempts that are about to start, or that another side made and tells of now."""
    if begun:
        await tx.connection.execute(
            insert(attempts), [{name: getattr(one, name) for name in Attempt.__slots__} for one in begun]
        )


async def end_attempts(tx: WriteTx, ended: Sequence[tuple[str, datetime, str, str, str]]) -> None:
    """Write how attempts ended: id, moment, outcome, code and text."""
    if ended:
        names = ("b_id", "b_ended_at", "b_outcome", "b_code", "b_text")
        await tx.connection.execute(_END, [dict(zip(names, one, strict=True)) for one in ended])


async def attempt_under(tx: ReadTx, message_id: str, token: str) -> Attempt | None:
    """Give the attempt that was begun under this token."""
    wanted = select(attempts).where(attempts.c.message_id == message_id, attempts.c.token == token)
    row = (await tx.connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else Attempt(**row)


async def attempts_of(tx: ReadTx, message_id: str) -> list[Attempt]:
    """Give a message's attempts, oldest first."""
    rows = await tx.connection.execute(
        select(attempts).where(attempts.c.message_id == message_id).order_by(attempts.c.number)
    )
    return [Attempt(**row) for row in rows.mappings()]


async def count_unknown(tx: ReadTx, message_id: str) -> int:
    """Say how many attempts at a message ended without anybody knowing how."""
    wanted = select(func.count()).where(attempts.c.message_id == message_id, attempts.c.outcome == "unknown")
    return int((await tx.connection.execute(wanted)).scalar_one())


async def latest_by_transport(tx: ReadTx, among: int = 200) -> dict[str, Attempt]:
    """Give each transport's newest ended attempt among the newest `among` of all; their ids sort by time."""
    newest = select(attempts).order_by(attempts.c.id.desc()).limit(among).subquery()
    wanted = (
        select(messages.c.transport, newest)
        .join_from(newest, messages, messages.c.id == newest.c.message_id)
        .where(newest.c.ended_at.is_not(None))
        .order_by(newest.c.id)
    )
    rows = (await tx.connection.execute(wanted)).mappings()
    return {row["transport"]: Attempt(**{name: row[name] for name in Attempt.__slots__}) for row in rows}
