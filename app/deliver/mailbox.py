"""Reads by IMAP the mailbox that our mails come back to. New mails that are about one of ours are stored, and only then marked or moved.

People may use the same mailbox, so a mail that is not about one of ours is left as it is. How far it was read is kept in the database,
not in flags: a mail that somebody opened before us is still read, and a mailbox with 100 000 old mails is not.
"""

import asyncio
import email
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from queue import SimpleQueue
from typing import TypeVar, cast

from app.context import AppContext
from app.core import metrics
from app.core.errors import Unavailable
from app.core.ids import new_id
from app.core.log import log
from app.core.mail_address import split_address
from app.core.mailbox_url import MailboxServer, mailbox_key, read_mailbox_url
from app.core.periodic import first_of
from app.deliver.access_tokens import AccessTokens, Purpose, TokenRefused, build_access_tokens
from app.deliver.bounce_reader import find_our_message, looks_like_notice, read_report
from app.deliver.imap_session import FAILURES, ImapSession, LoginRefused, MailHead
from app.domain import own_address
from app.domain.own_address import AddressKind
from app.domain.returned_mail import DeliveryReport, ReturnedMail, ReturnKind, Via
from app.store.outbox import find_message
from app.store.returned_mails import MailboxPosition, add_returned_mail, find_mailbox_position, save_mailbox_position
from app.store.transactions import ReadTx

POLL_S = 30.0
_CHUNK = 50
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
_NOTE_EVERY = timedelta(minutes=1)
_STOP_S = 5.0
_MAIL = ("smtp", "mapi", "graph")
# Headers with the address that a mail was delivered to. Never Return-Path: in a mail of ours, that is one of our own addresses too.
_RECIPIENT_HEADERS = (
    "to",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-delivered-to",
    "x-tocsin-canary",
)
_RECEIVED_FOR = re.compile(r"\bfor\s+<([^<>\s]{1,320})>")
_Result = TypeVar("_Result")


async def run(context: AppContext, stopping: asyncio.Event) -> None:
    """Read the mailbox of the settings until `stopping` is set. Does nothing without one."""
    if context.settings.mailbox_url is None:
        return
    server = read_mailbox_url(context.settings.mailbox_url.get_secret_value())
    tokens = (
        build_access_tokens(context.settings, Purpose.IMAP, mailbox=server.user) if server.password is None else None
    )
    reader = MailboxReader(context, server, tokens)
    work = asyncio.create_task(reader.run(stopping))
    try:
        await stopping.wait()
    finally:
        reader.stop()
        await asyncio.wait([work], timeout=_STOP_S)
        work.cancel()


