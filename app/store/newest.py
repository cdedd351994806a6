"""Finds the newest rows that meet some filters, from an index that ends with the id, whatever the length of the history.

Such an index holds the rows that have the same values in its leading columns next to each other, in the order of their ids, which
sort by time. So the newest rows of any number of values are found by reading the end of each stretch and merging these ends.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Row, Table, any_, func, select, true
from sqlalchemy.dialects.postgresql import array

from app.store.key_table import key_table
from app.store.readable import readable
from app.store.repository import Page, Repository, Window
from app.store.row_mapping import T
from app.store.transactions import ReadTx

STRETCHES_MOST = (
    10_000  # merged for one page, in about 0.1 s; for more, a longer stretch is read and each of its rows tested
)
_AT_ONCE = 500  # ids in one statement
Values = tuple[str | None, ...]
Conditions = Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Stretches:
    """Parts of an index of `table`: its leading `columns`, and one tuple of their values for each part; None is NULL.

    Without columns it is the primary key, and its one part is the whole table.
    """

    table: Table
    columns: tuple[Column[str], ...] = ()
    values: Sequence[Values] = ((),)

    def by(self, column: Column[str], values: Iterable[str | None]) -> "Stretches":
        """Return the parts of these parts by the next column of the index, one for each of its values."""
        following = tuple(values)
        return Stretches(
            self.table, (*self.columns, column), [(*before, value) for before in self.values for value in following]
        )


async def page_newest(
    tx: ReadTx, repository: Repository[T], stretches: Stretches, where: Conditions, window: Window
) -> Page[T]:
    """Return the newest rows in these stretches that meet all conditions (see `tested`). A page with `next` is full."""
    ids = await newest_ids(tx, stretches, [*where, *repository.bounds(window)], window.limit + 1)
    own = repository.table.c.id
    query = select(*repository.mapping.columns).where(own.in_(ids[: window.limit])).order_by(own.desc())
    things = readable((await tx.connection.execute(query)).all(), repository.mapping.read, repository.noun)
    return Page(tuple(things), ids[window.limit - 1] if len(ids) > window.limit else None)


async def page_among(
    tx: ReadTx, repository: Repository[T], ids: Iterable[str], where: Conditions, window: Window
) -> Page[T]:
    """Return the newest of the rows with these ids that meet all conditions. A page with `next` is full."""
    own = repository.table.c.id
    newest_first = sorted(set(ids), reverse=True)
    found: list[Row[Any]] = []
    for start in range(0, len(newest_first), _AT_ONCE):
        some = own.in_(newest_first[start : start + _AT_ONCE])
        query = select(*repository.mapping.columns).where(some, *where, *repository.bounds(window))
        found += (await tx.connection.execute(query.order_by(own.desc()))).all()
        if len(found) > window.limit:
            break
    things = readable(found[: window.limit], repository.mapping.read, repository.noun)
    return Page(tuple(things), found[window.limit - 1].id if len(found) > window.limit else None)


async def newest_ids(tx: ReadTx, stretches: Stretches, where: Conditions, limit: int) -> list[str]:
    """Return the `limit` greatest ids of the rows in these stretches that meet all conditions, the greatest first."""
    if not tx.is_sqlite:
        # Until the transaction ends. PostgreSQL takes columns for independent of each other and often expects a handful of rows in a
        # stretch of a million: it would read them all and sort them.
        await tx.connection.execute(select(func.set_config("enable_sort", "off", true())))
    chosen: Sequence[Values] = stretches.values
    if len(chosen) > 1:
        # The rows wanted are in the stretches whose newest row is among the newest: only these are read any further.
        newest = {ids[0]: values for values, ids in await _ends(tx, stretches, where, 1)}
        chosen = [newest[own] for own in sorted(newest, reverse=True)]
    ends = await _ends(tx, Stretches(stretches.table, stretches.columns, chosen[:limit]), where, limit)
    return sorted((own for _, ids in ends for own in ids), reverse=True)[:limit]


def tested(table: Table, **same: str | None) -> list[ColumnElement[bool]]:
    """Return one condition for each value that is not None: its column has that value, tested on each row that was found.

    No other index is considered for it: SQLite might read all that it holds and sort it, rather than read the end of a stretch.
    """
    return [func.coalesce(table.c[name], "") == value for name, value in same.items() if value is not None]


async def values_with_rows(tx: ReadTx, stretches: Stretches) -> list[Values]:
    """Return the values of those stretches that hold any row; their columns need not be all that the index has before the id."""
    return [values for values, _ in await _ends(tx, stretches, (), 1, by_id=False)]


async def distinct_values(tx: ReadTx, column: Column[str], **same: str) -> list[str]:
    """Return the values of a column in the rows whose other columns have the values `same`, without NULL.

    For an index that begins with those columns, followed by this one: each value costs one look into it, however many rows have it.
    """
    conditions = [column.table.c[name] == value for name, value in same.items()]
    values = select(func.min(column).label("value")).where(*conditions).cte("distinct_values", recursive=True)
    following = select(func.min(column)).where(*conditions, column > values.c.value).correlate(values).scalar_subquery()
    values = values.union_all(select(following).where(values.c.value.is_not(None)))
    return list(await tx.connection.scalars(select(values.c.value).where(values.c.value.is_not(None))))


async def _ends(
    tx: ReadTx, stretches: Stretches, where: Conditions, limit: int, *, by_id: bool = True
) -> list[tuple[Values, list[str]]]:
    """Return the newest ids of each stretch, up to `limit`, with its values; without those that hold no such row."""
    found: list[tuple[Values, list[str]]] = []
    by_nulls: dict[
        tuple[bool, ...], list[Values]
    ] = {}  # `column = NULL` finds nothing: each set of NULLs is a statement
    for values in stretches.values:
        by_nulls.setdefault(tuple(value is None for value in values), []).append(values)
    for nulls, some in by_nulls.items():
        names = [column.name for column, is_null in zip(stretches.columns, nulls, strict=True) if not is_null]
        rows = [tuple(value for value in values if value is not None) for values in some]
        keys = key_table(tx, rows, *names) if names else None
        ids = _end_of(tx, stretches, keys, where, limit, by_id=by_id)
        query = select(ids) if keys is None else select(*(keys.c[name] for name in names), ids).select_from(keys)
        for *known, newest in await tx.connection.execute(query):
            own = json.loads(newest) if tx.is_sqlite else newest
            left = iter(known)
            if own:
                found.append((tuple(None if is_null else next(left) for is_null in nulls), own))
    return found


def _end_of(
    tx: ReadTx, stretches: Stretches, keys: FromClause | None, where: Conditions, limit: int, *, by_id: bool
) -> ColumnElement[object]:
    """Return an expression for the newest ids of the stretch that a row of `keys` names, as an array (JSON on SQLite)."""
    conditions: list[ColumnElement[bool]] = []
    for place, column in enumerate(stretches.columns):
        if keys is None or column.name not in keys.c:
            conditions.append(column.is_(None))
        elif place == 0 and not tx.is_sqlite:
            # With `=`, PostgreSQL knows that the primary key has the wanted order too, and where it guesses that matches are
            # frequent it reads all newer rows of the table. After `= ANY` only an index that begins with the column has that order.
            conditions.append(column == any_(array([keys.c[column.name]])))
        else:
            conditions.append(column == keys.c[column.name])
    own: Column[str] = stretches.table.c.id
    order = (*stretches.columns, own) if by_id else stretches.columns
    newest = select(own).where(*conditions, *where).order_by(*(column.desc() for column in order)).limit(limit)
    if keys is not None:
        newest = newest.correlate(keys)
    if tx.is_sqlite:
        return select(func.json_group_array(newest.subquery().c.id)).scalar_subquery()
    return func.array(newest.scalar_subquery())
