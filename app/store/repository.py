"""Finds, pages, inserts, updates and deletes the rows of one table as frozen dataclasses of the domain.

Pages go by id, which sorts by the time of creation, so that no page costs more the further one has paged.

`page_newest` finds the newest rows that meet some filters, from an index that ends with the id, whatever the length of the history.
Such an index holds the rows that have the same values in its leading columns next to each other, in the order of their ids. So the
newest rows of any number of values are found by reading the end of each range and merging these ends.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    String,
    Table,
    any_,
    delete,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.exc import IntegrityError

from app.core.errors import Conflict, NotFound
from app.core.ids import first_id_at
from app.store.prepared import Builder
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
        self._insert = insert(
            table
        )  # made once: to build it with its values each time took half of the time of an insert

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
            await tx.connection.execute(self._insert, self.mapping.write(thing))
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


MAX_RANGES = 10_000  # merged for one page, in about 0.1 s; for more, a longer range is read and each of its rows tested
RECENT = 2_000  # rows among which a page is looked for first
_AT_ONCE = 500  # ids in one statement
Values = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class IndexRanges:
    """Parts of an index of `table`: its leading `columns`, and one tuple of their values for each part; None is NULL.

    Without columns it is the primary key, and its one part is the whole table.
    """

    table: Table
    columns: tuple[Column[str], ...] = ()
    values: Sequence[Values] = ((),)

    def by(self, column: Column[str], values: Iterable[str | None]) -> "IndexRanges":
        """Return the parts of these parts by the next column of the index, one for each of its values."""
        following = tuple(values)
        return IndexRanges(
            self.table, (*self.columns, column), [(*before, value) for before in self.values for value in following]
        )


async def page_newest(
    tx: ReadTx, repository: Repository[T], ranges: IndexRanges, where: Conditions, window: Window
) -> Page[T]:
    """Return the newest rows in these ranges that meet all conditions (see `tested`). A page with `next` is full."""
    ids = await newest_ids(tx, ranges, [*where, *repository.bounds(window)], window.limit + 1)
    return await _page_of(tx, repository, ids, window)


async def page_recent(tx: ReadTx, repository: Repository[T], where: Conditions, window: Window) -> Page[T] | None:
    """Return the page if the newest rows of the table fill it, which costs least where what is asked for is frequent; else None."""
    own = repository.table.c.id
    bounds = repository.bounds(window)
    oldest = select(own).where(*bounds).order_by(own.desc()).offset(RECENT).limit(1)
    last = await tx.connection.scalar(oldest)
    since = [] if last is None else [own > last]
    ids = await newest_ids(tx, IndexRanges(repository.table), [*where, *bounds, *since], window.limit + 1)
    return await _page_of(tx, repository, ids, window) if last is None or len(ids) > window.limit else None


async def page_among(
    tx: ReadTx, repository: Repository[T], ids: Iterable[str], where: Conditions, window: Window
) -> Page[T]:
    """Return the newest of the rows with these ids that meet all conditions. A page with `next` is full."""
    own = repository.table.c.id
    newest_first = sorted(set(ids), reverse=True)
    found: list[str] = []
    for start in range(0, len(newest_first), _AT_ONCE):
        some = own.in_(newest_first[start : start + _AT_ONCE])
        found += await tx.connection.scalars(select(own).where(some, *where, *repository.bounds(window)))
        if len(found) > window.limit:
            break
    return await _page_of(tx, repository, sorted(found, reverse=True), window)


async def newest_ids(tx: ReadTx, ranges: IndexRanges, where: Conditions, limit: int) -> list[str]:
    """Return the `limit` greatest ids of the rows in these ranges that meet all conditions, the greatest first."""
    chosen: Sequence[Values] = ranges.values
    if len(chosen) > 1:
        # The rows wanted are in the ranges whose newest row is among the newest: only these are read any further.
        newest = {ids[0]: values for values, ids in await _ends(tx, ranges, where, 1)}
        chosen = [newest[own] for own in sorted(newest, reverse=True)]
    ends = await _ends(tx, IndexRanges(ranges.table, ranges.columns, chosen[:limit]), where, limit)
    return sorted((own for _, ids in ends for own in ids), reverse=True)[:limit]


def tested(table: Table, **same: str | None) -> list[ColumnElement[bool]]:
    """Return one condition for each value that is not None: its column has that value, tested on each row that was found.

    No other index is considered for it: SQLite might read all that it holds and sort it, rather than read the end of a range.
    """
    return [func.coalesce(table.c[name], "") == value for name, value in same.items() if value is not None]


async def split(tx: ReadTx, ranges: IndexRanges, column: Column[str]) -> IndexRanges:
    """Return the parts of these parts by the next column of the index, one for each value that there is.

    Each value costs one look into the index, however many rows have it.
    """
    await _read_in_order(tx)
    found: list[Values] = []
    for nulls, some in _by_nulls(ranges):
        keys, parameters = _keys(tx, ranges, nulls, some)
        rows = select(*keys.c) if keys is not None else select()
        smallest = _in_order(tx, ranges, keys, column).where(column.is_not(None))
        values = rows.add_columns(_alone(smallest, keys).label("value")).cte("split_values", recursive=True)
        before = None if keys is None else values
        following = _in_order(tx, ranges, before, column).where(column > values.c.value).correlate(values)
        known = [values.c[one.name] for one in keys.c] if keys is not None else []
        more = select(*known, following.scalar_subquery()).where(values.c.value.is_not(None))
        values = values.union_all(more)
        there = await tx.connection.execute(select(values).where(values.c.value.is_not(None)), parameters)
        found += [(*_with_nulls(nulls, row[:-1]), row[-1]) for row in there]
        if column.nullable:
            is_null = _alone(
                _in_order(tx, ranges, keys, column).where(column.is_(None)).with_only_columns(true()), keys
            )
            there = await tx.connection.execute(rows.add_columns(is_null), parameters)
            found += [(*_with_nulls(nulls, row[:-1]), None) for row in there if row[-1]]
    return IndexRanges(ranges.table, (*ranges.columns, column), found)


async def _ends(tx: ReadTx, ranges: IndexRanges, where: Conditions, limit: int) -> list[tuple[Values, list[str]]]:
    """Return the newest ids of each range, up to `limit`, with its values; without those that hold no such row."""
    await _read_in_order(tx)
    found: list[tuple[Values, list[str]]] = []
    own: Column[str] = ranges.table.c.id
    for nulls, some in _by_nulls(ranges):
        keys, parameters = _keys(tx, ranges, nulls, some)
        newest = _in_order(tx, ranges, keys, own, newest_first=True).where(*where).limit(limit)
        if keys is not None:
            newest = newest.correlate(keys)
        ids: ColumnElement[Any] = func.array(newest.scalar_subquery())
        if tx.is_sqlite:
            ids = select(func.json_group_array(newest.subquery().c.id)).scalar_subquery()
        query = select(ids) if keys is None else select(*keys.c, ids).select_from(keys)
        for *known, newest_of_it in await tx.connection.execute(query, parameters):
            own_ids = json.loads(newest_of_it) if tx.is_sqlite else newest_of_it
            if own_ids:
                found += [(_with_nulls(nulls, known), own_ids)]
    return found


def _in_order(
    tx: ReadTx, ranges: IndexRanges, keys: FromClause | None, column: Column[str], *, newest_first: bool = False
) -> Select[Any]:
    """Select the first value of the index's next column in the range that a row of `keys` names, in the order of the index."""
    conditions: list[ColumnElement[bool]] = []
    for place, leading in enumerate(ranges.columns):
        if keys is None or leading.name not in keys.c:
            conditions.append(leading.is_(None))
        elif place == 0 and not tx.is_sqlite:
            # With `=`, PostgreSQL knows that the primary key has the wanted order too, and where it guesses that matches are
            # frequent it reads all newer rows of the table. After `= ANY` only an index that begins with the column has that order.
            conditions.append(leading == any_(array([keys.c[leading.name]])))
        else:
            conditions.append(leading == keys.c[leading.name])
    columns = (*ranges.columns, column)
    order = [one.desc() for one in columns] if newest_first else list(columns)
    return select(column).where(*conditions).order_by(*order).limit(1)


