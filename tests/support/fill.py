"""Fills a database quickly: rows that the service wrote itself are copied in the database, many thousand at a time."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Integer, String, Table, cast, insert, literal, literal_column, select

from app.core.ids import new_id
from app.store.transactions import Database

Row = ColumnElement[int]  # the number of a copy, from 0
AT_ONCE = 20_000
_FIRST = 1_000_000_000  # so that all numbers are equally long, and texts that end with them sort as they do


def numbered(prefix: str, number: Row) -> ColumnElement[str]:
    """Return a text that ends with a number."""
    return literal(prefix) + cast(literal_column(str(_FIRST), Integer) + number, String)


def number_of(prefix: str, number: int) -> str:
    """Return the text that `numbered` makes of a number."""
    return f"{prefix}{_FIRST + number}"


def id_prefix(noun: str, kind: str = "0", *, is_old: bool = False) -> str:
    """Return the beginning of ids that are as old as one that is made now, or very old. `kind`, a hexadecimal digit, tells copies of one table apart."""
    return (f"{noun}_{0:012x}" if is_old else new_id(noun)[: len(noun) + 1 + 12]) + kind + "00000"


async def copy_rows(
    database: Database,
    table: Table,
    template: Mapping[str, Any],
    count: int,
    **changed: Callable[[Row], Any],
) -> None:
    """Insert `count` copies of a row. `changed`: for each column that differs, what it holds in the copy with a number."""
    for start in range(0, count, AT_ONCE):
        numbers = select(literal(start).label("n")).cte("numbers", recursive=True)
        numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < min(start + AT_ONCE, count) - 1))
        values: list[Any] = []
        for column in table.columns:
            value = changed[column.name](numbers.c.n) if column.name in changed else template[column.name]
            is_expression = isinstance(value, ColumnElement)
            values.append(value if is_expression else literal(value, column.type))
        async with database.write() as tx:
            columns = [column.name for column in table.columns]
            await tx.connection.execute(insert(table).from_select(columns, select(*values).select_from(numbers)))


async def analyze(database: Database) -> None:
    """Let the database count its rows, as it does by itself after a while: else PostgreSQL plans for empty tables."""
    async with database.write() as tx:
        await tx.connection.exec_driver_sql("ANALYZE")
