"""Statements that are built and compiled once for each kind of database, and that the driver runs directly.

Run by SQLAlchemy, a statement is built again at each call, looked up among those that were compiled, and its rows are mapped by the
names of their columns. That takes about a millisecond, and the database less than a tenth of it. So the pipeline, where each event
counts, prepares its statements here: SQLAlchemy still writes the SQL from the tables of `tables.py`, but only once. What people
edit and list is not worth it and goes through SQLAlchemy as usual.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    FromClause,
    String,
    Table,
    Text,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

from app.store.types import Utc, to_micros

_Process = Callable[[Any], Any]
Values = tuple[Any, ...]


@dataclass(slots=True)
class Builder:
    """What differs between the databases while a statement is built. It notes the parameters that are whole tables."""

    is_sqlite: bool
    tables: dict[str, int] = field(default_factory=dict)  # name of the parameter -> number of columns

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an insert that knows ON CONFLICT."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def table(self, name: str, /, **columns: type[TypeEngine[Any]]) -> FromClause:
        """Return a parameter that is a list of tuples as a table: one parameter, or on PostgreSQL one a column, however many there are."""
        self.tables[name] = len(columns)
        if self.is_sqlite:
            each = func.json_each(bindparam(name, type_=String)).table_valued("value", name=f"each_{name}")
            own = (
                func.json_extract(each.c.value, literal_column(f"'$[{place}]'"), type_=kind).label(column)
                for place, (column, kind) in enumerate(columns.items())
            )
            return select(*own).subquery(name)
        arrays = (
            bindparam(f"{name}_{place}", type_=ARRAY(_POSTGRES_TYPES.get(kind, kind)))
            for place, kind in enumerate(columns.values())
        )
        return func.unnest(*arrays).table_valued(*columns, name=name).render_derived()

    def one_of(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Return the condition that a column has one of the texts of a parameter that is a list."""
        self.tables[name] = 0
        if self.is_sqlite:
            each = func.json_each(bindparam(name, type_=String)).table_valued("value", name=f"each_{name}")
            return column.in_(select(each.c.value))
        return column == any_(bindparam(name, type_=ARRAY(Text)))

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of all parameters, those that are whole tables in the form in which the database takes them."""
        given = dict(values)
        for name, columns in self.tables.items():
            rows = given.pop(name)
            if self.is_sqlite:
                given[name] = json.dumps(rows if columns == 0 else [tuple(map(_plain, row)) for row in rows])
            elif columns == 0:
                given[name] = list(rows)
            else:
                given |= {f"{name}_{place}": [row[place] for row in rows] for place in range(columns)}
        return given


_POSTGRES_TYPES: dict[Any, Any] = {String: Text, Utc: DateTime(timezone=True)}


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    parameters: Sequence[tuple[str, _Process | None]]  # in the order of their places
    constants: Mapping[str, object]
    builder: Builder
    readers: Sequence[tuple[int, _Process]]  # of the columns whose values the driver does not return as they are

    def arguments(self, values: Mapping[str, Any]) -> list[object]:
        """Return the values in the order in which the driver takes them."""
        given = {**self.constants, **self.builder.arguments(values)}
        return [given[name] if process is None else process(given[name]) for name, process in self.parameters]

    def read(self, rows: Iterable[Sequence[Any]]) -> list[Values]:
        """Return rows as tuples with values of Python."""
        if not self.readers:
            return [tuple(row) for row in rows]
        found = []
        for row in rows:
            values = list(row)
            for place, read in self.readers:
                values[place] = read(values[place])
            found.append(tuple(values))
        return found


class Prepared:
    """One statement. `build` returns it for one kind of database; its values are bound by the names of its parameters."""

    def __init__(self, build: Callable[[Builder], Executable]) -> None:
        self._build = build
        self._compiled: dict[str, _Compiled] = {}

    def compiled(self, dialect: Dialect) -> _Compiled:
        """Return it as the driver takes it; compiled at the first call."""
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        return found

    def _compile(self, dialect: Dialect) -> _Compiled:
        builder = Builder(dialect.name == "sqlite")
        statement: Any = self._build(builder)
        compiled: Any = statement.compile(dialect=dialect)
        wanted = {name: None for bind, name in compiled.bind_names.items() if bind.required}
        expanded = compiled.construct_expanded_state(wanted)  # a list of constants becomes one parameter each
        constants = {name: value for name, value in expanded.parameters.items() if name not in wanted}
        kinds = {name: bind.type for bind, name in compiled.bind_names.items()}
        parameters: list[tuple[str, _Process | None]] = []
        for name in expanded.positiontup or ():
            kind = kinds.get(name)
            processed = None if kind is None or isinstance(kind, ARRAY) else kind.dialect_impl(dialect)
            parameters.append((name, None if processed is None else processed.bind_processor(dialect)))
        columns = statement.exported_columns if hasattr(statement, "exported_columns") else ()
        readers = [
            (place, read)
            for place, column in enumerate(columns)
            # A float is one for both drivers, and SQLAlchemy would ask for its number among PostgreSQL's types.
            if not isinstance(column.type, Float)
            and (read := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        ]
        return _Compiled(expanded.statement, parameters, constants, builder, readers)


def _plain(value: object) -> object:
    return to_micros(value) if isinstance(value, datetime) else value
