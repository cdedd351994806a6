"""Claim: 10 000 waiting mails leave, each with its attempt on record before and after, nearly as fast as a program in C sends the same over one connection."""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import uvloop

from app.context import AppContext
from app.core.clock import now
from app.core.ids import new_id
from app.core.log import set_up_log
from app.core.secret import Secret
from app.core.wakeups import Wakeups
from app.deliver import delivery_loop
from app.deliver.transports.smtp import SmtpTransport
from app.domain.message import Bodies, Message
from app.store import outbox
from app.store.engine import open_engines
from app.store.transactions import Database
from bench.claim import Claim, at_least
from bench.ground import SECRET, Ground, Place, Process, running
from bench.peers import find_smtp_source
from bench.rounds import by_turns

MESSAGES, CHUNK, ROUNDS = 10_000, 1_000, 3
_PEER = "smtp-source"
_MAIL = (
    "From: Tocsin <tocsin@localhost>\r\nTo: admin@example.org\r\nSubject: FAILED   nightly-{n} on sql01: repository is locked\r\n"
    "Message-ID: <{n}@tocsin>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    + "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456\r\n"
    * 120  # about as long as an alert mail
)


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """Our deliver stage with its 4 connections and Postfix's smtp-source with one, by turns, into the same sink."""
    with running("bench.sink", str(MESSAGES), shown=True) as sink:
        contenders = {_PEER: partial(_by_smtp_source, sink)}
        for ground in grounds:
            contenders[ground.name] = partial(_on, ground.place(), sink)
        score = by_turns(contenders, rounds=ROUNDS)
        for ground in grounds:
            name = f"{ground.name}: waiting mails out, 4 connections / smtp-source on one"
            yield Claim(name, score[ground.name], "mails/s", score[_PEER], at_least(0.6, 1, of_peer=True))


def _on(place: Place, sink: Process) -> float:
    return uvloop.run(_by_the_outbox(place, sink))


async def _by_the_outbox(place: Place, sink: Process) -> float:
    """Fill the outbox, then time the deliver stage alone, until the last message is settled."""
    settings = place.settings(smtp_url=f"smtp://127.0.0.1:{sink.port}?tls=none", log_level="warning")
    set_up_log(settings)
    database = Database(open_engines(settings))
    context = AppContext(settings, database, Wakeups(), Secret(SECRET), now)
    await _fill(context)
    stopping = asyncio.Event()
    begun = time.monotonic()
    stage = asyncio.create_task(
        delivery_loop.run(context, {"smtp": SmtpTransport.from_settings(settings)}, "worker:bench", stopping)
    )
    await asyncio.to_thread(sink.line)
    while await _unsettled(context):  # noqa: ASYNC110  (the database is asked, and it sends no wakeup)
        await asyncio.sleep(0.01)
    took = time.monotonic() - begun
    stopping.set()
    await stage
    await database.close()
    return MESSAGES / took


def _by_smtp_source(sink: Process) -> float:
    """Send mails of the same size by smtp-source, one after another over one connection."""
    program, environment = find_smtp_source()
    with tempfile.TemporaryDirectory() as folder:
        mail = Path(folder) / "mail"
        mail.write_bytes(_mail(0).replace(b"\r\n", b"\n"))
        sender, to = ("-f", "tocsin@localhost"), ("-t", "admin@example.org")
        words = [
            program,
            "-d",
            "-s",
            "1",
            "-m",
            str(MESSAGES),
            "-F",
            str(mail),
            *sender,
            *to,
            f"inet:127.0.0.1:{sink.port}",
        ]
        begun = time.monotonic()
        subprocess.run(words, env=environment, check=True, timeout=120)
        sink.line()
        return MESSAGES / (time.monotonic() - begun)


async def _fill(context: AppContext) -> None:
    for first in range(0, MESSAGES, CHUNK):
        batch = [(_message(context), Bodies(mail=_mail(number))) for number in range(first, first + CHUNK)]
        async with context.database.write() as tx:
            await outbox.insert_messages(tx, batch)


async def _unsettled(context: AppContext) -> bool:
    async with context.database.read() as tx:
        waiting = "SELECT 1 FROM messages WHERE state IN ('queued', 'leased', 'unknown') LIMIT 1"
        return (await tx.connection.exec_driver_sql(waiting)).first() is not None


def _message(context: AppContext) -> Message:
    at = context.clock()
    return Message(
        id=new_id("msg"),
        recipient_id="rcp_bench",
        transport="smtp",
        place=0,
        address="admin@example.org",
        urgency=1,
        is_alert=True,
        subject="FAILED   nightly on sql01: repository is locked",
        message_id=f"<{new_id('m')}@tocsin>",
        created_at=at,
        due_at=at,
        move_on_at=at + timedelta(hours=1),
        give_up_at=at + timedelta(hours=72),
    )


def _mail(number: int) -> bytes:
    return _MAIL.replace("{n}", str(number)).encode()
