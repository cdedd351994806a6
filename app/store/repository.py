"""Finds, pages, inserts, updates and deletes the rows of one table as frozen dataclasses of the domain.

Pages go by id, which sorts by the time of creation, so that no page costs more the further one has paged.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.core.errors import Conflict, NotFound
from app.core.ids import first_id_at
from app.store.row_mapping import UNREADABLE, RowMapping, T, readable
from app.store.transactions import ReadTx, WriteTx

Item_co = TypeVar("Item_co", covariant=True)
_BOOKKEEPING = ("id", "created_at", "version")
Conditions = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Window:
    """Which page of a list is wanted: `limit` things after the one whose id is `after`.

    `since` (included) and `until` (excluded) bound the time at which we stored them.
    """

    limit: int
    after: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[Item_co]):
    """Some things of a list, and the id after which the list continues; `next` is None at its end."""

    items: tuple[Item_co, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as its table holds it, by the names of the columns. It need not be readable, so that it can always be repaired or deleted."""

    id: str
    version: int
    values: Mapping[str, object]


class Repository(Generic[T]):
    """One table's rows as `T`. `noun` is the name in errors and in the audit log, `prefix` how the ids begin.

    `edited` are the columns that administrators set and that the audit log shows; by default all but the bookkeeping.
    """

    def __init__(
        self,
        table: Table,
        cls: type[T],
        *,
        noun: str,
        prefix: str,
        edited: Sequence[str] | None = None,
        newest_first: bool = False,
        without: Collection[str] = (),
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.table, self.noun, self.prefix = table, noun, prefix
        self.mapping = RowMapping(table, cls, without=without, renamed=renamed)
        columns = (column.name for column in self.mapping.columns)
        self.edited = tuple(edited if edited is not None else (name for name in columns if name not in _BOOKKEEPING))
        self._newest_first = newest_first

    async def find(self, tx: ReadTx, row_id: str, *, for_change: bool = False) -> T | None:
        """Return one thing, or None; with `for_change` its row is locked until the commit. Raises Conflict if it cannot be read."""
        query = select(*self.mapping.columns).where(self.table.c.id == row_id)
        row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
        if row is None:
            return None
        try:
            return self.mapping.read(row)
        except UNREADABLE as cause:
            columns = ", ".join(self.mapping.unreadable({**row._mapping})) or "it"  # noqa: SLF001  (a public name of SQLAlchemy)
            raise Conflict(
                f"the {self.noun} {row_id} cannot be read: another version wrote {columns}", code="unreadable"
            ) from cause

    async def get(self, tx: ReadTx, row_id: str, *, for_change: bool = False, field: str | None = None) -> T:
        """Return one thing as `find` does. Raises NotFound, which names `field`, if there is none."""
        found = await self.find(tx, row_id, for_change=for_change)
        if found is None:
            raise NotFound(f"there is no {self.noun} {row_id}", field=field)
        return found

    async def find_row(self, tx: WriteTx, row_id: str) -> StoredRow | None:
        """Return one row that need not be readable, locked until the commit; None if there is none."""
        query = select(*self.mapping.columns).where(self.table.c.id == row_id).with_for_update()
        row = (await tx.connection.execute(query)).mappings().one_or_none()
        return None if row is None else StoredRow(row["id"], row["version"], dict(row))

    async def page(self, tx: ReadTx, where: Conditions, window: Window) -> Page[T]:
        """Return the things that meet all conditions, in the order of their ids.

        Rows that cannot be read are left out; a page with `next` still has at least one thing.
        """
        own = self.table.c.id
        while True:
            query = select(*self.mapping.columns).where(*where, *self.bounds(window)).limit(window.limit + 1)
            rows = (await tx.connection.execute(query.order_by(own.desc() if self._newest_first else own))).all()
            things = readable(rows[: window.limit], self.mapping.read, self.noun)
            after = str(rows[window.limit - 1].id) if len(rows) > window.limit else None
            if things or after is None:
                return Page(tuple(things), after)
            window = replace(window, after=after)

    def bounds(self, window: Window) -> list[ColumnElement[bool]]:
        """Return the conditions on the id that a window means."""
        own = self.table.c.id
        bounds: list[ColumnElement[bool]] = []
        if window.since is not None:
            bounds.append(own >= first_id_at(self.prefix, window.since))
        if window.until is not None:
            bounds.append(own < first_id_at(self.prefix, window.until))
        if window.after is not None:
            bounds.append(own < window.after if self._newest_first else own > window.after)
        return bounds

    async def count(self, tx: ReadTx, where: Conditions) -> int:
        """Return how many things meet all conditions."""
        return int(await tx.connection.scalar(select(func.count()).select_from(self.table).where(*where)) or 0)

    async def insert(self, tx: WriteTx, thing: T) -> None:
        """Add one. Raises Conflict where its name is taken."""
        try:
            await tx.connection.execute(insert(self.table).values(**self.mapping.write(thing)))
        except IntegrityError as cause:
            raise _refused(cause) from cause

    async def update(self, tx: WriteTx, before: T, after: T) -> None:
        """Store an edit: write the columns that differ and raise the version. Raises Conflict where the name is taken."""
        old, new = self.mapping.write(before), self.mapping.write(after)
        values = {name: value for name, value in new.items() if value != old[name]}
        raised = {**values, "version": self.table.c.version + 1}
        try:
            await tx.connection.execute(update(self.table).where(self.table.c.id == before.id).values(**raised))
        except IntegrityError as cause:
            raise _refused(cause) from cause

    async def make_readable(self, tx: WriteTx, row_id: str, values: Mapping[str, object]) -> None:
        """Replace values that cannot be read, and raise the version."""
        raised = {**values, "version": self.table.c.version + 1}
        await tx.connection.execute(update(self.table).where(self.table.c.id == row_id).values(**raised))

    async def save_state(self, tx: WriteTx, before: T, after: T) -> None:
        """Write the columns that differ, of what the program itself notes. It is no edit: the version stays."""
        old, new = self.mapping.write(before), self.mapping.write(after)
        values = {name: value for name, value in new.items() if value != old[name]}
        if values:
            await tx.connection.execute(update(self.table).where(self.table.c.id == before.id).values(**values))

    async def delete(self, tx: WriteTx, row_id: str) -> None:
        """Delete one. Raises Conflict while another row refers to it."""
        try:
            await tx.connection.execute(delete(self.table).where(self.table.c.id == row_id))
        except IntegrityError as cause:
            raise Conflict("something still refers to it", code="in_use") from cause

    def values(self, thing: T) -> dict[str, object]:
        """Return all columns of a thing, as the audit log shows what was deleted."""
        return self.mapping.write(thing)

    def edited_values(self, thing: T) -> dict[str, object]:
        """Return the columns that administrators set, as the audit log shows what was created."""
        values = self.mapping.write(thing)
        return {name: values[name] for name in self.edited}

    def edits(self, before: T, after: T) -> dict[str, object]:
        """Return [before, after] of each column that administrators set and that differs."""
        old, new = self.edited_values(before), self.edited_values(after)
        return {name: [old[name], new[name]] for name in self.edited if old[name] != new[name]}


def equals(table: Table, **values: str | bool | None) -> list[ColumnElement[bool]]:
    """Return one condition for each value that is not None: its column has that value."""
    return [table.c[name] == value for name, value in values.items() if value is not None]


def _refused(cause: IntegrityError) -> Conflict:
    reason = str(cause.orig).casefold()
    if "unique" in reason or "duplicate" in reason:
        return Conflict("the name is taken", code="name_taken", field="name")
    return Conflict("what it refers to was deleted meanwhile", code="gone_meanwhile")
