"""Turns rows into the frozen dataclasses of the domain and back, by the types of their fields.

A new column that has a plain type needs no code here: a column of the table and a field of the dataclass with the same name are enough.
A `timedelta` named `grace` is kept as whole seconds in a column named `grace_s`.
"""

import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import Column, Row, Table

from app.domain.expectation import Expectation
from app.domain.matcher import Matcher
from app.domain.recipient import Address
from app.store.json_forms import (
    addresses_json,
    addresses_of,
    expectation_json,
    expectation_of,
    matchers_json,
    matchers_of,
    whole_seconds,
)


class Stored(Protocol):
    """A frozen dataclass that one row of a table holds."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str:
        """Its primary key."""


class Versioned(Stored, Protocol):
    """One that administrators edit: `version` grows with each edit."""

    @property
    def version(self) -> int:
        """1 at first."""


T = TypeVar("T", bound=Stored)
V = TypeVar("V", bound=Versioned)
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    column: str
    is_optional: bool
    read: Convert | None = None  # None: the value as it is
    write: Convert | None = None


class RowMapping(Generic[T]):
    """How the rows of one table and one dataclass correspond.

    `without`: fields that no column holds, which keep their default. `renamed`: fields whose column has another name.
    """

    def __init__(
        self,
        table: Table,
        cls: type[T],
        *,
        without: Collection[str] = (),
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        hints = get_type_hints(cls)
        self._cls = cls
        self._fields = [
            _field(one.name, hints[one.name], renamed.get(one.name)) for one in fields(cls) if one.name not in without
        ]
        missing = [one.column for one in self._fields if one.column not in table.c]
        if missing:
            raise TypeError(f"table {table.name} has no column for {cls.__name__}: {', '.join(missing)}")
        self.columns: list[Column[Any]] = [table.c[one.column] for one in self._fields]

    def read(self, row: Row[Any]) -> T:
        """Return what a row holds. Raises ValueError, KeyError or TypeError where another version wrote what cannot be read."""
        values: dict[str, Any] = {}
        for one in self._fields:
            value = getattr(row, one.column)
            if one.read is not None and not (value is None and one.is_optional):
                value = one.read(value)
            values[one.name] = value
        return self._cls(**values)

    def write(self, thing: T) -> dict[str, object]:
        """Return the values of the columns."""
        values: dict[str, object] = {}
        for one in self._fields:
            value = getattr(thing, one.name)
            values[one.column] = value if one.write is None or value is None else one.write(value)
        return values


_CONVERTERS: dict[Any, tuple[Convert, Convert]] = {
    timedelta: (lambda seconds: timedelta(seconds=seconds), whole_seconds),
    Expectation: (expectation_of, expectation_json),
    tuple[Matcher, ...]: (matchers_of, matchers_json),
    tuple[Address, ...]: (addresses_of, addresses_json),
    tuple[str, ...]: (tuple, list),
}


def _field(name: str, hint: Any, renamed: str | None) -> _Field:  # noqa: ANN401  (a type, in any of its forms)
    kind, is_optional = hint, False
    if get_origin(hint) in (Union, types.UnionType):
        [kind] = [part for part in get_args(hint) if part is not type(None)]
        is_optional = True
    read: Convert | None = None
    write: Convert | None = None
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        read, write = kind, lambda member: member.value
    elif get_origin(kind) is Mapping:
        read, write = lambda stored: stored or {}, dict
    elif kind in _CONVERTERS:
        read, write = _CONVERTERS[kind]
    column = renamed or (f"{name}_s" if kind is timedelta else name)
    return _Field(name, column, is_optional, read, write)
