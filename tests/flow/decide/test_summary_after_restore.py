"""A database that was put back to an older state: the summaries' numbers go on after those that were sent, and say so."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.compose import canaries as compose_canaries
from app.compose import tick as compose
from app.core.ids import new_id
from app.decide import summaries
from app.decide.summary_numbers import FILE, keep_numbers
from app.deliver import returned as read_returned
from app.domain.own_address import AddressKind
from app.domain.returned_mail import ReturnedMail, Via
from app.store.returned_mails import add_returned_mail
from app.store.summaries import gaps_since
from app.store.tables import canaries, messages
from app.store.tables_managed import summary_schedules
from tests.support.context import START, SystemUnderTest, open_system

SETTINGS = {"log_level": "error"}


async def make_summaries(system: SystemUnderTest, count: int) -> None:
    for _ in range(count):
        system.pass_time(days=1)
        await summaries.tick(system.context)
        await compose.tick(system.context)


async def subjects(system: SystemUnderTest) -> list[str]:
    return [message.subject for message in await system.mails()]


def numbers_in(found: list[str]) -> list[int]:
    return [int(subject.rpartition("(no. ")[2].rstrip(")")) for subject in found]


def back_up(database_url: str, to: Path) -> None:
    """Copy the database while it is open, as docs/scale.md says."""
    with closing(sqlite3.connect(database_url.partition(":///")[2])) as one, closing(sqlite3.connect(to)) as other:
        one.backup(other)


def restore(backup: Path, database_url: str) -> None:
    path = Path(database_url.partition(":///")[2])
    for part in path.parent.glob(f"{path.name}-*"):
        part.unlink()
    shutil.copyfile(backup, path)


async def test_the_numbers_go_on_after_a_restore_and_the_next_summary_says_so(sqlite_database_url: str, tmp_path: Path):
    backup = tmp_path / "backup.db"
    async with open_system(sqlite_database_url, tmp_path, **SETTINGS) as system:
        await make_summaries(system, 2)
        back_up(sqlite_database_url, backup)
        await make_summaries(system, 3)
        assert numbers_in(await subjects(system)) == [1, 2, 3, 4, 5]
        now = system.time[0]
    restore(backup, sqlite_database_url)
    async with open_system(sqlite_database_url, tmp_path, **SETTINGS) as system:
        system.time[0] = now
        await make_summaries(system, 2)
        assert numbers_in(await subjects(system)) == [1, 2, 6, 7]
        first, second = [bytes(mail.mail).decode().replace("=\r\n", "") for mail in (await system.mails())[2:]]
        notice = "The database was put back to an older state: summaries no. 3 to 5 were sent and not known here"
        assert notice in first
        assert notice not in second
        async with system.context.database.read() as tx:
            (gap,) = await gaps_since(tx, START)
        assert (gap.schedule, gap.first, gap.last) == ("every morning", 3, 5)


async def test_without_a_restore_nothing_is_noticed(database_url: str, tmp_path: Path):
    async with open_system(database_url, tmp_path, **SETTINGS) as system:
        await make_summaries(system, 3)
        assert numbers_in(await subjects(system)) == [1, 2, 3]
    async with open_system(database_url, tmp_path, **SETTINGS) as system:
        assert await keep_numbers(system.context) == []
        async with system.context.database.read() as tx:
            assert await gaps_since(tx, START) == []


async def test_a_crash_between_commit_and_file_is_no_restore(database_url: str, tmp_path: Path):
    async with open_system(database_url, tmp_path, **SETTINGS) as system:
        await make_summaries(system, 1)
        before = (tmp_path / FILE).read_bytes()
        await make_summaries(system, 1)
        (tmp_path / FILE).write_bytes(before)  # the process was killed before it could write the file
        assert await keep_numbers(system.context) == []
        await make_summaries(system, 1)
        assert numbers_in(await subjects(system)) == [1, 2, 3]


@pytest.mark.parametrize("is_signed", [True, False])
async def test_a_canary_in_the_mailbox_shows_it_where_the_whole_folder_was_put_back(
    sqlite_database_url: str, tmp_path: Path, is_signed: bool
):
    """The mailbox is outside every backup of ours: it is read again from where the old database had read it."""
    backup = tmp_path / "backup.db"
    settings = SETTINGS | {"bounce_address": "bounces@example.org", "mail_in_port": 0, "smtp_url": "smtp://localhost:1"}
    async with open_system(sqlite_database_url, tmp_path, **settings) as system:
        await make_summaries(system, 2)
        back_up(sqlite_database_url, backup)
        kept_file = (tmp_path / FILE).read_bytes()
        await make_summaries(system, 2)
        await compose_canaries.tick(system.context)
        (canary,) = await system.rows(canaries)
        (mail,) = await system.mails(messages.c.id == canary.message_id)
        raw = mail.mail if is_signed else mail.mail.replace(b" 4 ", b" 9 ")
        now = system.time[0]
    restore(backup, sqlite_database_url)
    (tmp_path / FILE).write_bytes(kept_file)
    async with open_system(sqlite_database_url, tmp_path, **settings) as system:
        system.time[0] = now
        returned = ReturnedMail(new_id("ret"), now, Via.IMAP, AddressKind.CANARY, canary.id, "", raw)
        async with system.context.database.write() as tx:
            assert await add_returned_mail(tx, returned)
        await read_returned.tick(system.context)
        await make_summaries(system, 1)
        assert numbers_in(await subjects(system)) == ([1, 2, 5] if is_signed else [1, 2, 3])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"sch', id="cut off"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"[1]", id="no object"),
        pytest.param(b'{"%s": "9"}', id="a text for a number"),
        pytest.param(b'{"%s": true}', id="a truth value"),
        pytest.param(b'{"%s": 1e9}', id="no whole number"),
        pytest.param(b'{"%s": 99999999999999999999}', id="beyond any number"),
        pytest.param(b'{"sch_0000000000000000000000000000": 9}', id="of another database"),
    ],
)
async def test_a_file_that_holds_anything_else_is_written_again(
    sqlite_database_url: str, tmp_path: Path, content: bytes
):
    async with open_system(sqlite_database_url, tmp_path, **SETTINGS) as system:
        (schedule,) = await system.rows(summary_schedules)
        (tmp_path / FILE).write_bytes(content.replace(b"%s", schedule.id.encode()))
        await make_summaries(system, 1)
        assert numbers_in(await subjects(system)) == [1]
        assert await keep_numbers(system.context) == []
        assert schedule.id.encode() in (tmp_path / FILE).read_bytes()


async def test_a_folder_that_cannot_be_written_stops_no_summary(sqlite_database_url: str, tmp_path: Path):
    async with open_system(sqlite_database_url, tmp_path, **SETTINGS) as system:
        (tmp_path / FILE).mkdir()
        await make_summaries(system, 1)
        assert numbers_in(await subjects(system)) == [1]
