"""Canaries that are looked for in a mailbox: a real SMTP server takes them, a real Dovecot holds what arrived."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app import worker
from app.compose import canaries as compose_canaries
from app.core.mailbox_url import read_mailbox_url
from app.core.secret import Secret
from app.decide import canaries as decide_canaries
from app.deliver import returned
from app.deliver.mailbox import MailboxReader
from app.deliver.transports import build_transports
from app.domain.canary import Canary, CanaryState
from app.domain.message import MessageState
from app.store.canaries import CANARIES
from app.store.tables import alerts, canaries
from tests.support.api import serving
from tests.support.bounces import notice
from tests.support.context import SystemUnderTest, open_system
from tests.support.delivering import delivering, until
from tests.support.dovecot import PASSWORD, Dovecot, dovecot
from tests.support.smtp import Received, SmtpServer

pytestmark = pytest.mark.needs("dovecot")
HOPS = b"Received: from mx.example.org by imap.example.org with LMTP id 2\r\nReceived: from us by mx.example.org with ESMTPS id 1\r\n"


@pytest.fixture(scope="module")
def imap() -> Iterator[Dovecot]:
    with dovecot() as server:
        yield server


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        yield running


def wanted(server: SmtpServer, imap: Dovecot, password: str = PASSWORD) -> dict[str, Any]:
    return {
        "smtp_url": f"smtp://localhost:{server.port}?tls=none",
        "mail_from": "Tocsin <tocsin@example.org>",
        "bounce_address": "bounces@example.org",
        "mailbox_url": f"imap://{imap.user}:{quote(password, safe='')}@localhost:{imap.port}/INBOX?tls=none",
        "log_level": "error",
    }


def as_delivered(out: Received) -> bytes:
    """Return a mail as the last server delivers it."""
    return f"Return-Path: <{out.sender}>\r\nDelivered-To: <bounces@example.org>\r\n".encode() + HOPS + out.data


@asynccontextmanager
async def sent(
    database_url: str, folder: Path, server: SmtpServer, imap: Dovecot
) -> AsyncIterator[tuple[SystemUnderTest, MailboxReader, Received]]:
    """Send a canary; the test delivers it, or something else, and says when the mailbox is read."""
    settings = wanted(server, imap)
    async with (
        open_system(database_url, folder, **settings) as system,
        delivering(system.context, build_transports(system.context.settings, Secret("s" * 32))),
    ):
        reader = MailboxReader(system.context, read_mailbox_url(settings["mailbox_url"]), None)
        await reader._open()
        await reader.read_new()  # what lies there from before
        await compose_canaries.tick(system.context)
        await until(system.context, (await canary_of(system)).message_id, MessageState.SENT)
        (out,) = server.messages
        yield system, reader, out
        await reader._close()


async def canary_of(system: SystemUnderTest) -> Canary:
    (row,) = await system.rows(canaries)
    return CANARIES.mapping.read(row)


async def look(system: SystemUnderTest, reader: MailboxReader) -> CanaryState:
    """Read the mailbox, then decide, and return what became of the canary."""
    await reader.read_new()
    while await returned.tick(system.context):
        pass
    await decide_canaries.tick(system.context)
    await system.decide()
    return (await canary_of(system)).state


async def test_with_the_real_worker_a_canary_arrives(
    sqlite_database_url: str, tmp_path: Path, server: SmtpServer, imap: Dovecot
):
    settings = wanted(server, imap)
    async with serving(sqlite_database_url, tmp_path, work=worker.run, **settings) as api, asyncio.timeout(30):
        (out,) = await asyncio.to_thread(server.wait_for, 1)
        imap.deliver(as_delivered(out))
        while not (arrived := await api.items("/v1/canaries", state="arrived")):  # noqa: ASYNC110  (an API has no event)
            await asyncio.sleep(0.1)
    (canary,) = arrived
    assert [hop["by"] for hop in canary["hops"]] == ["mx.example.org", "imap.example.org"]
    assert canary["seconds"] < 30


async def test_a_canary_that_lies_unread_is_not_lost(
    database_url: str, tmp_path: Path, server: SmtpServer, imap: Dovecot
):
    async with sent(database_url, tmp_path, server, imap) as (system, reader, out):
        imap.deliver(as_delivered(out))
        system.pass_time(minutes=20)
        await decide_canaries.tick(system.context)  # the mailbox was read last before it arrived
        assert (await canary_of(system)).state is CanaryState.WAITING
        assert await look(system, reader) is CanaryState.ARRIVED
        assert await system.rows(alerts) == []


async def test_a_mailbox_that_was_read_in_vain_shows_the_loss(
    database_url: str, tmp_path: Path, server: SmtpServer, imap: Dovecot
):
    async with sent(database_url, tmp_path, server, imap) as (system, reader, out):
        system.pass_time(minutes=20)
        assert await look(system, reader) is CanaryState.LOST
        (alert,) = await system.rows(alerts)
        assert "did not arrive within 15 min, although smtp accepted it" in alert.message
        imap.deliver(as_delivered(out))  # late
        system.pass_time(minutes=5)
        assert await look(system, reader) is CanaryState.ARRIVED
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is not None


async def test_a_mailbox_that_cannot_be_read_is_reported_an_hour_later(
    database_url: str, tmp_path: Path, server: SmtpServer, imap: Dovecot
):
    async with sent(database_url, tmp_path, server, imap) as (system, _reader, _out):
        system.pass_time(minutes=70)
        await decide_canaries.tick(system.context)
        assert (await canary_of(system)).state is CanaryState.WAITING
        system.pass_time(minutes=6)
        await decide_canaries.tick(system.context)
        await system.decide()
        (alert,) = await system.rows(alerts)
        assert "the mailbox in which it should arrive could not be read since 2026-11-23 12:00 UTC" in alert.message


async def test_a_canary_that_comes_back_is_lost_at_once_and_its_notice_is_no_arrival(
    database_url: str, tmp_path: Path, server: SmtpServer, imap: Dovecot
):
    async with sent(database_url, tmp_path, server, imap) as (system, reader, out):
        imap.deliver(f"Return-Path: <>\r\nTo: {out.sender}\r\n".encode() + notice(out.recipients[0]))
        system.pass_time(seconds=30)
        assert await look(system, reader) is CanaryState.LOST
        lost = await canary_of(system)
        assert (lost.why or "").startswith("it was sent and not delivered (came back: ")
        assert lost.sent_at + timedelta(seconds=30) == lost.lost_at


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda to: to[:-20] + "aaaa" + to[-16:], id="another signature"),
        pytest.param(lambda to: to.replace("+c0", "+b0"), id="another kind"),
        pytest.param(lambda to: f"cny@{to.partition('@')[2]}", id="no signature"),
    ],
)
async def test_no_made_up_mail_counts_as_an_arrival(
    sqlite_database_url: str, tmp_path: Path, server: SmtpServer, imap: Dovecot, forge: Any
):
    async with sent(sqlite_database_url, tmp_path, server, imap) as (system, reader, out):
        to = out.recipients[0]
        imap.deliver(f"To: {forge(to)}\r\nSubject: Tocsin canary mail by smtp\r\n\r\nnothing\r\n".encode())
        system.pass_time(minutes=16)
        assert await look(system, reader) is CanaryState.LOST
