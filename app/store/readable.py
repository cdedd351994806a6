"""Reads what administrators edit row by row: one row that cannot be read (another version wrote it) must not stop the line."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import Row

from app.core.log import log

T = TypeVar("T")


def readable(rows: Iterable[Row[Any]], read: Callable[[Row[Any]], T], noun: str) -> list[T]:
    """Give what can be read; say in the log what cannot, at every look, until somebody mends it."""
    found: list[T] = []
    for row in rows:
        try:
            found.append(read(row))
        except (ValueError, KeyError, TypeError, AttributeError) as cause:
            log.error("left out, for it cannot be read: mend or delete it", noun=noun, id=row.id, cause=repr(cause))
    return found
