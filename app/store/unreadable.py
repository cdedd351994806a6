"""Rows that cannot be read, because another version wrote them or they are damaged: which there are, and how those that fell due are put off.

If such a row stayed due, it would be read first again and again, and enough of them would take all places of a batch.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Column, update

from app.core import metrics
from app.store.row_mapping import UNREADABLE, log_unreadable
from app.store.transactions import WriteTx

# The first pause is short: while a cluster is upgraded, a worker of the older version may put off what one of the newer version can read.
FIRST_PUT_OFF, PUT_OFF = timedelta(minutes=1), timedelta(hours=1)
_SLACK_S = 600.0  # a row that is not seen again this long after its pause was repaired or deleted
SEEN_WITHIN = PUT_OFF + timedelta(
    seconds=_SLACK_S
)  # of its start, a process has looked at each row that others had put off
Found = TypeVar("Found")
AnyRow = TypeVar("AnyRow", bound=Sequence[Any])


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """One row: where it is, and since when it is known that it cannot be read."""

    table: str
    row_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class _Seen:
    row: UnreadableRow
    pause: timedelta
    kept_until: float  # monotonic; those of settings are replaced as a whole


_seen: dict[str, _Seen] = {}
_settings: dict[str, UnreadableRow] = {}


def unreadable_rows() -> list[UnreadableRow]:
    """Return all that this process knows of: rows that fell due, and rows that administrators edit."""
    moment = time.monotonic()
    return [*_settings.values(), *(one.row for one in list(_seen.values()) if moment <= one.kept_until)]


metrics.UNREADABLE_ROWS.set_function(lambda: len(unreadable_rows()))


def note_settings(found: Iterable[tuple[str, str]], now: datetime) -> None:
    """Remember which rows that administrators edit cannot be read, each by its table and id; forget those that were noted before."""
    before = dict(_settings)
    _settings.clear()
    for table, row_id in found:
        _settings[row_id] = before.get(row_id) or UnreadableRow(table, row_id, now)


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
    """Look at these rows again in a minute, and after that in twice as long each time, an hour at most. `due`: the column that says when."""
    if not ids:
        return
    moment = time.monotonic()
    for row_id in [one for one, seen in _seen.items() if moment > seen.kept_until]:
        del _seen[row_id]
    by_pause: dict[timedelta, list[str]] = defaultdict(list)
    for row_id in ids:
        before = _seen.get(row_id)
        pause = FIRST_PUT_OFF if before is None else min(before.pause * 2, PUT_OFF)
        row = UnreadableRow(due.table.name, row_id, now) if before is None else before.row
        _seen[row_id] = _Seen(row, pause, moment + pause.total_seconds() + _SLACK_S)
        by_pause[pause].append(row_id)
    for pause, put in by_pause.items():
        rows = update(due.table).where(due.table.c.id.in_(put), due <= now)
        await tx.connection.execute(rows.values({due.name: now + pause}))


def forget() -> None:
    """Forget all rows, for a process that changes to another database."""
    _seen.clear()
    _settings.clear()
