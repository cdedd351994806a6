"""Finds the rows of customers and of what administrators edit that cannot be read: all that depends on one of them goes on without it."""

from typing import Any

from sqlalchemy import select

from app.store.customers import CUSTOMERS
from app.store.mail_rules import MAIL_RULES
from app.store.relays import RELAYS
from app.store.repository import Repository
from app.store.routing import RECIPIENTS, ROUTES, RULES, SILENCES
from app.store.row_mapping import UNREADABLE, log_unreadable
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.transactions import ReadTx

_READ: tuple[Repository[Any], ...] = (
    CUSTOMERS,
    RECIPIENTS,
    ROUTES,
    RULES,
    SILENCES,
    SUMMARY_SCHEDULES,
    MAIL_RULES,
    RELAYS,
)


async def unreadable_settings(tx: ReadTx) -> list[tuple[str, str]]:
    """Return the table and the id of each; all of them are logged."""
    return [(one.table.name, row_id) for one in _READ for row_id in await _unreadable_of(tx, one)]


async def _unreadable_of(tx: ReadTx, repository: Repository[Any]) -> list[str]:
    query = select(*repository.mapping.columns).order_by(repository.table.c.id)
    try:
        rows = (await tx.connection.execute(query)).all()
    except UNREADABLE:  # SQLite holds a damaged time: no row of the result can be had
        ids = list(await tx.connection.scalars(select(repository.table.c.id).order_by(repository.table.c.id)))
        return [row_id for row_id in ids if not await _is_readable(tx, repository, row_id)]
    found = []
    for row in rows:
        try:
            repository.mapping.read(row)
        except UNREADABLE as cause:
            log_unreadable(repository.noun, row.id, cause)
            found.append(row.id)
    return found


async def _is_readable(tx: ReadTx, repository: Repository[Any], row_id: str) -> bool:
    query = select(*repository.mapping.columns).where(repository.table.c.id == row_id)
    try:
        for row in (await tx.connection.execute(query)).all():
            repository.mapping.read(row)
    except UNREADABLE as cause:
        log_unreadable(repository.noun, row_id, cause)
        return False
    return True
