"""The MetaData of all tables, and column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, MetaData
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Utc(TypeDecorator[datetime]):
    """A time in UTC. Naive times are refused. SQLite has no such type and drops offsets, so it stores microseconds since 1970."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return timestamptz, or a 64-bit integer on SQLite."""
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401
        """Return the value to store. Raises ValueError for a naive time: its zone could not be known later."""
        return self.to_sqlite(value) if dialect.name == "sqlite" else self.to_postgresql(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ANN401
        """Return an aware time in UTC."""
        if value is None or dialect.name != "sqlite":
            return None if value is None else value.astimezone(UTC)
        return self.from_sqlite(value)

    @staticmethod
    def to_sqlite(value: datetime | None) -> int | None:
        """Return a time as SQLite stores it."""
        return None if value is None else to_micros(value)

    @staticmethod
    def from_sqlite(value: int | None) -> datetime | None:
        """Return a time that SQLite stored."""
        return None if value is None else from_micros(value)

    @staticmethod
    def to_postgresql(value: datetime | None) -> datetime | None:
        """Return a time as the driver of PostgreSQL takes it."""
        return None if value is None else _checked(value)


def _checked(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"a time without zone cannot be stored: {value!r}")
    return value


def to_micros(value: datetime) -> int:
    """Return microseconds since 1970, as SQLite stores a time. Raises ValueError for a time without zone."""
    # Not divided by a microsecond, which takes a third longer: an event has ten times to write and twenty to read.
    try:
        since = value - EPOCH
    except TypeError:
        since = _checked(value) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(value: int) -> datetime:
    """Return the time that SQLite stored as `value` microseconds."""
    return EPOCH + timedelta(0, 0, value)  # by name, the microseconds take a third longer


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


# Every constraint has a name, so that migrations can alter it on both databases.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    },
)
