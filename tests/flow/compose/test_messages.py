"""From notices to messages in the outbox, on real databases: grouped, in threads, and never partly."""

import asyncio
import base64
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.compose import tick as compose
from app.store.tables import alerts, messages, notices, runs
from app.store.tables_managed import recipients, routes, summary_schedules
from app.store.transactions import HOLD_WATCHERS
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


def mail_of(row: Any) -> EmailMessage:
    mail = message_from_bytes(row.mail, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def text_of(row: Any) -> str:
    part = mail_of(row).get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


async def change(system: SystemUnderTest, table: Any, **values: Any) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(table).values(**values))


async def live_on(system: SystemUnderTest) -> None:
    await system.decide()
    await compose.tick(system.context)


async def test_a_failure_becomes_one_mail_with_all_facts(system: SystemUnderTest) -> None:
    await system.receive(job="nightly-sql", outcome="success")
    await live_on(system)
    system.pass_time(hours=12)
    await system.receive(
        job="nightly-sql",
        outcome="failure",
        message="repository is locked",
        log="opening\nFatal: repository is locked by PID 99\n",
    )
    await live_on(system)
    [row] = await system.mails(messages.c.is_alert)
    mail = mail_of(row)
    assert mail["Subject"].startswith("[FAILED] nightly-sql on sql01")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == row.message_id
    text = text_of(row)
    assert "PID 99" in text
    assert "/proof/alr_" in text
    [notice] = await system.rows(notices, notices.c.what == "opened")
    assert (notice.state, notice.message_id) == ("worded", row.id)


async def test_the_recovery_is_in_the_thread_of_the_failure(system: SystemUnderTest) -> None:
    for outcome in ("failure", "success"):
        await system.receive(job="db", outcome=outcome)
        await live_on(system)
        system.pass_time(minutes=10)
        await live_on(system)
    failed, recovered = [mail_of(row) for row in await system.mails(messages.c.is_alert)]
    assert recovered["Subject"].startswith("[OK AGAIN] ")
    assert recovered["In-Reply-To"] == failed["Message-ID"]
    assert failed["Message-ID"] in recovered["References"]


async def test_the_run_that_a_recovery_links_to_is_the_one_that_ended_well(system: SystemUnderTest) -> None:
    await system.receive(job="nightly-sql", outcome="failure")
    await live_on(system)
    system.pass_time(hours=1)
    await system.receive(job="nightly-sql", outcome="success")
    await live_on(system)
    ids = {row.outcome: row.id for row in await system.rows(runs)}
    failed, recovered = [text_of(row) for row in await system.mails(messages.c.is_alert)]
    assert re.search(rf"^ +Run +\S+/proof/{ids['failure']}$", failed, re.MULTILINE)
    assert re.search(rf"^ +Run +\S+/proof/{ids['success']}$", recovered, re.MULTILINE)
    assert re.search(rf"^ +Failed run +\S+/proof/{ids['failure']}$", recovered, re.MULTILINE)


async def test_gmail_and_outlook_find_the_recovery_in_the_conversation_of_the_failure_and_no_other_alert(
    system: SystemUnderTest,
) -> None:
    for outcome in ("failure", "success", "failure"):
        await system.receive(job="db", outcome=outcome, message="repository is locked")
        await live_on(system)
        system.pass_time(minutes=10)
        await live_on(system)
    failed, recovered, failed_again = [mail_of(row) for row in await system.mails(messages.c.is_alert)]
    topic = failed["Thread-Topic"]
    assert failed["Subject"] == f"[FAILED] {topic}"
    assert recovered["Subject"] == f"[OK AGAIN] {topic}"
    [root] = failed["References"].split()
    assert recovered["References"].split() == [root, failed["Message-ID"]]
    assert recovered["Thread-Topic"] == topic
    first, later, other = [base64.b64decode(mail["Thread-Index"]) for mail in (failed, recovered, failed_again)]
    assert (len(first), len(later)) == (22, 27)
    assert later[:22] == first
    assert failed_again["Subject"] == failed["Subject"]
    assert root not in failed_again["References"]
    assert other[6:22] != first[6:]


async def test_alerts_of_one_group_are_sent_in_one_mail(system: SystemUnderTest) -> None:
    for number in range(7):
        await system.receive(agent=f"host{number}", job="db", outcome="failure")
    await live_on(system)
    [row] = await system.mails()
    assert mail_of(row)["Subject"].startswith("7 FAILED")
    assert {n.message_id for n in await system.rows(notices)} == {row.id}


async def test_an_alert_that_closed_before_it_was_composed_is_not_sent(system: SystemUnderTest) -> None:
    await change(system, routes, group_wait_s=60)
    await system.receive(job="db", outcome="failure")
    await live_on(system)
    await system.receive(job="db", outcome="success", occurred_at=system.pass_time(seconds=30))
    await live_on(system)
    system.pass_time(seconds=60)
    await live_on(system)
    assert await system.mails() == []


async def fail_on_three_hosts(system: SystemUnderTest) -> None:
    await change(system, routes, group_by=["agent"])
    for number in range(3):
        await system.receive(agent=f"host{number}", job="db", outcome="failure")
    await system.decide()


async def hosts_named(system: SystemUnderTest) -> list[str]:
    return sorted(row.subject.partition("host")[2][:1] for row in await system.mails())


