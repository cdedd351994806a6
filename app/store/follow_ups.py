"""Follow-ups in the database. An edit inserts one in its transaction; it stays until all of it is done, whatever crashes."""

from dataclasses import asdict, replace

from sqlalchemy import delete, insert, select, update

from app.domain.follow_up import FollowUp, FollowUpKind
from app.store.tables_managed import follow_ups
from app.store.transactions import ReadTx, WriteTx


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


async def advance(tx: WriteTx, follow_up: FollowUp, after: str) -> FollowUp | None:
    """Claim the piece up to the id `after`, and return the follow-up behind it; None if another worker did this piece."""
    same = follow_ups.c.id == follow_up.id, follow_ups.c.after == follow_up.after
    claimed = await tx.connection.execute(update(follow_ups).where(*same).values(after=after))
    return replace(follow_up, after=after) if claimed.rowcount == 1 else None


async def delete_follow_up(tx: WriteTx, follow_up: FollowUp) -> None:
    """Delete one of which nothing is left."""
    same = follow_ups.c.id == follow_up.id, follow_ups.c.after == follow_up.after
    await tx.connection.execute(delete(follow_ups).where(*same))
