"""Finds, pages, inserts, changes and deletes the rows of one table as records: the one mechanism under all that is listed or edited.

It must not know what any of them means. Pages go by id, which sorts by time of making, and look at a bounded number of
rows: what a page costs must not grow with history.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Subquery, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from app.core.errors import Conflict
from app.core.ids import first_id_at
from app.domain.record import Page, Record, Wanted
from app.store.transactions import ReadTx, WriteTx

WINDOW = 5_000  # rows looked at for one page, whatever the filters leave out

Columns = ReadOnlyColumnCollection[str, ColumnElement[Any]]
Filter = Callable[[Columns, Any], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Records:
    """One table's rows as records. `indexed` filters have an index of their own, so the window counts only what they leave."""

    table: Table
    noun: str  # the prefix of its ids
    newest_first: bool = False
    hidden: frozenset[str] = frozenset()  # columns that lists leave out: long ones and secrets
    secret: frozenset[str] = frozenset()  # columns that never leave
    indexed: frozenset[str] = frozenset()
    filters: Mapping[str, Filter] = field(default_factory=dict)  # those that are more than "column is value"

    async def find(self, tx: ReadTx, thing_id: str, *, for_change: bool = False) -> Record | None:
        """Give one thing whole, locked until the commit when it is to be changed; None if there is none."""
        query = select(*self._columns(self.secret)).where(self.table.c.id == thing_id)
        row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
        return None if row is None else _record_of(row)

    async def page(self, tx: ReadTx, wanted: Wanted) -> Page:
        """Give the things that meet every filter, in the order of their ids."""
        inside = {name: value for name, value in wanted.filters.items() if name in self.indexed}
        outside = {name: value for name, value in wanted.filters.items() if name not in self.indexed}
        window = self._window(wanted, inside)
        hits = self._ordered(select(window.c.id).where(*self._conditions(window.c, outside)), window.c)
        query = select(*self._columns(self.secret | self.hidden)).where(
            self.table.c.id.in_(hits.limit(wanted.limit + 1).scalar_subquery())
        )
        rows = (await tx.connection.execute(self._ordered(query, self.table.c))).all()
        if len(rows) > wanted.limit:
            return Page(tuple(_record_of(row) for row in rows[: wanted.limit]), rows[wanted.limit - 1].id)
        may_go_on = outside or wanted.limit >= WINDOW  # else a short page is the last one
        return Page(tuple(_record_of(row) for row in rows), await self._end_of(tx, window) if may_go_on else None)

    async def insert(self, tx: WriteTx, values: Mapping[str, Any]) -> None:
        """Add one. Raises Conflict where a name is taken."""
        try:
            await tx.connection.execute(insert(self.table).values(**values))
        except IntegrityError as cause:
            raise _refused(cause) from cause

    async def change(self, tx: WriteTx, thing_id: str, values: Mapping[str, Any]) -> None:
        """Change one and raise its version. Raises Conflict where a name is taken."""
        raised = {**values, "version": self.table.c.version + 1} if "version" in self.table.c else dict(values)
        try:
            await tx.connection.execute(update(self.table).where(self.table.c.id == thing_id).values(**raised))
        except IntegrityError as cause:
            raise _refused(cause) from cause

    async def remove(self, tx: WriteTx, thing_id: str) -> None:
        """Delete one. Raises Conflict while another thing points to it."""
        try:
            await tx.connection.execute(delete(self.table).where(self.table.c.id == thing_id))
        except IntegrityError as cause:
            raise Conflict("something still refers to it", code="in_use") from cause

    async def count(self, tx: ReadTx, filters: Mapping[str, Any]) -> int:
        """Count those that meet every filter; for small tables, and for filters with an index."""
        query = select(func.count()).select_from(self.table).where(*self._conditions(self.table.c, filters))
        return int(await tx.connection.scalar(query) or 0)

    def _columns(self, without: frozenset[str]) -> list[ColumnElement[Any]]:
        return [column for column in self.table.c if column.name not in without]

    def _window(self, wanted: Wanted, inside: Mapping[str, Any]) -> Subquery:
        """The newest (or oldest) rows from the cursor on, without long columns: a database reads those only when asked."""
        own = self.table.c.id
        bounds = self._conditions(self.table.c, inside)
        if wanted.since is not None:
            bounds.append(own >= first_id_at(self.noun, wanted.since))
        if wanted.until is not None:
            bounds.append(own < first_id_at(self.noun, wanted.until))
        if wanted.after is not None:
            bounds.append(own < wanted.after if self.newest_first else own > wanted.after)
        query = select(*self._columns(self.secret | self.hidden)).where(*bounds)
        return self._ordered(query, self.table.c).limit(WINDOW).subquery()

    def _ordered(self, query: Select[Any], columns: Columns) -> Select[Any]:
        return query.order_by(columns.id.desc() if self.newest_first else columns.id)

    def _conditions(self, columns: Columns, filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
        return [
            self.filters[name](columns, value) if name in self.filters else columns[name] == value
            for name, value in filters.items()
        ]

    async def _end_of(self, tx: ReadTx, window: Subquery) -> str | None:
        """Where a full window ends: there may be more behind it. None if it was not full."""
        last = func.min(window.c.id) if self.newest_first else func.max(window.c.id)
        seen, end = (await tx.connection.execute(select(func.count(), last).select_from(window))).one()
        return str(end) if seen == WINDOW else None


def _record_of(row: Row[Any]) -> Record:
    fields = dict(row._mapping)  # noqa: SLF001  (the documented way to a row's names)
    return Record(id=fields["id"], version=fields.get("version", 0), fields=fields)


def _refused(cause: IntegrityError) -> Conflict:
    said = str(cause.orig).casefold()
    if "unique" in said or "duplicate" in said:
        return Conflict("the name is taken", code="name_taken", field="name")
    return Conflict("what it refers to was deleted meanwhile", code="gone_meanwhile")
