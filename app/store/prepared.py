"""Statements that are built and compiled once for each kind of database, and that the driver runs directly.

Run by SQLAlchemy, a statement is built again at each call, looked up among those that were compiled, and its rows are mapped by the
names of their columns. That takes about a millisecond, and the database less than a tenth of it. So the pipeline, where each event
counts, prepares its statements here: SQLAlchemy still writes the SQL from the tables of `tables.py`, but only once. What people
edit and list is not worth it and goes through SQLAlchemy as usual.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from pydantic_core import from_json, to_json
from sqlalchemy import (
    JSON,
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    FromClause,
    String,
    Table,
    Text,
    Update,
    any_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

from app.store.types import Utc, from_micros, to_micros

_Process = Callable[[Any], Any]
Values = tuple[Any, ...]


@dataclass(slots=True)
class Builder:
    """What differs between the databases while a statement is built. It notes the parameters that are whole tables."""

    is_sqlite: bool
    tables: dict[str, int] = field(default_factory=dict)  # name of the parameter -> number of columns
    timed: set[str] = field(default_factory=set)  # those of them that have times
    arrays: dict[str, TypeEngine[Any]] = field(default_factory=dict)  # name of the parameter -> type of its elements

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an insert that knows ON CONFLICT."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def table(self, name: str, /, **columns: type[TypeEngine[Any]]) -> FromClause:
        """Return a parameter that is a list of tuples as a table: one parameter, or on PostgreSQL one a column, however many there are."""
        self.tables[name] = len(columns)
        if Utc in columns.values():
            self.timed.add(name)
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

    def insert_each(self, table: Table, names: Sequence[str], **constants: object) -> sqlite.Insert | postgresql.Insert:
        """Return an insert of rows for `change_each`: of the columns `names`, and others that are the same in each row.

        On PostgreSQL it is one statement for all rows, which takes the server half of the time of one for each row.
        """
        if self.is_sqlite:
            return sqlite.insert(table).values({name: bindparam(name) for name in names}).values(constants)
        rows = self.rows({name: table.c[name].type for name in names})
        same = (literal(value, table.c[name].type) for name, value in constants.items())
        return postgresql.insert(table).from_select([*names, *constants], select(*rows, *same))

    def update_each(self, table: Table, key: str, names: Sequence[str]) -> Update:
        """Return an update of rows for `change_each`: the columns `names` of those whose `key` is the parameter `of_<key>`, each at most once.

        On PostgreSQL it is one statement for all rows, as `insert_each`.
        """
        of_key = f"of_{key}"
        if self.is_sqlite:
            values: dict[str, Any] = {name: bindparam(name, type_=table.c[name].type) for name in names}
            return update(table).where(table.c[key] == bindparam(of_key)).values(values)
        wanted, *new = self.rows({of_key: table.c[key].type, **{name: table.c[name].type for name in names}})
        return update(table).where(table.c[key] == wanted).values(dict(zip(names, new, strict=True)))

    def rows(self, types: Mapping[str, TypeEngine[Any]]) -> list[ColumnElement[Any]]:
        """Return the columns of a table of PostgreSQL whose parameters are arrays, one a column."""
        self.arrays |= types
        arrays = (bindparam(one, type_=ARRAY(_element_of(kind))) for one, kind in types.items())
        rows = func.unnest(*arrays).table_valued(*types, name="rows").render_derived()
        return [cast(rows.c[one], JSONB) if isinstance(kind, JSON) else rows.c[one] for one, kind in types.items()]

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
                given[name] = _dump([tuple(map(_plain, row)) for row in rows] if name in self.timed else rows)
            elif columns == 0:
                given[name] = list(rows)
            else:
                given |= {f"{name}_{place}": [row[place] for row in rows] for place in range(columns)}
        return given


_POSTGRES_TYPES: dict[Any, Any] = {String: Text, Utc: DateTime(timezone=True)}


def _element_of(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of PostgreSQL of which an array of values for a column is. JSON is a text here."""
    if isinstance(kind, Utc):
        return DateTime(timezone=True)
    return Text() if isinstance(kind, String | JSON) else kind


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    parameters: Sequence[tuple[str, _Process | None]]  # in the order of their places
    constants: Mapping[str, object]
    builder: Builder
    times: Sequence[int]  # the columns that the driver returns as microseconds
    readers: Sequence[tuple[int, _Process]]  # of the other columns whose values the driver does not return as they are

    def arguments(self, values: Mapping[str, Any]) -> list[object]:
        """Return the values in the order in which the driver takes them."""
        given = {**self.constants, **self.builder.arguments(values)}
        return [given[name] if process is None else process(given[name]) for name, process in self.parameters]

    def columns(self, values: Mapping[str, Sequence[Any]]) -> list[Sequence[object]]:
        """Return the values of many rows by parameter, in the order of the parameters; each constant once for each row."""
        found: list[Sequence[object]] = []
        length = len(next(iter(values.values())))
        for name, process in self.parameters:
            column = [self.constants[name]] * length if name in self.constants else values[name]
            found.append(column if process is None else _converted(column, process))
        return found

    def array_arguments(self, values: Mapping[str, Sequence[Any]]) -> list[object]:
        """Return the values of many rows as one array a column, and the constants once, in the order in which the driver takes them."""
        columns = zip(self.parameters, self.columns(values), strict=True)
        return [column[0] if name in self.constants else column for (name, _), column in columns]

    def read(self, rows: Iterable[Sequence[Any]]) -> list[Values]:
        """Return rows as tuples with values of Python."""
        if not (self.readers or self.times):
            return [tuple(row) for row in rows]
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        if not columns:
            return []
        # Each time once: a job has several that are the same, and most columns of times hold many NULLs.
        moments = {
            value: from_micros(value) for value in set().union(*(columns[place] for place in self.times)) - {None}
        }
        for place in self.times:
            columns[place] = list(map(moments.get, columns[place]))
        for place, read in self.readers:
            columns[place] = _converted(columns[place], read)
        return list(zip(*columns, strict=True))


