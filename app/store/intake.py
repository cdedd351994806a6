"""Stores new events and the agents that sent them, many at once, with the drivers' own statements. It must not judge them."""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache, partial
from typing import NamedTuple

from pydantic_core import to_json

from app.core.ids import new_id
from app.store.transactions import Database, WriteTx
from app.store.types import to_micros


class NewEvent(NamedTuple):
    """One event to store, in the order of the columns; a tuple, for it is made for each event and handed to the driver as it is.

    `metrics`, `labels`, `extra` and `flags` are JSON, or None when empty.
    """

    id: str
    customer_id: str
    agent_id: str
    key: str
    job: str | None
    run: str | None
    activity: str
    phase: str | None
    outcome: str | None
    severity: str
    occurred_at: datetime
    received_at: datetime
    message: str | None
    log: str | None
    metrics: str | None
    labels: str | None
    extra: str | None
    flags: str | None


_FIELDS = NewEvent._fields
_AT = _FIELDS.index("occurred_at")
_KINDS = {"occurred_at": "timestamptz", "received_at": "timestamptz"}
_JSON = ("metrics", "labels", "extra", "flags")
_INTO = f"INSERT INTO events ({', '.join(_FIELDS)}) "
_ROW = f"({', '.join('?' * len(_FIELDS))})"
# How many rows go into one statement: the driver lets other threads run at each, and then waits for its turn again. Only sizes
# that come again, since reading a new statement costs as much as inserting its rows.
_SQLITE_ROWS = (500, 100)


@cache
def _sqlite(rows: int) -> str:
    return f"{_INTO} VALUES {', '.join([_ROW] * rows)} ON CONFLICT DO NOTHING"


_SELECTED = ", ".join(name + "::jsonb" if name in _JSON else name for name in _FIELDS)
_ARRAYS = ", ".join(f"${place}::{_KINDS.get(name, 'text')}[]" for place, name in enumerate(_FIELDS, start=1))
_POSTGRES = f"{_INTO} SELECT {_SELECTED} FROM unnest({_ARRAYS}) AS new ({', '.join(_FIELDS)}) ON CONFLICT DO NOTHING RETURNING id"  # noqa: S608  (our own names)
_SQLITE_MISSING = (
    "SELECT new.value FROM json_each(?) AS new WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.id = new.value)"
)


async def add_events(store: Database, events: Sequence[NewEvent]) -> set[str]:
    """Commit events and give the ids of those that were there already under their key, here or twice in `events`.

    One trip to the database and nothing else between its begin and its commit: this is the way of every event.
    """
    if not events:
        return set()
    if store.is_sqlite:
        return await store.write_at_once(partial(_insert, events))
    stored = await store.fetch_alone(_POSTGRES, *zip(*events, strict=True))
    if len(stored) == len(events):
        return set()
    return {event.id for event in events}.difference(row[0] for row in stored)


def _insert(events: Sequence[NewEvent], connection: sqlite3.Connection) -> set[str]:
    place = stored = 0
    while place < len(events):
        left = len(events) - place
        rows = next((size for size in _SQLITE_ROWS if size <= left), left)
        values: list[object] = []
        for e in events[place : place + rows]:
            values += e[:_AT]
            values += (to_micros(e.occurred_at), to_micros(e.received_at))
            values += e[_AT + 2 :]
        stored += connection.execute(_sqlite(rows), values).rowcount
        place += rows
    if stored == len(events):
        return set()
    ids = to_json([event.id for event in events]).decode()
    return {row[0] for row in connection.execute(_SQLITE_MISSING, (ids,))}


_AGENT_SQLITE = (
    "INSERT INTO agents (id, customer_id, name, labels, created_at) VALUES (?, ?, ?, '{}', ?) ON CONFLICT DO NOTHING"
)
_AGENT_POSTGRES = (
    "INSERT INTO agents (id, customer_id, name, labels, created_at) "
    "SELECT id, customer_id, name, '{}'::jsonb, $4 FROM unnest($1::text[], $2::text[], $3::text[]) "
    "AS new (id, customer_id, name) ON CONFLICT DO NOTHING"
)
_FIND_SQLITE = (
    "SELECT agents.customer_id, agents.name, agents.id FROM json_each(?) AS wanted JOIN agents "
    "ON agents.customer_id = json_extract(wanted.value, '$[0]') AND agents.name = json_extract(wanted.value, '$[1]')"
)
_FIND_POSTGRES = (
    "SELECT agents.customer_id, agents.name, agents.id FROM unnest($1::text[], $2::text[]) AS wanted (customer_id, name) "
    "JOIN agents USING (customer_id, name)"
)


async def agents_by_name(tx: WriteTx, wanted: Collection[tuple[str, str]], at: datetime) -> dict[tuple[str, str], str]:
    """Give the id of each (customer, agent's name), adding those that are unknown. Two hosts at once add one."""
    found = await _find_agents(tx, wanted)
    unknown = sorted(
        set(wanted) - found.keys()
    )  # in one order everywhere, so that two hosts cannot lock each other out
    if not unknown:
        return found
    ids = [new_id("agt") for _ in unknown]
    customers, names = [customer for customer, _ in unknown], [name for _, name in unknown]
    if tx.is_sqlite:
        rows = [(*row, to_micros(at)) for row in zip(ids, customers, names, strict=True)]
        await tx.connection.exec_driver_sql(_AGENT_SQLITE, rows)
    else:
        await tx.connection.exec_driver_sql(_AGENT_POSTGRES, (ids, customers, names, at))
    return found | await _find_agents(tx, unknown)


async def _find_agents(tx: WriteTx, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    if tx.is_sqlite:
        rows = await tx.connection.exec_driver_sql(_FIND_SQLITE, (to_json(list(wanted)).decode(),))
    else:
        customers, names = [customer for customer, _ in wanted], [name for _, name in wanted]
        rows = await tx.connection.exec_driver_sql(_FIND_POSTGRES, (customers, names))
    return {(row["customer_id"], row["name"]): row["id"] for row in rows.mappings()}
