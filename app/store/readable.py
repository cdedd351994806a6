"""Reads rows that administrators edit one by one: one row that cannot be read (another version wrote it) must not stop the others."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import Row

from app.core.log import log

T = TypeVar("T")
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)  # what reading a row of another version raises


def readable(rows: Iterable[Row[Any]], read: Callable[[Row[Any]], T], noun: str) -> list[T]:
    """Return what can be read; log what cannot, each time, until somebody repairs it."""
    found: list[T] = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as cause:
            log.error("row left out because it cannot be read; repair it", noun=noun, id=row.id, cause=repr(cause))
    return found
