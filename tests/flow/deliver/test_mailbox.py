"""Mails that came back to a mailbox, read from a real Dovecot: which are taken, what happens to them, and what is left alone."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app import worker
from app.core.mailbox_url import read_mailbox_url
from app.deliver import returned
from app.deliver.imap_session import LoginRefused
from app.deliver.mailbox import MailboxReader
from app.domain.message import MessageState
from app.domain.own_address import PURPOSE, AddressKind, sign_address
from app.domain.recipient import Address
from app.domain.returned_mail import RAW_MOST
from app.store.returned_mails import due_returned_mails
from tests.support.api import Api, serving
from tests.support.bounces import notice
from tests.support.context import SystemUnderTest, open_system
from tests.support.dovecot import PASSWORD, Dovecot, dovecot
from tests.support.outbox import message_of, post
from tests.support.smtp import SmtpServer

pytestmark = pytest.mark.needs("dovecot")
ANN, FILE = Address("smtp", "ann@example.net"), Address("file", "ann@home.example")
BASE = "bounces@example.org"
PATIENCE_S = 20


@pytest.fixture(scope="module")
def running() -> Iterator[Dovecot]:
    with dovecot() as server:
        yield server


@pytest.fixture
def imap(running: Dovecot) -> Dovecot:
    """An empty mailbox."""
    with running.box() as box:
        for folder in ("INBOX", "Read ones"):
            if box.folder.exists(folder):
                box.folder.set(folder)
                box.delete(box.uids())
    return running


def url(server: Dovecot, *, more: str = "") -> str:
    return f"imap://{server.user}:{quote(PASSWORD, safe='')}@localhost:{server.port}/INBOX?tls=none{more}"


@asynccontextmanager
async def reading(system: SystemUnderTest, server: Dovecot, *, more: str = "") -> AsyncIterator[MailboxReader]:
    """A reader that is connected; the test says when it reads."""
    reader = MailboxReader(system.context, read_mailbox_url(url(server, more=more)), None)
    await reader._open()
    try:
        yield reader
    finally:
        await reader._close()


async def stored(system: SystemUnderTest) -> list[str]:
    async with system.context.database.read() as tx:
        return [mail.about_id for mail in await due_returned_mails(tx, system.pass_time(days=1), 500)]


async def sent(system: SystemUnderTest) -> tuple[str, str]:
    """Return a message that was sent, and its own bounce address."""
    (one,) = await post(system.context, ANN, FILE, state=MessageState.SENT, attempts=1, settled_at=system.time[0])
    return one, sign_address(system.context.secret.derive(PURPOSE), BASE, AddressKind.BOUNCE, one)


def mail(subject: str, *, to: str = "tocsin@example.org", more: str = "", body: str = "Hello.") -> bytes:
    return f"From: bob@example.net\r\nTo: {to}\r\nSubject: {subject}\r\n{more}\r\n{body}\r\n".encode()


def returned_to(address: str, **changes: Any) -> bytes:
    return f"Return-Path: <>\r\nTo: {address}\r\n".encode() + notice("ann@example.net", **changes)


async def test_a_bounce_is_stored_first_and_then_marked_and_the_rest_left_alone(
    database_url: str, tmp_path: Path, imap: Dovecot
):
    async with open_system(database_url, tmp_path) as system:
        one, own = await sent(system)
        imap.deliver(returned_to(own))
        imap.deliver(mail("a person's mail"))
        imap.deliver(mail("an alert of ours", more=f"Return-Path: <{own}>\r\n"))
        imap.deliver(mail("forged", to=own.replace(".", ".aaaaaaaaaaaaaaaa", 1)[:-1]))
        imap.deliver(
            notice("carl@example.net", copy="Message-ID: <msg_0193a5f2c4d10123456789abcdef@elsewhere.example>")
        )
        async with reading(system, imap) as reader:
            assert await reader.read_new() == 1
            assert await reader.read_new() == 0
        assert await stored(system) == [one]
        assert imap.seen_subjects() == {
            "Undelivered Mail Returned to Sender": False,  # the one about a mail that is not ours
            "a person's mail": False,
            "an alert of ours": False,
            "forged": False,
        } | {"Undelivered Mail Returned to Sender": imap.seen_subjects()["Undelivered Mail Returned to Sender"]}
        with imap.box() as box:
            seen = [found.to for found in box.fetch(mark_seen=False) if "\\Seen" in found.flags]
        assert seen == [(own,)]


async def test_what_a_person_read_before_us_is_read_all_the_same(database_url: str, tmp_path: Path, imap: Dovecot):
    async with open_system(database_url, tmp_path) as system:
        one, own = await sent(system)
        imap.deliver(returned_to(own), seen=True)
        async with reading(system, imap) as reader:
            assert await reader.read_new() == 1
        assert await stored(system) == [one]


async def test_a_mail_that_was_stored_is_moved_where_that_is_wanted(database_url: str, tmp_path: Path, imap: Dovecot):
    async with open_system(database_url, tmp_path) as system:
        _, own = await sent(system)
        imap.deliver(mail("a person's mail"))
        imap.deliver(returned_to(own))
        async with reading(system, imap, more="&move=Read%20ones") as reader:
            assert await reader.read_new() == 1
        assert imap.seen_subjects() == {"a person's mail": False}
        assert imap.seen_subjects(folder="Read ones") == {"Undelivered Mail Returned to Sender": True}


async def test_a_mail_is_read_again_after_a_crash_and_stored_once(
    database_url: str, tmp_path: Path, imap: Dovecot, monkeypatch: pytest.MonkeyPatch
):
    async with open_system(database_url, tmp_path) as system:
        one, own = await sent(system)
        imap.deliver(returned_to(own))
        async with reading(system, imap) as reader:
            session = reader._opened()
            monkeypatch.setattr(session, "put_away", lambda _uids: session.cut_off() or session._box.client.noop())
            with pytest.raises(Exception, match=r".*"):
                await reader.read_new()
        assert list(imap.seen_subjects().values()) == [False]
        monkeypatch.undo()
        async with reading(system, imap) as reader:
            assert await reader.read_new() == 1
        assert list(imap.seen_subjects().values()) == [True]
        assert await stored(system) == [one]


async def test_a_notice_to_our_usual_sender_is_recognised_by_what_it_returns(
    database_url: str, tmp_path: Path, imap: Dovecot
):
    async with open_system(database_url, tmp_path) as system:
        first, _ = await sent(system)
        second, _ = await sent(system)
        imap.deliver(notice("ann@example.net", copy=f"Subject: x\nMessage-ID: <{first}@example.org>"))
        by_envelope = notice("ann@example.net").replace(
            b"Reporting-MTA", f"Original-Envelope-Id: {second}\r\nReporting-MTA".encode()
        )
        imap.deliver(by_envelope)
        imap.deliver(
            mail("Automatic reply", more=f"Auto-Submitted: auto-replied\r\nIn-Reply-To: <{first}@example.org>\r\n")
        )
        async with reading(system, imap) as reader:
            assert await reader.read_new() == 2
        assert sorted(await stored(system)) == sorted([first, second])
        await returned.tick(system.context)
        assert {(await message_of(system.context, one)).state for one in (first, second)} == {MessageState.BOUNCED}


@pytest.mark.slow
async def test_a_mailbox_with_many_old_mails_is_not_read_whole(database_url: str, tmp_path: Path, imap: Dovecot):
    """100 000 mails of last year lie in the mailbox: only what is new is asked for."""
    old = imap.folder / "mail" / imap.user / "cur"
    owner = old.stat()
    text = mail("old", more="Date: Tue, 25 Nov 2025 03:00:00 +0000\r\n")
    for number in range(100_000):
        path = old / f"1764039600.M{number}P1.host,S={len(text)}:2,S"
        path.write_bytes(text)
        os_utime(path, 1764039600, owner.st_uid, owner.st_gid)
    try:
        async with open_system(database_url, tmp_path) as system:
            _, own = await sent(system)
            imap.seen_subjects(folder="none")  # Dovecot indexes the folder
            with imap.box():
                pass
            imap.deliver(returned_to(own))
            started = time.monotonic()
            async with reading(system, imap) as reader:
                assert await reader.read_new() == 1
                first = time.monotonic() - started
                started = time.monotonic()
                imap.deliver(returned_to(own, words="550 again"))
                assert await reader.read_new() == 1
            assert first < 30
            assert time.monotonic() - started < 25
    finally:
        for path in old.glob("1764039600.M*"):
            path.unlink()


def os_utime(path: Path, moment: int, uid: int, gid: int) -> None:
    os.utime(path, (moment, moment))
    if os.geteuid() == 0:
        os.chown(path, uid, gid)


async def test_a_large_mail_is_cut(database_url: str, tmp_path: Path, imap: Dovecot):
    async with open_system(database_url, tmp_path) as system:
        _, own = await sent(system)
        imap.deliver(returned_to(own) + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 20_000)
        async with reading(system, imap) as reader:
            assert await reader.read_new() == 1
        async with system.context.database.read() as tx:
            (kept,) = await due_returned_mails(tx, system.pass_time(days=1), 5)
        assert len(kept.raw) == RAW_MOST


async def test_a_mailbox_that_was_made_again_is_read_from_its_beginning(
    database_url: str, tmp_path: Path, imap: Dovecot
):
    async with open_system(database_url, tmp_path) as system:
        one, own = await sent(system)
        async with reading(system, imap) as reader:
            imap.deliver(returned_to(own))
            assert await reader.read_new() == 1
            reader._opened().uid_validity += 1
            assert await reader.read_new() == 1
        assert await stored(system) == [one]


async def test_a_refused_login_is_reported_without_the_password(database_url: str, tmp_path: Path, imap: Dovecot):
    async with open_system(database_url, tmp_path) as system:
        wrong = url(imap).replace(quote(PASSWORD, safe=""), "wrong-secret")
        reader = MailboxReader(system.context, read_mailbox_url(wrong), None)
        with pytest.raises(LoginRefused) as refused:
            await reader._open()
        await reader._close()
        assert "wrong-secret" not in str(refused.value)


@pytest.mark.parametrize("form", ["imaps", "imap"])
async def test_the_connection_is_encrypted_and_the_server_checked(
    database_url: str, tmp_path: Path, imap: Dovecot, form: str
):
    port = imap.tls_port if form == "imaps" else imap.port
    secure = f"{form}://{imap.user}:{quote(PASSWORD, safe='')}@localhost:{port}"
    async with open_system(database_url, tmp_path, smtp_ca_file=imap.ca_file) as system:
        reader = MailboxReader(system.context, read_mailbox_url(secure), None)
        await reader._open()
        assert await reader.read_new() == 0
        await reader._close()
    async with open_system(database_url, tmp_path) as system:
        reader = MailboxReader(system.context, read_mailbox_url(secure), None)
        with pytest.raises(OSError, match="certificate verify failed"):
            await reader._open()


async def test_an_alert_that_comes_back_to_the_mailbox_goes_by_the_next_transport(
    database_url: str, tmp_path: Path, imap: Dovecot
):
    """The whole way, with the real worker: it waits for new mail by IDLE."""
    with SmtpServer() as smtp:
        wanted: dict[str, Any] = {
            "smtp_url": f"smtp://localhost:{smtp.port}?tls=none",
            "mail_from": "Tocsin <tocsin@example.org>",
            "bounce_address": BASE,
            "mailbox_url": url(imap),
            "canary": False,
        }
        async with serving(database_url, tmp_path, work=worker.run, **wanted) as api:
            (admin,) = await api.items("/v1/recipients")
            ways = [{"transport": one.transport, "address": one.address} for one in (ANN, FILE)]
            await api.tell("PATCH", f"/v1/recipients/{admin['id']}", json={"transports": ways})
            await api.report({"agent": "web-01", "job": "nightly", "outcome": "failure", "message": "disk full"})
            first = await _until(api, transport="smtp", state="sent")
            (out,) = smtp.wait_for(1)
            imap.deliver(returned_to(out.sender))
            bounced = await _until(api, state="bounced")
            successor = await _until(api, transport="file", state="sent")
            assert (bounced["id"], bounced["moved_to"]) == (first["id"], successor["id"])
            (one,) = (await api.tell("GET", f"/v1/messages/{first['id']}"))["returned"]
            assert (one["via"], one["result"]) == ("imap", "bounced")
    assert list(imap.seen_subjects().values()) == [True]


async def _until(api: Api, **params: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await api.items("/v1/messages", is_alert="true", **params)
            if found:
                return found[0]
            await asyncio.sleep(0.1)