def _converted(column: Sequence[Any], convert: _Process) -> list[object]:
    """Return converted values. Most columns hold many NULLs, and a column at a time takes half as long as row by row."""
    return [None if value is None else convert(value) for value in column]


class Prepared:
    """One statement. `build` returns it for one kind of database; its values are bound by the names of its parameters.

    Without `at_start`, it is compiled when it is first run: one of those that cannot all be known. `only_on`: the only kind that runs it.
    """

    _every: ClassVar[list["Prepared"]] = []

    def __init__(
        self, build: Callable[[Builder], Executable], *, at_start: bool = True, only_on: str | None = None
    ) -> None:
        self.build, self.only_on = build, only_on
        if at_start:
            self._every.append(self)
        self._compiled: dict[str, _Compiled] = {}

    @classmethod
    def compile_all(cls, dialect: Dialect) -> Iterator[None]:
        """Compile every statement before it is needed, one at each step."""
        for statement in cls._every:
            if statement.only_on in (None, dialect.name):
                statement.compiled(dialect)
                yield

    def compiled(self, dialect: Dialect) -> _Compiled:
        """Return it as the driver takes it; compiled at the first call."""
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        return found

    def _compile(self, dialect: Dialect) -> _Compiled:
        builder = Builder(dialect.name == "sqlite")
        statement: Any = self.build(builder)
        compiled: Any = statement.compile(dialect=dialect)
        wanted = {name: None for bind, name in compiled.bind_names.items() if bind.required}
        expanded = compiled.construct_expanded_state(wanted)  # a list of constants becomes one parameter each
        constants = {name: value for name, value in expanded.parameters.items() if name not in wanted}
        kinds = {name: bind.type for bind, name in compiled.bind_names.items()}
        parameters: list[tuple[str, _Process | None]] = []
        for name in expanded.positiontup or ():
            kind = builder.arrays.get(name, kinds.get(name))
            parameters.append((name, _writer_of(kind, dialect)))
        columns = statement.exported_columns if hasattr(statement, "exported_columns") else ()
        times = [place for place, column in enumerate(columns) if builder.is_sqlite and isinstance(column.type, Utc)]
        readers = [
            (place, read)
            for place, column in enumerate(columns)
            # A float is one for both drivers, and SQLAlchemy would ask for its number among PostgreSQL's types.
            if not isinstance(column.type, Float) and (read := _reader_of(column.type, dialect)) is not None
        ]
        return _Compiled(expanded.statement, parameters, constants, builder, times, readers)


class Together:
    """Several prepared reads that are one turn to PostgreSQL: a statement whose row has, for each of them, an array of its rows.

    A turn takes 0.1 to 0.3 ms, and most of these reads find a handful of rows. Parameters of the same name have the same value.
    """

    def __init__(self, *reads: Prepared) -> None:
        self.reads = reads
        self.whole = Prepared(self._build)

    def _build(self, db: Builder) -> Executable:
        arrays = []
        for read in self.reads:
            rows: Any = read.build(db)
            arrays.append(func.array(rows.with_only_columns(func.row(*rows.selected_columns)).scalar_subquery()))
        return select(*arrays)


def _writer_of(kind: TypeEngine[Any] | None, dialect: Dialect) -> _Process | None:
    """Return what makes values of this type ready for the driver. SQLAlchemy's way takes three calls for each time and each JSON."""
    if kind is None or isinstance(kind, ARRAY):
        return None
    if isinstance(kind, Utc):
        return kind.to_sqlite if dialect.name == "sqlite" else kind.to_postgresql
    if isinstance(kind, JSON):
        return _write_json
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _reader_of(kind: TypeEngine[Any], dialect: Dialect) -> _Process | None:
    """Return what makes values of Python of those of the driver; None: they are.

    asyncpg returns times in UTC, and JSON as `open_engines` has it read; SQLite's times are `times`.
    """
    if isinstance(kind, Utc):
        return None
    if isinstance(kind, JSON):
        return read_json if dialect.name == "sqlite" else None
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _write_json(value: object) -> str | None:
    return None if value is None else _dump(value)


# By Pydantic's functions, which take less time than `json`. It does what they refuse: half a character that a sender's tool cut.
def _dump(value: object) -> str:
    try:
        return to_json(value).decode()
    except ValueError:
        return json.dumps(value)


def read_json(value: str) -> object:
    """Return what a text of JSON holds."""
    try:
        return from_json(value, cache_strings="keys")
    except ValueError:
        return json.loads(value)


def _plain(value: object) -> object:
    return to_micros(value) if isinstance(value, datetime) else value
