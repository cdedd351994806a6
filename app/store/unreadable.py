"""Rows that fell due and cannot be read, because another version wrote them or they are damaged: each is put off alone.

If it stayed due, it would be read first again and again, and enough of them would take all places of a batch.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Column, update

from app.core import metrics
from app.store.row_mapping import UNREADABLE, log_unreadable
from app.store.transactions import WriteTx

PUT_OFF = timedelta(hours=1)
_KEPT_S = PUT_OFF.total_seconds() + 600.0  # a row that is not seen again by then was repaired or deleted
_seen: dict[str, float] = {}
metrics.UNREADABLE_ROWS.set_function(lambda: sum(time.monotonic() - at <= _KEPT_S for at in list(_seen.values())))
Found = TypeVar("Found")
AnyRow = TypeVar("AnyRow", bound=Sequence[Any])


def split_readable(rows: Iterable[AnyRow], read: Callable[[AnyRow], Found], noun: str) -> tuple[list[Found], list[str]]:
    """Return what can be read of rows whose first value is their id, and the ids of the others, which are logged."""
    found: list[Found] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as cause:
            log_unreadable(noun, row[0], cause)
            unreadable.append(row[0])
    return found, unreadable


async def put_off(tx: WriteTx, due: Column[Any], ids: Sequence[str], now: datetime) -> None:
    """Look at these rows again in an hour. `due`: the column that says when."""
    if ids:
        moment = time.monotonic()
        _seen.update(dict.fromkeys(ids, moment))
        for row_id in [one for one, at in _seen.items() if moment - at > _KEPT_S]:
            del _seen[row_id]
        rows = update(due.table).where(due.table.c.id.in_(ids), due <= now)
        await tx.connection.execute(rows.values({due.name: now + PUT_OFF}))