class MailboxReader:
    """Keeps one connection open and reads what is new. Its thread is the only one that uses the connection."""

    def __init__(self, context: AppContext, server: MailboxServer, tokens: AccessTokens | None) -> None:
        self._context, self._server, self._tokens = context, server, tokens
        self._secret = context.secret.derive(own_address.PURPOSE)
        self._key = mailbox_key(server)
        self._thread = _Thread()
        self._stop = threading.Event()
        self._session: ImapSession | None = None

    def stop(self) -> None:
        """End a wait, and the connection."""
        self._stop.set()
        if self._session is not None:
            self._session.cut_off()

    async def run(self, stopping: asyncio.Event) -> None:
        """Read, and connect again after each failure, with longer and longer pauses."""
        pause = _FIRST_PAUSE_S
        while not stopping.is_set():
            try:
                await self._open()
                pause = _FIRST_PAUSE_S
                while not stopping.is_set():
                    await self.read_new()
                    await self._call(self._opened().wait, POLL_S, self._stop)
            except Unavailable as cause:
                log.warning("the mailbox waits for the database", cause=cause.detail)
            except Exception as cause:  # noqa: BLE001  (the boundary of the connection: whatever the server does, it is tried again)
                if not stopping.is_set():
                    await self._note_trouble(cause, pause)
            finally:
                await self._close()
            await first_of(stopping, timeout=pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        self._thread.end()

    async def read_new(self) -> int:
        """Store what came since the last time and concerns us; return how many mails that were."""
        session = self._opened()
        now = self._context.clock()
        async with self._context.database.read() as tx:
            position = await find_mailbox_position(tx, self._key)
        is_known = position is not None and position.uid_validity == session.uid_validity
        next_uid = position.next_uid if position is not None and is_known else None
        uids = await self._call(session.new_uids, next_uid, now)
        stored = 0
        for start in range(0, len(uids), _CHUNK):
            chunk = uids[start : start + _CHUNK]
            taken = [
                head.uid
                for head in await self._call(lambda some: list(session.heads(some)), chunk)
                if await self._take(head)
            ]
            await self._call(session.put_away, taken)
            stored += len(taken)
            # After the mails were stored and marked: whatever ends this process before, they are read again.
            await self._note_position(session, chunk[-1] + 1)
        is_old = position is None or position.trouble is not None or now - position.read_at > _NOTE_EVERY
        if not uids and (is_old or not is_known):
            await self._note_position(session, next_uid or 1)
        return stored

    async def _take(self, head: MailHead) -> bool:
        """Store a mail if it is about one of ours; return whether it is."""
        recipients = await asyncio.to_thread(_recipients, head.head)
        own = own_address.read_address(self._secret, recipients)
        if own is None and own_address.is_forged(self._secret, recipients):
            metrics.RETURNED.labels("forged").inc()
            return False
        if own is None and not looks_like_notice(head.head):
            return False
        raw = await self._call(self._opened().whole, head.uid)
        if raw is None:
            return False
        if own is None:
            about_id = await self._find_about(raw)
            if about_id is None:
                return False
            own = (AddressKind.BOUNCE, about_id)
        now = self._context.clock()
        arrived_at = min(head.arrived_at or now, now)
        mail = ReturnedMail(new_id("ret"), arrived_at, Via.IMAP, *own, _return_path(head.head), raw)
        async with self._context.database.write() as tx:
            await add_returned_mail(tx, mail)
            tx.after_commit(lambda: self._context.wakeups.wake("returned"))
        return True

    async def _find_about(self, raw: bytes) -> str | None:
        """Return the message that a notice to our usual sender is about, by its envelope id or its Message-ID; None if it is not about ours."""
        report, (envelope_id, first_id) = await asyncio.to_thread(lambda: (read_report(raw), find_our_message(raw)))
        if report.kind not in (ReturnKind.BOUNCED, ReturnKind.DELAYED, ReturnKind.DELIVERED):
            return None
        async with self._context.database.read() as tx:
            if envelope_id is not None and await find_message(tx, envelope_id) is not None:
                return envelope_id
            return None if first_id is None else await _find_in_chain(tx, first_id, report)

    async def _note_position(self, session: ImapSession, next_uid: int) -> None:
        position = MailboxPosition(self._key, session.uid_validity, next_uid, self._context.clock())
        async with self._context.database.write() as tx:
            await save_mailbox_position(tx, position)

    async def _note_trouble(self, cause: Exception, pause: float) -> None:
        """Write down why the mailbox cannot be read, for doctor and /readyz."""
        words = f"{type(cause).__name__}: {cause}"[:500] if str(cause) else type(cause).__name__
        if isinstance(cause, (*FAILURES, LoginRefused, TokenRefused)):
            log.warning("the mailbox cannot be read, it is tried again", cause=words, after_s=pause)
        else:
            log.error("the mailbox cannot be read, it is tried again", after_s=pause, exc_info=cause)
        try:
            async with self._context.database.write() as tx:
                before = await find_mailbox_position(tx, self._key) or MailboxPosition(
                    self._key, 0, 0, self._context.clock()
                )
                noted = MailboxPosition(self._key, before.uid_validity, before.next_uid, before.read_at, words)
                await save_mailbox_position(tx, noted)
        except Unavailable:
            log.warning("the trouble of the mailbox could not be written down")

    async def _open(self) -> None:
        """Connect and log in. An access token that is refused is replaced once."""
        for attempt in range(2):
            token = await self._tokens.token() if self._tokens is not None else None
            self._session = await self._call(ImapSession, self._server, self._context.settings.smtp_ca_file)
            try:
                await self._call(self._session.log_in, token)
            except LoginRefused:
                if self._tokens is None or attempt:
                    raise
                self._tokens.forget(token or "")
                await self._close()
            else:
                return

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await self._call(session.close)

    def _opened(self) -> ImapSession:
        if self._session is None:
            raise ConnectionResetError("the mailbox is closed")
        return self._session

    async def _call(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        """Do `work` in the thread of the connection."""
        return await asyncio.wrap_future(self._thread.submit(partial(work, *arguments)))


class _Thread:
    """The thread of the connection. It is a daemon thread: with a thread of an executor, a server that does not answer would delay each restart."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Future[object], Callable[[], object]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="mailbox", daemon=True).start()

    def submit(self, work: Callable[[], _Result]) -> "Future[_Result]":
        """Do this after what was submitted before."""
        result: Future[_Result] = Future()
        self._work.put((cast("Future[object]", result), work))
        return result

    def end(self) -> None:
        """Let the thread end after what was submitted."""
        self._work.put(None)

    def _run(self) -> None:
        while (job := self._work.get()) is not None:
            result, work = job
            if not result.set_running_or_notify_cancel():
                continue
            try:
                result.set_result(work())
            except BaseException as cause:  # noqa: BLE001  (raised by who waits for the result)
                result.set_exception(cause)


async def _find_in_chain(tx: ReadTx, first_id: str, report: DeliveryReport) -> str | None:
    """Return which of a message and its successors, which share a Message-ID, came back: the one to the recipient that the notice names."""
    chain = []
    next_id: str | None = first_id
    while next_id is not None and (message := await find_message(tx, next_id)) is not None:
        chain.append(message)
        next_id = message.moved_to
    by_mail = [one for one in chain if one.transport in _MAIL]
    named = [one for one in by_mail if report.recipient and one.address.lower() == report.recipient.lower()]
    return next((one.id for one in reversed(named or by_mail)), None)


def _recipients(head: bytes) -> str:
    """Return the addresses that a mail was delivered to, as text."""
    try:
        mail = email.message_from_bytes(head)
        found: Sequence[str] = [str(value) for name in _RECIPIENT_HEADERS for value in mail.get_all(name, [])]
        received = [one for value in mail.get_all("received", []) for one in _RECEIVED_FOR.findall(str(value))]
        return "\n".join([*found, *received])
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        return ""


def _return_path(head: bytes) -> str:
    try:
        return split_address(str(email.message_from_bytes(head).get("return-path", "")))[1][:320]
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
        return ""
