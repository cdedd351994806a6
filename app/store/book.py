"""The fast road for what almost every attempt does: be sent, and make room for the next. Many at once, by the drivers' own statements.

It must not judge: what is not plainly sent under its present token is left to `settle`, which locks and decides.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from app.base.ids import new_id
from app.domain.lease import Claim
from app.domain.message import MessageState, check_move
from app.store.types import to_micros
from app.store.unit import Unit


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


async def book(
    unit: Unit, sent: Sequence[SentLine], begin: Sequence[Claim], now: datetime
) -> tuple[set[str], set[str]]:
    """End attempts as sent and write that others start; give the messages that are settled now, and those that may be sent.

    A message that is in neither set was not this holder's any more, or its attempt was begun before.
    """
    check_move(MessageState.LEASED, MessageState.SENT)
    starts = [(claim.message_id, claim.token, new_id("att")) for claim in begin]
    return await (_book_sqlite if unit.is_sqlite else _book_postgres)(unit, sent, starts, now)


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


async def _book_sqlite(
    unit: Unit, sent: Sequence[SentLine], starts: Sequence[tuple[str, str, str]], now: datetime
) -> tuple[set[str], set[str]]:
    # By the driver itself, which does them one after another without coming back between: each of SQLAlchemy's statements
    # changes threads four times, and a sender waits all that time.
    driver: Any = (await unit.connection.get_raw_connection()).driver_connection
    at, gone, fresh = to_micros(now), json.dumps(sent), json.dumps(starts)
    _, settled, begun = await asyncio.gather(
        driver.execute_fetchall(_SQLITE_END, (at, gone)),
        driver.execute_fetchall(_SQLITE_SETTLE, (at, gone)),
        driver.execute_fetchall(_SQLITE_BEGIN, (at, fresh)),
    )
    return {row[0] for row in settled}, {row[0] for row in begun}


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


async def _book_postgres(
    unit: Unit, sent: Sequence[SentLine], starts: Sequence[tuple[str, str, str]], now: datetime
) -> tuple[set[str], set[str]]:
    columns = [[line[place] for line in sent] for place in range(4)] + [
        [start[place] for start in starts] for place in range(3)
    ]
    rows = (await unit.connection.exec_driver_sql(_POSTGRES, (now, *columns))).mappings().all()
    return {row["message_id"] for row in rows if row["is_settled"]}, {
        row["message_id"] for row in rows if not row["is_settled"]
    }
