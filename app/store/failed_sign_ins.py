"""Failed sign-ins in the database, counted by keyed hashes of who tried."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.sign_in_delay import FORGOTTEN_AFTER
from app.store.tables_people import failed_sign_ins
from app.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Failures:
    """How often somebody failed in a row, and when last."""

    count: int
    last_at: datetime


async def failures_of(tx: ReadTx, subjects: Iterable[str], now: datetime) -> dict[str, Failures]:
    """Return the failures of those who have any that are not forgotten."""
    own = failed_sign_ins.c.subject.in_(sorted(subjects))
    rows = await tx.connection.execute(
        select(failed_sign_ins).where(own, failed_sign_ins.c.last_at > now - FORGOTTEN_AFTER)
    )
    return {row.subject: Failures(row.failures, row.last_at) for row in rows}


async def forget_old_failures(tx: WriteTx, now: datetime) -> None:
    """Forget the old failures of anybody."""
    await tx.connection.execute(delete(failed_sign_ins).where(failed_sign_ins.c.last_at <= now - FORGOTTEN_AFTER))


async def count_failure(tx: WriteTx, subjects: Iterable[str], now: datetime) -> None:
    """Count one more failure of each, by one statement."""
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    added = insert(failed_sign_ins).values(
        [{"subject": one, "failures": 1, "last_at": now} for one in sorted(subjects)]
    )
    await tx.connection.execute(
        added.on_conflict_do_update(
            index_elements=["subject"], set_={"failures": failed_sign_ins.c.failures + 1, "last_at": now}
        )
    )


async def take_back_failure(tx: WriteTx, subjects: Iterable[str]) -> None:
    """Count one failure less of each, as it was none."""
    own = failed_sign_ins.c.subject.in_(sorted(subjects)), failed_sign_ins.c.failures > 0
    await tx.connection.execute(update(failed_sign_ins).where(*own).values(failures=failed_sign_ins.c.failures - 1))


async def forget_failures(tx: WriteTx, subjects: Iterable[str]) -> None:
    """Forget the failures of these."""
    await tx.connection.execute(delete(failed_sign_ins).where(failed_sign_ins.c.subject.in_(sorted(subjects))))
