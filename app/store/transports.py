"""Each transport in the database: how its last test ended, and what waits for it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from app.store.tables import messages
from app.store.tables_managed import transport_tests
from app.store.transactions import ReadTx, WriteTx

_TEXT_MOST = 2000
_WAITING = text(
    "messages.state IN ('queued', 'unknown')"
)  # literally as in the partial index, or SQLite does not use it


@dataclass(frozen=True, slots=True)
class TransportTest:
    """How the last test of a transport ended."""

    transport: str
    at: datetime
    outcome: str  # sent | temporary | permanent | unknown
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class TransportQueue:
    """What waits for a transport: how many messages, and since when the oldest is due."""

    transport: str
    messages: int
    oldest_due_at: datetime


async def last_tests(tx: ReadTx) -> dict[str, TransportTest]:
    """Return the last test of each transport that was tested."""
    rows = await tx.connection.execute(select(transport_tests))
    return {row.transport: TransportTest(row.transport, row.at, row.outcome, row.code, row.text) for row in rows}


async def record_test(tx: WriteTx, test: TransportTest) -> None:
    """Store how a test ended, in place of the one before."""
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(transport_tests)
    ended = {"at": test.at, "outcome": test.outcome, "code": test.code, "text": test.text[:_TEXT_MOST]}
    upsert = insert.values(transport=test.transport, **ended).on_conflict_do_update(
        index_elements=["transport"], set_=ended
    )
    await tx.connection.execute(upsert)


async def waiting(tx: ReadTx) -> dict[str, TransportQueue]:
    """Return what is not settled, by transport. Only the outbox's index of waiting messages is read."""
    query = (
        select(messages.c.transport, func.count().label("messages"), func.min(messages.c.due_at).label("oldest"))
        .where(_WAITING)
        .group_by(messages.c.transport)
    )
    rows = await tx.connection.execute(query)
    return {row.transport: TransportQueue(row.transport, row.messages, row.oldest) for row in rows}
