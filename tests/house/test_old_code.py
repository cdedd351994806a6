"""Checks that the version before keeps working on a new schema: an upgrade restarts servers and workers one after another (docs/operate.md)."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.support.migrated import migrate

# Migrations up to this one also renamed columns and replaced unique indexes. Before them, all processes must be stopped.
SINCE = "0019"
OLD_ROW, NEW_ROW = 1, 2


@pytest.mark.slow
async def test_old_code_works_on_the_new_schema(database_url: str):
    """Migrations only add what old code can live with, and it stores, changes and reads rows of all its tables."""
    await _with(database_url, _empty)
    migrate(database_url, SINCE)
    before, old = await _with(database_url, _tables), await _with(database_url, _tables_of_old_code)
    await _with(database_url, lambda connection: _insert(connection, old, OLD_ROW))
    migrate(database_url)
    assert _troubles(before, await _with(database_url, _tables)) == []
    await _with(database_url, lambda connection: _insert(connection, old, NEW_ROW))
    assert await _with(database_url, lambda connection: _change_and_read(connection, old)) == {
        table.name: [_row(table, OLD_ROW), _row(table, NEW_ROW)] for table in old
    }


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("statement", "trouble"),
    [
        ("ALTER TABLE jobs RENAME COLUMN state TO condition", "jobs.state is gone"),
        ("ALTER TABLE jobs ADD COLUMN note text NOT NULL", "jobs.note is new, not nullable and has no default"),
        ("ALTER TABLE jobs RENAME TO tasks", "jobs is gone"),
        ("CREATE UNIQUE INDEX uq_new ON jobs (name)", "jobs: unique keys differ"),
        ("DROP INDEX uq_alerts_open", "alerts: unique keys differ"),
    ],
)
async def test_what_old_code_cannot_live_with_is_found(postgres_database_url: str, statement: str, trouble: str):
    before = await _with(postgres_database_url, _tables)
    await _with(postgres_database_url, lambda connection: connection.execute(sa.text(statement)))
    after = await _with(postgres_database_url, _tables)
    found = _troubles(before, after)
    assert [one for one in found if one.startswith(trouble)], found


def _troubles(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """Say what would stop code that was written for the tables `before`."""
    found = [f"{name} is gone" for name in before if name not in after]
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        for column, was in old["columns"].items():
            now = new["columns"].get(column)
            if now is None:
                found.append(f"{name}.{column} is gone")
            elif (now["type"], now["nullable"]) != (was["type"], was["nullable"]):
                found.append(f"{name}.{column} was {was}, is {now}")
        found += [
            f"{name}.{column} is new, not nullable and has no default"
            for column in new["columns"].keys() - old["columns"].keys()
            if not (new["columns"][column]["nullable"] or new["columns"][column]["default"])
        ]
        # Statements with ON CONFLICT name the columns of a unique key; a new key would refuse rows that old code writes.
        found += [f"{name}: {kind} differ: {old[kind]} and {new[kind]}" for kind in _KEYS if old[kind] != new[kind]]
    return sorted(found)


_KEYS = ("primary key", "unique keys", "foreign keys", "checks")


def _tables(connection: Connection) -> dict[str, dict[str, Any]]:
    seen = inspect(connection)
    return {
        name: {
            "columns": {
                column["name"]: {
                    "type": repr(column["type"]),
                    "nullable": column["nullable"],
                    "default": column["default"] is not None,
                }
                for column in seen.get_columns(name)
            },
            "primary key": seen.get_pk_constraint(name)["constrained_columns"],
            "unique keys": sorted(
                (list(key["column_names"]), str(key.get("dialect_options", {}).get(f"{connection.dialect.name}_where")))
                for key in [*seen.get_indexes(name), *seen.get_unique_constraints(name)]
                if key.get("unique", True) and not key.get("duplicates_constraint")
            ),
            "foreign keys": sorted(
                (key["constrained_columns"], key["referred_table"]) for key in seen.get_foreign_keys(name)
            ),
            "checks": sorted(check["sqltext"] for check in seen.get_check_constraints(name)),
        }
        for name in seen.get_table_names()
        if name != "alembic_version"
    }


def _empty(connection: Connection) -> None:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    metadata.drop_all(connection)


def _tables_of_old_code(connection: Connection) -> list[sa.Table]:
    """Return the tables with the columns that they have now, in the order in which rows can be inserted."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def _row(table: sa.Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column.type, number) for column in table.columns}


def _value(kind: sa.types.TypeEngine[Any], number: int) -> object:
    """Return a value that fits; the same text in all tables, so that each foreign key names a row."""
    values: tuple[tuple[type[sa.types.TypeEngine[Any]], object], ...] = (
        (sa.Boolean, True),
        (sa.DateTime, datetime(2026, 11, number, tzinfo=UTC)),
        (sa.Date, date(2026, 11, number)),
        (sa.JSON, [number]),
        (sa.LargeBinary, bytes([number])),
        (sa.String, str(number)),
        (sa.Integer, number),
        (sa.Numeric, number),
        (sa.Float, number),
    )
    return next(value for type_, value in values if isinstance(kind, type_))


def _insert(connection: Connection, tables: list[sa.Table], number: int) -> None:
    for table in tables:
        connection.execute(table.insert().values(_row(table, number)))


def _change_and_read(connection: Connection, tables: list[sa.Table]) -> dict[str, list[dict[str, Any]]]:
    """Set each column of each row to what it is, and return the rows."""
    found = {}
    for table in tables:
        key = list(table.primary_key.columns)
        for number in (OLD_ROW, NEW_ROW):
            values = _row(table, number)
            changed = connection.execute(
                table.update().where(*(column == values[column.name] for column in key)).values(values)
            )
            assert changed.rowcount == 1, table.name
        found[table.name] = [dict(row) for row in connection.execute(table.select().order_by(*key)).mappings()]
    return found


async def _with(url: str, do: Callable[[Connection], Any]) -> Any:
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(do)
    finally:
        await engine.dispose()