def _alone(query: Select[Any], keys: FromClause | None) -> ScalarSelect[Any]:
    return (query if keys is None else query.correlate(keys)).scalar_subquery()


def _by_nulls(ranges: IndexRanges) -> Iterable[tuple[tuple[bool, ...], list[Values]]]:
    """Group the ranges by which of their values are NULL: `column = NULL` finds nothing, so each group is a statement."""
    groups: dict[tuple[bool, ...], list[Values]] = {}
    for values in ranges.values:
        groups.setdefault(tuple(value is None for value in values), []).append(values)
    return groups.items()


def _keys(
    tx: ReadTx, ranges: IndexRanges, nulls: tuple[bool, ...], some: Sequence[Values]
) -> tuple[FromClause | None, Mapping[str, object]]:
    """Return the values that are not NULL as a table, with its parameters; None where all are."""
    names = [column.name for column, is_null in zip(ranges.columns, nulls, strict=True) if not is_null]
    if not names:
        return None, {}
    builder = Builder(tx.is_sqlite)
    table = builder.table("wanted", **dict.fromkeys(names, String))
    rows = [tuple(value for value in values if value is not None) for values in some]
    return table, builder.arguments({"wanted": rows})


def _with_nulls(nulls: tuple[bool, ...], known: Iterable[str]) -> Values:
    left = iter(known)
    return tuple(None if is_null else next(left) for is_null in nulls)


async def _read_in_order(tx: ReadTx) -> None:
    """Have PostgreSQL read an index in its order, until the transaction ends.

    It takes columns for independent of each other and often expects a handful of rows in a range of a million: it would read them
    all and sort them.
    """
    if not tx.is_sqlite:
        await tx.connection.execute(select(func.set_config("enable_sort", "off", true())))


async def _page_of(tx: ReadTx, repository: Repository[T], ids: Sequence[str], window: Window) -> Page[T]:
    """Return the rows with these ids, which are sorted, and one more than the page takes if it has a `next`."""
    own = repository.table.c.id
    query = select(*repository.mapping.columns).where(own.in_(ids[: window.limit])).order_by(own.desc())
    things = readable((await tx.connection.execute(query)).all(), repository.mapping.read, repository.noun)
    return Page(tuple(things), ids[window.limit - 1] if len(ids) > window.limit else None)
