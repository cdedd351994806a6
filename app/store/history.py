"""What happened, for people to page through: events, runs, alerts, notices, messages, keys. Nothing here changes anything."""

from typing import Any

from sqlalchemy import ColumnElement, literal_column, select

from app.domain.message import Bodies
from app.store.records import Columns, Records
from app.store.tables import alerts, bodies, events, messages, notices, runs
from app.store.tables_managed import keys
from app.store.transactions import ReadTx


def _is_in_state(columns: Columns, state: str) -> ColumnElement[bool]:
    # Spelled out, not bound: SQLite uses a partial index only where its condition stands in the query.
    return columns.state == literal_column({"new": "'new'", "set_aside": "'set_aside'"}.get(state, "'folded'"))


def _has_outcome(columns: Columns, outcome: str) -> ColumnElement[bool]:
    return columns.outcome.is_(None) if outcome == "running" else columns.outcome == outcome


def _alert_is(columns: Columns, state: str) -> ColumnElement[bool]:
    if state == "closed":
        return columns.closed_at.is_not(None)
    if state == "acknowledged":
        return columns.closed_at.is_(None) & columns.acknowledged_at.is_not(None)
    return columns.closed_at.is_(None)


def _is_of_job(columns: Columns, job_id: str) -> ColumnElement[bool]:
    return columns.subject_id == job_id  # a job's alerts have it as their subject, and that has the index


def _is_revoked(columns: Columns, wanted: Any) -> ColumnElement[bool]:  # noqa: ANN401
    return columns.revoked_at.is_not(None) if wanted else columns.revoked_at.is_(None)


EVENTS = Records(
    events,
    "evt",
    newest_first=True,
    hidden=frozenset({"log", "extra", "metrics", "labels"}),
    indexed=frozenset({"agent_id", "run_id", "state"}),
    filters={"state": _is_in_state},
)
RUNS = Records(runs, "run", newest_first=True, indexed=frozenset({"job_id"}), filters={"outcome": _has_outcome})
ALERTS = Records(
    alerts,
    "alr",
    newest_first=True,
    indexed=frozenset({"job_id", "state"}),
    filters={"state": _alert_is, "job_id": _is_of_job},
)
NOTICES = Records(notices, "ntc", newest_first=True, indexed=frozenset({"alert_id", "message_id"}))
MESSAGES = Records(
    messages,
    "msg",
    newest_first=True,
    secret=frozenset({"lease_token"}),
    indexed=frozenset({"state"}),
)
KEYS = Records(keys, "key", secret=frozenset({"hash"}), filters={"revoked": _is_revoked})


async def bodies_of(tx: ReadTx, message_id: str) -> Bodies | None:
    """Give a message's finished bytes, or None where there is no such message."""
    query = select(bodies.c.mail, bodies.c.webhook).where(bodies.c.message_id == message_id)
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else Bodies(mail=row.mail, webhook=row.webhook)
