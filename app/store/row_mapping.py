"""Turns rows into the frozen dataclasses of the domain and back, by the types of their fields.

A new column of a plain type needs no code here: a column of the table and a field of the dataclass with the same name are enough.
A `timedelta` named `grace` is kept as whole seconds in a column named `grace_s`. Only this file knows the form of domain values in JSON
columns, such as the options of a recipient's address, in which secrets stay sealed.
"""

import time
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import Column, Row, Table

from app.core.log import log
from app.domain.canary import Hop
from app.domain.expectation import Expectation
from app.domain.matcher import Comparison, Matcher
from app.domain.recipient import Address
from app.domain.share_link import SharedPart
from app.domain.transport_options import OPTIONS, Sealed, TransportOptions

SEALED = "sealed"  # the only name in the object that stands for a secret


def options_json(options: TransportOptions) -> dict[str, Any]:
    """Return options as a column holds them."""
    return {field.name: _written_option(getattr(options, field.name)) for field in fields(options)}


def options_of(transport: str, stored: Mapping[str, Any] | None) -> TransportOptions | None:
    """Return the options that a column holds. What a later version added is left out: its recipient must still be notified."""
    if stored is None or transport not in OPTIONS:
        return None
    known = {field.name for field in fields(OPTIONS[transport])}
    return OPTIONS[transport](**{name: _read_option(value) for name, value in stored.items() if name in known})


def _written_option(value: object) -> object:
    if isinstance(value, Sealed):
        return {SEALED: value.ciphertext}
    if isinstance(value, Mapping):
        return {name: _written_option(one) for name, one in value.items()}
    return [_written_option(one) for one in value] if isinstance(value, tuple) else value


def _read_option(value: object) -> Any:  # noqa: ANN401  (the values of JSON)
    if isinstance(value, Mapping):
        if value.keys() == {SEALED}:
            return Sealed(str(value[SEALED]))
        return {name: _read_option(one) for name, one in value.items()}
    return tuple(_read_option(one) for one in value) if isinstance(value, list) else value


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
Item = TypeVar("Item")
Convert = Callable[[Any], Any]
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)  # what reading a row of another version raises

