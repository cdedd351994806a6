"""Finds the newest rows that meet some filters, from an index that ends with the id, whatever the length of the history.

Such an index holds the rows that have the same values in its leading columns next to each other, in the order of their ids, which
sort by time. So the newest rows of any number of values are found by reading the end of each range and merging these ends.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, ScalarSelect, Select, String, Table, any_, func, select, true
from sqlalchemy.dialects.postgresql import array

from app.store.prepared import Builder
from app.store.repository import Page, Repository, Window
from app.store.row_mapping import T, readable
from app.store.transactions import ReadTx

MAX_RANGES = 10_000  # merged for one page, in about 0.1 s; for more, a longer range is read and each of its rows tested
RECENT = 2_000  # rows among which a page is looked for first
_AT_ONCE = 500  # ids in one statement
Values = tuple[str | None, ...]
Conditions = Sequence[ColumnElement[bool]]


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
