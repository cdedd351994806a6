"""On SQLite, changes whose result nobody asks for are run with the next statement or with COMMIT: no reader of the transaction may notice."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.domain.attempt import Attempt
from app.store import notices, outbox
from app.store.tables import groups
from app.store.transactions import WriteTx
from tests.support.context import SystemUnderTest, open_system

AT = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
GROUP = ("rte_1", "nightly")


async def _group_times(system: SystemUnderTest) -> dict[tuple[str, str], datetime]:
    async with system.context.database.write() as tx:
        return await notices.group_times(tx, [GROUP])


async def _change_for_nothing(tx: WriteTx) -> None:
    """Insert an attempt at a message that does not exist."""
    await outbox.insert_attempts(tx, [Attempt("att_1", "msg_1", 1, "worker", "lse_1", AT)])


async def test_statements_see_what_was_changed_before_them(sqlite_database_url: str, tmp_path: Path) -> None:
    async with open_system(sqlite_database_url, tmp_path) as system, system.context.database.write() as tx:
        await notices.save_group_times(tx, {GROUP: AT})
        assert await notices.group_times(tx, [GROUP]) == {GROUP: AT}
        await notices.save_group_times(tx, {GROUP: AT.replace(hour=3)})
        found = await tx.connection.scalar(select(groups.c.told_at))
        assert found == AT.replace(hour=3)


async def test_the_last_changes_are_committed(sqlite_database_url: str, tmp_path: Path) -> None:
    async with open_system(sqlite_database_url, tmp_path) as system:
        async with system.context.database.write() as tx:
            await notices.save_group_times(tx, {GROUP: AT})
        assert await _group_times(system) == {GROUP: AT}
        async with system.context.database.write() as tx:
            await tx.connection.scalar(select(groups.c.told_at))  # SQLAlchemy commits this one
            await notices.save_group_times(tx, {GROUP: AT.replace(hour=3)})
        assert await _group_times(system) == {GROUP: AT.replace(hour=3)}


async def _change_and_fail(system: SystemUnderTest, committed: list[None], *, reads: bool) -> None:
    async with system.context.database.write() as tx:
        tx.after_commit(lambda: committed.append(None))
        await notices.save_group_times(tx, {GROUP: AT})
        await _change_for_nothing(tx)
        if reads:
            await tx.connection.scalar(select(groups.c.told_at))


@pytest.mark.parametrize("reads", [False, True])
async def test_a_change_that_fails_takes_its_transaction_with_it(
    sqlite_database_url: str, tmp_path: Path, reads: bool
) -> None:
    async with open_system(sqlite_database_url, tmp_path) as system:
        committed: list[None] = []
        with pytest.raises((sqlite3.IntegrityError, IntegrityError)):
            await _change_and_fail(system, committed, reads=reads)
        assert not committed
        assert await _group_times(system) == {}


async def _change_and_end(system: SystemUnderTest, error: type[BaseException]) -> None:
    async with system.context.database.write() as tx:
        await notices.save_group_times(tx, {GROUP: AT})
        await notices.group_times(tx, [GROUP])
        await notices.save_group_times(tx, {GROUP: AT.replace(hour=3)})
        raise error


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_an_error_or_a_cancellation_leaves_nothing(
    sqlite_database_url: str, tmp_path: Path, error: type[BaseException]
) -> None:
    async with open_system(sqlite_database_url, tmp_path) as system:
        with pytest.raises(error):
            await _change_and_end(system, error)
        assert await _group_times(system) == {}