async def test_a_message_that_cannot_be_stored_keeps_no_other_back(system: SystemUnderTest) -> None:
    await fail_on_three_hosts(system)
    if system.context.database.is_sqlite:
        no = "CREATE TRIGGER no BEFORE INSERT ON messages WHEN NEW.subject LIKE '%host1%' BEGIN SELECT RAISE(ABORT, 'no'); END"
        yes = "DROP TRIGGER no"
    else:
        no = "ALTER TABLE messages ADD CONSTRAINT no_host1 CHECK (subject NOT LIKE '%host1%')"
        yes = "ALTER TABLE messages DROP CONSTRAINT no_host1"
    async with system.context.database.write() as tx:
        await tx.connection.execute(text(no))
    await compose.tick(system.context)
    assert await hosts_named(system) == ["0", "2"]
    async with system.context.database.write() as tx:
        await tx.connection.execute(text(yes))
    system.pass_time(minutes=5)
    await compose.tick(system.context)
    assert await hosts_named(system) == ["0", "1", "2"]


@pytest.mark.parametrize(("table", "column"), [(alerts, "kind"), (notices, "what")])
async def test_what_a_newer_version_wrote_keeps_no_other_message_back(
    system: SystemUnderTest, table: Any, column: str
) -> None:
    await fail_on_three_hosts(system)
    [of_host1] = await system.rows(alerts, alerts.c.agent_id == await system.agent("host1"))
    row = table.c.id if table is alerts else table.c.alert_id
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(table).where(row == of_host1.id).values({column: "unheard_of"}))
    await compose.tick(system.context)
    assert await hosts_named(system) == ["0", "2"]


async def test_a_notice_for_a_recipient_without_transport_is_suppressed_with_its_reason(
    system: SystemUnderTest,
) -> None:
    await change(system, recipients, transports=[])
    await system.receive(job="db", outcome="failure")
    await live_on(system)
    [notice] = await system.rows(notices)
    assert (notice.state, notice.reason.rpartition("; ")[2]) == ("suppressed", "its recipient has no transport")


async def _wait_for_each(system: SystemUnderTest, *jobs: str) -> None:
    """Leave a notice for a mail of its own about each of these jobs."""
    await change(system, routes, group_by=["job"], group_wait_s=0, group_interval_s=0)
    for job in jobs:
        await system.receive(job=job, outcome="failure")
    await system.decide()


async def test_workers_that_compose_at_once_make_one_message_of_each_notice(system: SystemUnderTest) -> None:
    await _wait_for_each(system, *(f"db{number}" for number in range(15)))
    await asyncio.gather(*(compose.tick(system.context) for _ in range(3)))
    made = {row.id for row in await system.mails()}
    worded = await system.rows(notices, notices.c.state == "worded")
    assert len(worded) == 15
    assert {notice.message_id for notice in worded} == made


async def test_a_notice_that_is_withdrawn_while_it_is_worded_is_not_sent_and_the_others_are(
    sqlite_database_url: str, tmp_path: Path
) -> None:
    async with open_system(sqlite_database_url, tmp_path) as system:
        await _wait_for_each(system, "db1", "db2", "db3")
        withdrawn = (await system.rows(notices))[1].id

        @contextmanager
        def withdraw(_: AsyncConnection) -> Iterator[None]:
            """Do it after the message is worded, and before it is stored."""
            HOLD_WATCHERS.remove(withdraw)
            with closing(sqlite3.connect(sqlite_database_url.partition(":///")[2])) as other, other:
                other.execute("UPDATE notices SET state = 'suppressed' WHERE id = ?", [withdrawn])
            yield

        HOLD_WATCHERS.append(withdraw)
        await compose.tick(system.context)
        states = {notice.id: (notice.state, notice.message_id) for notice in await system.rows(notices)}
        assert states.pop(withdrawn) == ("suppressed", None)
        assert {state for state, _ in states.values()} == {"worded"}
        assert {message_id for _, message_id in states.values()} == {row.id for row in await system.mails()}


async def test_the_summary_is_sent_once_a_day_even_if_all_is_ok(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success", metrics={"bytes_processed": 10**9, "duration_s": 60})
    await live_on(system)
    system.pass_time(hours=19, minutes=1)  # 07:01
    for _ in range(3):
        await live_on(system)
    [row] = await system.mails()
    assert mail_of(row)["Subject"] == "Backups Tue 24 Nov: all 1 ok (no. 1)"
    assert "jobs expected: 1, jobs that reported: 1" in text_of(row).casefold()
    system.pass_time(days=1)
    await live_on(system)
    rows = await system.mails(messages.c.subject.like("%(no. 2)"))
    assert len(rows) == 1


async def test_a_summary_can_cover_only_some_jobs(system: SystemUnderTest) -> None:
    await change(
        system,
        summary_schedules,
        matchers=[
            {"field": "job", "test": "like", "value": "D?*"},
            {"field": "label:site", "test": "is_not", "value": "b"},
        ],
    )
    await system.receive(job="db", outcome="failure", labels={"site": "a"})
    await system.receive(job="mail", outcome="failure")
    await system.receive(job="dx", outcome="failure", labels={"site": "b"})
    await live_on(system)
    system.pass_time(hours=19, minutes=1)
    await live_on(system)
    [row] = await system.mails(messages.c.is_alert.is_(False))
    assert mail_of(row)["Subject"].startswith("Backups Tue 24 Nov: 1 failed")
