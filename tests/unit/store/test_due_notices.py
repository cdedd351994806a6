"""What is read together with due notices is complete, or is read separately: an alert that is not found would be taken for deleted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from app.core.ids import new_id
from app.domain.notice import URGENCY_ALERT, Notice, NoticeKind, NoticeState
from app.domain.recipient import Address
from app.store import notices
from app.store.due_notices import FIRST, read_due_notices
from app.store.tables import notices as table
from tests.support.context import SystemUnderTest, open_system
from tests.support.outbox import add_recipient


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path, log_level="error") as system:
        yield system


async def wait_for_words(system: SystemUnderTest, count: int) -> tuple[str, list[str]]:
    """Store notices that are due; return the id of their recipient, and theirs in the order in which they are due."""
    now, ids = system.time[0], sorted(new_id("ntc") for _ in range(count))
    async with system.context.database.write() as tx:
        to = await add_recipient(tx, system.context, Address("smtp", "ann@example.org"))
        made = [
            Notice(one, NoticeKind.SUMMARY, NoticeState.WAITING, "a test", now, "", URGENCY_ALERT, one, now, None, to)
            for one in ids
        ]
        await notices.insert_notices(tx, made)
    return to, ids


async def test_what_a_few_notices_are_about_is_read_with_them_and_their_recipients(system: SystemUnderTest) -> None:
    to, ids = await wait_for_words(system, FIRST)
    async with system.context.database.read() as tx:
        due = await read_due_notices(tx, system.time[0], 1000)
    assert [one.id for one in due.notices] == ids
    assert (list(due.recipients), due.about is not None) == ([to], True)


async def test_what_more_notices_are_about_is_not_read_even_if_some_cannot_be_read(system: SystemUnderTest) -> None:
    to, ids = await wait_for_words(system, FIRST + 1)
    async with system.context.database.write() as tx:  # as another version might write it
        await tx.connection.execute(update(table).where(table.c.id.in_(ids[:5])).values(what="sung"))
    async with system.context.database.read() as tx:
        due = await read_due_notices(tx, system.time[0], 1000)
    assert ([one.id for one in due.notices], due.about) == (ids[5:], None)
    async with system.context.database.read() as tx:
        due = await read_due_notices(tx, system.time[0], 3)
    assert ([one.id for one in due.notices], list(due.recipients), due.about) == (ids[5:8], [to], None)
