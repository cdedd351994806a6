"""Attempts: one row for each try at sending, written before it starts and completed after it ended. Rows are never deleted singly.

The second half is the fast path for what almost every attempt does: it was sent, and the next one begins. It writes many at
once, with the drivers' own statements, and only attempts that were sent under a valid lease; everything else is left to
`deliver/settle`, which locks and decides.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

import asyncpg
from sqlalchemy import bindparam, func, insert, select, update

from app.core.ids import new_id
from app.domain.attempt import Attempt, Evidence
from app.domain.lease import Claim
from app.store.tables import attempts, messages
from app.store.transactions import Database, ReadTx, WriteTx
from app.store.types import to_micros

_END = (
    update(attempts)
    .where(attempts.c.id == bindparam("b_id"))
    .values(
        {
            name: bindparam(f"b_{name}", type_=attempts.c[name].type)
            for name in ("ended_at", "outcome", "code", "text", "evidence")
        }
    )
)


async def insert_attempts(tx: WriteTx, begun: Sequence[Attempt]) -> None:
    """Insert attempts that are about to start, or that a relay made earlier and reports now."""
    if begun:
        rows = [{name: getattr(attempt, name) for name in Attempt.__slots__} for attempt in begun]
        await tx.connection.execute(insert(attempts), rows)


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
    if ended:
        names = ("b_id", "b_ended_at", "b_outcome", "b_code", "b_text", "b_evidence")
        await tx.connection.execute(_END, [dict(zip(names, values, strict=True)) for values in ended])


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


class SentAttempt(NamedTuple):
    """An attempt that was sent, with its evidence."""

    message_id: str
    token: str
    code: str
    text: str


_Starts = Sequence[tuple[str, str, str]]  # message id, token, attempt id
_Written = tuple[set[str], set[str]]  # messages that are settled now, and messages whose attempt begins


async def settle_sent_and_begin_at_once(
    database: Database, sent: Sequence[SentAttempt], begin: Sequence[Claim], now: datetime
) -> set[str] | None:
    """Commit ends and beginnings of attempts in one trip to the database; return the messages that may be sent.

    None, with nothing written: the lease of one of `sent` was lost.
    """
    starts = _starts(begin)
    try:
        if database.is_sqlite:
            return await database.write_at_once(partial(_write_all_on_sqlite, sent, starts, now))
        rows = await database.fetch_alone(_POSTGRES_ALL_OR_NOTHING, *_postgres_values(sent, starts, now))
        return {row[0] for row in rows if not row[1]}
    except (_LeaseLost, asyncpg.DivisionByZeroError):
        return None


async def settle_sent_and_begin(
    tx: WriteTx, sent: Sequence[SentAttempt], begin: Sequence[Claim], now: datetime
) -> tuple[set[str], set[str]]:
    """Do the same inside a transaction; return the messages that are settled now, and those that may be sent.

    For a message in neither set the lease was lost, or its attempt was begun before.
    """
    starts = _starts(begin)
    if tx.is_sqlite:
        driver = (await tx.connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101  (the pool returns only open connections)
        written: _Written = await driver._execute(_write_on_sqlite, sent, starts, now, driver._connection)  # noqa: SLF001
        return written
    rows = (await tx.connection.exec_driver_sql(_POSTGRES, _postgres_values(sent, starts, now))).mappings().all()
    settled = {row["message_id"] for row in rows if row["is_settled"]}
    return settled, {row["message_id"] for row in rows if not row["is_settled"]}


class _LeaseLost(Exception):
    pass


def _starts(begin: Sequence[Claim]) -> _Starts:
    return [(claim.message_id, claim.token, new_id("att")) for claim in begin]


# `|| ''` keeps both query planners from scanning all leased messages by the index on the state: the key is known.
_HELD = "messages.id = new.message_id AND messages.lease_token = new.token AND messages.state || '' = 'leased'"
_END_SENT = "UPDATE attempts SET ended_at = {now}, outcome = 'sent', code = new.code, text = new.text"
_IN_PROGRESS = "attempts.message_id = new.message_id AND attempts.token = new.token AND attempts.ended_at IS NULL"
_SETTLE = (
    "UPDATE messages SET state = 'sent', attempts = attempts + 1, why = trim(new.code || ' ' || new.text), settled_at = {now}, "
    "lease_token = NULL, lease_until = NULL, lease_holder = NULL"
)
_INSERT = "INSERT INTO attempts (id, message_id, number, holder, token, started_at) "
_BEGUN = "SELECT new.attempt_id, messages.id, messages.attempts + 1, messages.lease_holder, new.token, {now}"
_NOT_BEGUN = (
    "NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.message_id = new.message_id AND attempts.token = new.token)"
)


def _json_rows(*names: str) -> str:
    """Return SQL for the rows of a JSON array of arrays of texts, under the name `new`."""
    columns = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names))
    return f"(SELECT {columns} FROM json_each(?2)) AS new"  # noqa: S608  (our own names)


_SENT_ROWS = _json_rows("message_id", "token", "code", "text")
_SQLITE_END = f"{_END_SENT} FROM {_SENT_ROWS}, messages WHERE {_IN_PROGRESS} AND {_HELD}".format(now="?1")
_SQLITE_SETTLE = f"{_SETTLE} FROM {_SENT_ROWS} WHERE {_HELD} RETURNING messages.id".format(now="?1")
_SQLITE_BEGIN = (
    f"{_INSERT}{_BEGUN} FROM {_json_rows('message_id', 'token', 'attempt_id')} JOIN messages ON {_HELD} "
    f"WHERE messages.lease_until > ?1 AND {_NOT_BEGUN} RETURNING message_id"
).format(now="?1")


def _write_on_sqlite(
    sent: Sequence[SentAttempt], starts: _Starts, now: datetime, connection: sqlite3.Connection
) -> _Written:
    at, sent_json, starts_json = to_micros(now), json.dumps(sent), json.dumps(starts)
    connection.execute(_SQLITE_END, (at, sent_json))
    settled = connection.execute(_SQLITE_SETTLE, (at, sent_json)).fetchall()
    begun = connection.execute(_SQLITE_BEGIN, (at, starts_json)).fetchall()
    return {row[0] for row in settled}, {row[0] for row in begun}


def _write_all_on_sqlite(
    sent: Sequence[SentAttempt], starts: _Starts, now: datetime, connection: sqlite3.Connection
) -> set[str]:
    settled, begun = _write_on_sqlite(sent, starts, now, connection)
    if len(settled) < len(sent):
        raise _LeaseLost
    return begun


_POSTGRES = f"""
WITH sent (message_id, token, code, text) AS (SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])),
next (message_id, token, attempt_id) AS (SELECT * FROM unnest($6::text[], $7::text[], $8::text[])),
settled AS ({_SETTLE} FROM sent AS new WHERE {_HELD} RETURNING new.*),
ended AS ({_END_SENT} FROM settled AS new WHERE {_IN_PROGRESS}),
held AS (
    {_BEGUN} AS started_at FROM next AS new JOIN messages ON {_HELD}
    WHERE messages.lease_until > $1 AND {_NOT_BEGUN} FOR UPDATE OF messages
),
begun AS ({_INSERT} SELECT * FROM held RETURNING message_id)
SELECT message_id, true AS is_settled FROM settled UNION ALL SELECT message_id, false FROM begun
""".format(now="$1::timestamptz")  # noqa: S608  (our own names)


# The division by zero makes the whole statement fail, so nothing is written, when the lease of one of `sent` was lost.
_POSTGRES_ALL_OR_NOTHING = f"""{_POSTGRES}
UNION ALL SELECT '', (1 / (CASE WHEN (SELECT count(*) FROM settled) < cardinality($2::text[]) THEN 0 ELSE 1 END)) = 1
"""  # noqa: S608  (our own names)


def _postgres_values(sent: Sequence[SentAttempt], starts: _Starts, now: datetime) -> tuple[object, ...]:
    columns = [[attempt[place] for attempt in sent] for place in range(4)]
    return (now, *columns, *([start[place] for start in starts] for place in range(3)))