_LOG_AGAIN_S, _LOG_AGAIN_MOST_S, _LOGGED_MOST = 60.0, 86400.0, 1000
_LOGGED: dict[
    tuple[str, str, str], tuple[float, float]
] = {}  # noun, id and cause -> when it is logged again, and the pause after that


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    column: str
    is_optional: bool
    read: Convert | None = None  # None: the value as it is
    write: Convert | None = None
    empty: object = None  # a value of the column that can be read

    def can_read(self, value: object) -> bool:
        """Return whether a value of the column can be read."""
        if self.read is None or (value is None and self.is_optional):
            return True
        try:
            self.read(value)
        except UNREADABLE:
            return False
        return True


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
            _field(field.name, hints[field.name], renamed.get(field.name))
            for field in fields(cls)
            if field.name not in without
        ]
        missing = [field.column for field in self._fields if field.column not in table.c]
        if missing:
            raise TypeError(f"table {table.name} has no column for {cls.__name__}: {', '.join(missing)}")
        self.columns: list[Column[Any]] = [table.c[field.column] for field in self._fields]
        self._names = [field.name for field in self._fields]
        every = [field.name for field in fields(cls)]
        self._is_in_order = self._names == every[: len(self._names)]
        self._has_dict = self._names == every and bool(cls.__dictoffset__) and not hasattr(cls, "__post_init__")
        self._conversions = [
            (place, field.read, field.is_optional) for place, field in enumerate(self._fields) if field.read is not None
        ]

    def read(self, row: Row[Any]) -> T:
        """Return what a row holds. Raises ValueError, KeyError or TypeError where another version wrote what cannot be read."""
        values: dict[str, Any] = {}
        for field in self._fields:
            value = getattr(row, field.column)
            if field.read is not None and not (value is None and field.is_optional):
                value = field.read(value)
            values[field.name] = value
        return self._cls(**values)

    def read_values(self, values: Sequence[Any]) -> T:
        """Return what the values of `columns` in their order hold, as `read` does."""
        converted = list(values)
        for place, convert, is_optional in self._conversions:
            if not (is_optional and converted[place] is None):
                converted[place] = convert(converted[place])
        if self._has_dict:  # less time than field by field: see core/replacing.py
            made = object.__new__(self._cls)
            object.__setattr__(made, "__dict__", dict(zip(self._names, converted, strict=True)))  # it is frozen
            return made
        return (
            self._cls(*converted) if self._is_in_order else self._cls(**dict(zip(self._names, converted, strict=True)))
        )

    def unreadable(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the columns of a row that cannot be read, each with an empty value that can."""
        return {field.column: field.empty for field in self._fields if not field.can_read(values[field.column])}

    def write(self, thing: T) -> dict[str, object]:
        """Return the values of the columns."""
        values: dict[str, object] = {}
        for field in self._fields:
            value = getattr(thing, field.name)
            values[field.column] = value if field.write is None or value is None else field.write(value)
        return values

    def write_columns(self, things: Sequence[T], columns: Collection[str]) -> dict[str, list[Any]]:
        """Return the values of some columns, of all things by column: in half the time of `write` for each."""
        found: dict[str, list[Any]] = {}
        for field in self._fields:
            if field.column in columns:
                values, write = [getattr(thing, field.name) for thing in things], field.write
                if write is not None:
                    values = [None if value is None else write(value) for value in values]
                found[field.column] = values
        return found


def readable(rows: Iterable[Row[Any]], read: Callable[[Row[Any]], Item], noun: str) -> list[Item]:
    """Return what can be read of rows that administrators edit one by one; log the others, until somebody repairs them.

    One row that cannot be read, because another version wrote it, must not stop the work with all others.
    """
    found: list[Item] = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as cause:
            log_unreadable(noun, row.id, cause)
    return found


def readable_values(rows: Iterable[Sequence[Any]], mapping: RowMapping[T], noun: str) -> list[T]:
    """Do the same for the rows of a prepared statement that selects the columns of a mapping, the id first."""
    found: list[T] = []
    for values in rows:
        try:
            found.append(mapping.read_values(values))
        except UNREADABLE as cause:
            log_unreadable(noun, values[0], cause)
    return found


def log_unreadable(noun: str, row_id: str, cause: Exception) -> None:
    """Log a row that cannot be read: at first, after a minute, and then after twice as long each time. A stage reads it every second."""
    now, what = time.monotonic(), (noun, row_id, repr(cause))
    again_at, pause = _LOGGED.get(what, (now, _LOG_AGAIN_S))
    if now < again_at:
        return
    if len(_LOGGED) >= _LOGGED_MOST:
        _LOGGED.clear()
    _LOGGED[what] = now + pause, min(pause * 2, _LOG_AGAIN_MOST_S)
    log.error(
        "row left out because it cannot be read; change its unreadable fields, or delete it",
        noun=noun,
        id=row_id,
        cause=repr(cause),
    )


def matchers_of(stored: Iterable[Mapping[str, str]]) -> tuple[Matcher, ...]:
    """Return the matchers that a column holds."""
    return tuple(Matcher(form["field"], Comparison(form["test"]), form["value"]) for form in stored)


def matchers_json(matchers: Iterable[Matcher]) -> list[dict[str, str]]:
    """Return matchers as a column holds them."""
    return [{"field": matcher.field, "test": matcher.test.value, "value": matcher.value} for matcher in matchers]


def addresses_of(stored: Iterable[Mapping[str, Any]]) -> tuple[Address, ...]:
    """Return the addresses of a recipient that a column holds."""
    return tuple(
        Address(form["transport"], form["address"], options_of(form["transport"], form.get("options")))
        for form in stored
    )


def addresses_json(addresses: Iterable[Address]) -> list[dict[str, Any]]:
    """Return the addresses of a recipient as a column holds them."""
    return [
        {"transport": one.transport, "address": one.address}
        | ({} if one.options is None else {"options": options_json(one.options)})
        for one in addresses
    ]


def hops_of(stored: Iterable[Mapping[str, str | None]]) -> tuple[Hop, ...]:
    """Return the servers that a mail passed, as a column holds them."""
    return tuple(Hop(form["by"] or "", datetime.fromisoformat(form["at"]) if form["at"] else None) for form in stored)


def hops_json(hops: Iterable[Hop]) -> list[dict[str, str | None]]:
    """Return the servers that a mail passed as a column holds them."""
    return [{"by": hop.by, "at": None if hop.at is None else hop.at.isoformat()} for hop in hops]


def shared_parts_of(stored: Iterable[str]) -> tuple[SharedPart, ...]:
    """Return what a share link shows, as a column holds it."""
    return tuple(SharedPart(part) for part in stored)


def expectation_of(stored: Mapping[str, Any] | None) -> Expectation | None:
    """Return the expectation that a column holds, with durations in whole seconds; None where nothing is expected."""
    if stored is None:
        return None
    return Expectation(
        grace=timedelta(seconds=stored["grace_s"]),
        cron=stored["cron"],
        period=seconds_or_none(stored["period_s"]),
        time_zone=stored["time_zone"],
        longest=seconds_or_none(stored["longest_s"]),
    )


def expectation_json(expectation: Expectation | None) -> dict[str, Any] | None:
    """Return an expectation as a column holds it."""
    if expectation is None:
        return None
    return {
        "cron": expectation.cron,
        "period_s": whole_seconds(expectation.period),
        "time_zone": expectation.time_zone,
        "grace_s": whole_seconds(expectation.grace),
        "longest_s": whole_seconds(expectation.longest),
    }


def whole_seconds(length: timedelta | None) -> int | None:
    """Return a duration as a column holds it."""
    return None if length is None else round(length.total_seconds())


def seconds_or_none(stored: int | None) -> timedelta | None:
    """Return the duration that a column of seconds holds; None if it is empty."""
    return None if stored is None else timedelta(seconds=stored)


_CONVERTERS: dict[Any, tuple[Convert, Convert]] = {
    timedelta: (lambda seconds: timedelta(seconds=seconds), whole_seconds),
    Expectation: (expectation_of, expectation_json),
    tuple[Matcher, ...]: (matchers_of, matchers_json),
    tuple[Address, ...]: (addresses_of, addresses_json),
    tuple[Hop, ...]: (hops_of, hops_json),
    tuple[str, ...]: (tuple, list),
    tuple[SharedPart, ...]: (shared_parts_of, list),
}


E = TypeVar("E", bound=StrEnum)


def member_reader(kind: type[E]) -> Callable[[str], E]:
    """Return a function that returns the member with a value, or raises ValueError; it takes a third of the time of calling `kind`."""
    members = {member.value: member for member in kind}

    def read(value: str) -> E:
        return members.get(value) or kind(value)

    return read


def _field(name: str, hint: Any, renamed: str | None) -> _Field:  # noqa: ANN401  (a type, in any of its forms)
    kind, is_optional = hint, False
    if get_origin(hint) in (Union, types.UnionType):
        [kind] = [part for part in get_args(hint) if part is not type(None)]
        is_optional = True
    read: Convert | None = None
    write: Convert | None = None
    empty: object = None
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        read, write, empty = member_reader(kind), lambda member: member.value, next(iter(kind)).value
    elif get_origin(kind) is Mapping:
        read, write, empty = lambda stored: stored or {}, dict, {}
    elif kind in _CONVERTERS:
        read, write = _CONVERTERS[kind]
        empty = 0 if kind is timedelta else []
    column = renamed or (f"{name}_s" if kind is timedelta else name)
    return _Field(name, column, is_optional, read, write, None if is_optional else empty)
