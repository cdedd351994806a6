"""Store new events and the agents that sent them, many at once, with the drivers' own statements."""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache, partial
from typing import NamedTuple

from pydantic_core import to_json
from sqlalchemy import String, and_, select
from sqlalchemy.sql.base import Executable

from app.core.ids import new_id
from app.domain.agent import AgentState
from app.store.prepared import Builder, Prepared
from app.store.tables import jobs
from app.store.transactions import Database, ReadTx, WriteTx
from app.store.types import to_micros
from app.store.writer_queue import WriteOrder


class NewEvent(NamedTuple):
    """One event to store, in the order of the columns. It is a tuple because one is made per event and passed to the driver as it is.

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

    def with_agent(self, agent_id: str) -> "NewEvent":
        """Return it as an event of this agent. By `_replace`, it takes four times as long."""
        return NewEvent._make((self.id, self.customer_id, agent_id, *self[3:]))


_FIELDS = NewEvent._fields
_OCCURRED_AT = _FIELDS.index("occurred_at")
_POSTGRES_TYPES = {"occurred_at": "timestamptz", "received_at": "timestamptz"}
_JSON_FIELDS = ("metrics", "labels", "extra", "flags")
_INSERT = f"INSERT INTO events ({', '.join(_FIELDS)}) "
_PLACEHOLDERS = f"({', '.join('?' * len(_FIELDS))})"
# How many rows go into one statement: at each statement the driver lets other threads run, and then waits for its turn. Only
# these sizes are used, because preparing a new statement costs as much as inserting its rows.
_SQLITE_BATCH_SIZES = (500, 100)


@cache
def _sqlite_insert(rows: int) -> str:
    return f"{_INSERT} VALUES {', '.join([_PLACEHOLDERS] * rows)} ON CONFLICT DO NOTHING"


_SELECTED = ", ".join(name + "::jsonb" if name in _JSON_FIELDS else name for name in _FIELDS)
_ARRAYS = ", ".join(f"${index}::{_POSTGRES_TYPES.get(name, 'text')}[]" for index, name in enumerate(_FIELDS, start=1))
_POSTGRES_INSERT = f"{_INSERT} SELECT {_SELECTED} FROM unnest({_ARRAYS}) AS new ({', '.join(_FIELDS)}) ON CONFLICT DO NOTHING RETURNING id"  # noqa: S608  (the column names are constants)
_SQLITE_FIND_MISSING = (
    "SELECT new.value FROM json_each(?) AS new WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.id = new.value)"
)


async def add_events(database: Database, events: Sequence[NewEvent]) -> set[str]:
    """Commit events; return the ids of those whose key was stored before, or occurs twice in `events`.

    Every event takes this path, so it is a single round trip, with nothing else between begin and commit.
    """
    if not events:
        return set()
    if database.is_sqlite:
        return await database.write_at_once(partial(_insert_into_sqlite, events), WriteOrder.STORE)
    stored = await database.fetch_alone(_POSTGRES_INSERT, *zip(*events, strict=True))
    if len(stored) == len(events):
        return set()
    return {event.id for event in events}.difference(row[0] for row in stored)


def _insert_into_sqlite(events: Sequence[NewEvent], connection: sqlite3.Connection) -> set[str]:
    position = stored = 0
    while position < len(events):
        left = len(events) - position
        rows = next((size for size in _SQLITE_BATCH_SIZES if size <= left), left)
        values: list[object] = []
        for event in events[position : position + rows]:
            values += event[:_OCCURRED_AT]
            values += (to_micros(event.occurred_at), to_micros(event.received_at))
            values += event[_OCCURRED_AT + 2 :]
        stored += connection.execute(_sqlite_insert(rows), values).rowcount
        position += rows
    if stored == len(events):
        return set()
    ids = to_json([event.id for event in events]).decode()
    return {row[0] for row in connection.execute(_SQLITE_FIND_MISSING, (ids,))}


_SQLITE_INSERT_AGENT = (
    "INSERT INTO agents (id, customer_id, name, labels, created_at, state, enrolled_by) "
    "VALUES (?, ?, ?, '{}', ?, ?, ?) ON CONFLICT DO NOTHING"
)
_POSTGRES_INSERT_AGENT = (
    "INSERT INTO agents (id, customer_id, name, labels, created_at, state, enrolled_by) "
    "SELECT id, customer_id, name, '{}'::jsonb, $4, state, enrolled_by "
    "FROM unnest($1::text[], $2::text[], $3::text[], $5::text[], $6::text[]) "
    "AS new (id, customer_id, name, state, enrolled_by) ON CONFLICT DO NOTHING"
)
_SQLITE_FIND_AGENTS = (
    "SELECT agents.customer_id, agents.name, agents.id, agents.state FROM json_each(?) AS wanted JOIN agents "
    "ON agents.customer_id = json_extract(wanted.value, '$[0]') AND agents.name = json_extract(wanted.value, '$[1]')"
)
_POSTGRES_FIND_AGENTS = (
    "SELECT agents.customer_id, agents.name, agents.id, agents.state "
    "FROM unnest($1::text[], $2::text[]) AS wanted (customer_id, name) JOIN agents USING (customer_id, name)"
)


class FoundAgent(NamedTuple):
    """What intake knows of an agent."""

    id: str
    state: AgentState


class NewAgent(NamedTuple):
    """An agent to create for its first event. `enrolled_by`: the key that lets it in; None: one of our own."""

    customer_id: str
    name: str
    state: AgentState = AgentState.APPROVED
    enrolled_by: str | None = None


async def find_or_create_agents(
    tx: WriteTx, wanted: Collection[tuple[str, str]], at: datetime
) -> dict[tuple[str, str], str]:
    """Return the id of each (customer, agent's name), and create the unknown ones. Two processes at once create one agent."""
    found = await find_agents(tx, wanted)
    found |= await create_agents(tx, [NewAgent(*agent) for agent in set(wanted) - found.keys()], at)
    return {agent: known.id for agent, known in found.items()}


async def create_agents(tx: WriteTx, unknown: Collection[NewAgent], at: datetime) -> dict[tuple[str, str], FoundAgent]:
    """Create agents, and return them, also those that another process created meanwhile."""
    if not unknown:
        return {}
    # Sorted, so that all processes insert in the same order: in different orders, two transactions would deadlock.
    rows = [(new_id("agt"), *agent) for agent in sorted(unknown, key=lambda agent: agent[:2])]
    ids, customers, names, states, keys = map(list, zip(*rows, strict=True))
    if tx.is_sqlite:
        values = [(*row[:3], to_micros(at), *row[3:]) for row in rows]
        await tx.connection.exec_driver_sql(_SQLITE_INSERT_AGENT, values)
    else:
        await tx.connection.exec_driver_sql(_POSTGRES_INSERT_AGENT, (ids, customers, names, at, states, keys))
    return await find_agents(tx, [agent[:2] for agent in unknown])


async def find_agents(tx: ReadTx, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], FoundAgent]:
    """Return those of the (customer, agent's name) that exist."""
    if tx.is_sqlite:
        rows = await tx.connection.exec_driver_sql(_SQLITE_FIND_AGENTS, (to_json(list(wanted)).decode(),))
    else:
        customers, names = [customer for customer, _ in wanted], [name for _, name in wanted]
        rows = await tx.connection.exec_driver_sql(_POSTGRES_FIND_AGENTS, (customers, names))
    return {
        (row["customer_id"], row["name"]): FoundAgent(row["id"], AgentState(row["state"])) for row in rows.mappings()
    }


def _build_find_jobs(db: Builder) -> Executable:
    wanted = db.table("wanted", customer_id=String, agent_id=String, name=String, activity=String)
    same = [jobs.c[name] == wanted.c[name] for name in ("customer_id", "agent_id", "name", "activity")]
    return select(jobs.c.agent_id, jobs.c.name, jobs.c.activity).select_from(wanted.join(jobs, and_(*same)))


_FIND_JOBS = Prepared(_build_find_jobs)


async def find_jobs(tx: ReadTx, wanted: Collection[tuple[str, str, str, str]]) -> set[tuple[str, str, str]]:
    """Return (agent's id, name, activity) of those jobs that exist. `wanted`: the same, with the customer before it."""
    if not wanted:
        return set()
    return {(agent_id, name, activity) for agent_id, name, activity in await tx.fetch(_FIND_JOBS, wanted=list(wanted))}
