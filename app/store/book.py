"""The fast road for what almost every attempt does: be sent, and make room for the next. Many at once, by the drivers' own statements.

It must not judge: what is not plainly sent under its present token is left to `settle`, which locks and decides.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

import asyncpg

from app.core.ids import new_id
from app.domain.lease import Claim
from app.store.transactions import Database, WriteTx
from app.store.types import to_micros


class SentLine(NamedTuple):
    """An attempt that was sent, with the evidence."""

    message_id: str
    token: str
    code: str
    text: str


# `|| ''` keeps both planners from going through all that are leased, by an index on that: the key is in hand.
_HELD = "messages.id = new.message_id AND messages.lease_token = new.token AND messages.state || '' = 'leased'"
_END = "UPDATE attempts SET ended_at = {now}, outcome = 'sent', code = new.code, text = new.text"
_UNDER_WAY = "attempts.message_id = new.message_id AND attempts.token = new.token AND attempts.ended_at IS NULL"
_SETTLE = (
    "UPDATE messages SET state = 'sent', attempts = attempts + 1, why = trim(new.code || ' ' || new.text), settled_at = {now}, "
    "lease_token = NULL, lease_until = NULL, lease_holder = NULL"
)
_INTO = "INSERT INTO attempts (id, message_id, number, holder, token, started_at) "
_BEGUN = "SELECT new.attempt_id, messages.id, messages.attempts + 1, messages.lease_holder, new.token, {now}"
_UNBEGUN = (
    "NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.message_id = new.message_id AND attempts.token = new.token)"
)


_Starts = Sequence[tuple[str, str, str]]  # message, token, the attempt's id
_Booked = tuple[set[str], set[str]]  # messages that are settled, and those whose attempt begins


async def book_plain(
    store: Database, sent: Sequence[SentLine], begin: Sequence[Claim], now: datetime
) -> set[str] | None:
    """Commit that attempts ended as sent and that others start, in one trip to the database; give the messages that may be sent.

    None, with nothing written: one of `sent` was not its holder's any more.
    """
    starts = _starts(begin)
    try:
        if store.is_sqlite:
            return await store.write_at_once(partial(_plain_on_sqlite, sent, starts, now))
        rows = await store.fetch_alone(_POSTGRES_PLAIN, *_values(sent, starts, now))
        return {row[0] for row in rows if not row[1]}
    except (_NotPlain, asyncpg.DivisionByZeroError):
        return None


async def book(
    tx: WriteTx, sent: Sequence[SentLine], begin: Sequence[Claim], now: datetime
) -> tuple[set[str], set[str]]:
    """Do the same within a unit; give the messages that are settled now, and those that may be sent.

    A message that is in neither set was not this holder's any more, or its attempt was begun before.
    """
    starts = _starts(begin)
    if tx.is_sqlite:
        driver = (await tx.connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101  (the pool gives connections that are open)
        found: _Booked = await driver._execute(_on_sqlite, sent, starts, now, driver._connection)  # noqa: SLF001
        return found
    rows = (await tx.connection.exec_driver_sql(_POSTGRES, _values(sent, starts, now))).mappings().all()
    settled = {row["message_id"] for row in rows if row["is_settled"]}
    return settled, {row["message_id"] for row in rows if not row["is_settled"]}


def _starts(begin: Sequence[Claim]) -> _Starts:
    return [(claim.message_id, claim.token, new_id("att")) for claim in begin]


class _NotPlain(Exception):
    pass


def _rows(*names: str) -> str:
    """Give rows of texts out of a JSON array of arrays, under the name `new`."""
    columns = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names))
    return f"(SELECT {columns} FROM json_each(?2)) AS new"  # noqa: S608  (our own names)


_SENT_ROWS = _rows("message_id", "token", "code", "text")
_SQLITE_END = f"{_END} FROM {_SENT_ROWS}, messages WHERE {_UNDER_WAY} AND {_HELD}".format(now="?1")
_SQLITE_SETTLE = f"{_SETTLE} FROM {_SENT_ROWS} WHERE {_HELD} RETURNING messages.id".format(now="?1")
_SQLITE_BEGIN = (
    f"{_INTO}{_BEGUN} FROM {_rows('message_id', 'token', 'attempt_id')} JOIN messages ON {_HELD} "
    f"WHERE messages.lease_until > ?1 AND {_UNBEGUN} RETURNING message_id"
).format(now="?1")


def _on_sqlite(sent: Sequence[SentLine], starts: _Starts, now: datetime, connection: sqlite3.Connection) -> _Booked:
    at, gone, fresh = to_micros(now), json.dumps(sent), json.dumps(starts)
    connection.execute(_SQLITE_END, (at, gone))
    settled = connection.execute(_SQLITE_SETTLE, (at, gone)).fetchall()
    begun = connection.execute(_SQLITE_BEGIN, (at, fresh)).fetchall()
    return {row[0] for row in settled}, {row[0] for row in begun}


def _plain_on_sqlite(
    sent: Sequence[SentLine], starts: _Starts, now: datetime, connection: sqlite3.Connection
) -> set[str]:
    settled, begun = _on_sqlite(sent, starts, now, connection)
    if len(settled) < len(sent):
        raise _NotPlain
    return begun


_POSTGRES = f"""
WITH gone (message_id, token, code, text) AS (SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])),
next (message_id, token, attempt_id) AS (SELECT * FROM unnest($6::text[], $7::text[], $8::text[])),
settled AS ({_SETTLE} FROM gone AS new WHERE {_HELD} RETURNING new.*),
ended AS ({_END} FROM settled AS new WHERE {_UNDER_WAY}),
held AS (
    {_BEGUN} AS started_at FROM next AS new JOIN messages ON {_HELD}
    WHERE messages.lease_until > $1 AND {_UNBEGUN} FOR UPDATE OF messages
),
begun AS ({_INTO} SELECT * FROM held RETURNING message_id)
SELECT message_id, true AS is_settled FROM settled UNION ALL SELECT message_id, false FROM begun
""".format(now="$1::timestamptz")  # noqa: S608  (our own names)


# The same, but written whole or not at all: a statement that fails leaves nothing behind.
_POSTGRES_PLAIN = f"""{_POSTGRES}
UNION ALL SELECT '', (1 / (CASE WHEN (SELECT count(*) FROM settled) < cardinality($2::text[]) THEN 0 ELSE 1 END)) = 1
"""  # noqa: S608  (our own names)


def _values(sent: Sequence[SentLine], starts: _Starts, now: datetime) -> tuple[object, ...]:
    gone = [[line[place] for line in sent] for place in range(4)]
    return (now, *gone, *([start[place] for start in starts] for place in range(3)))
