"""The mail listener: receives mails of tools that can only send mail. An address is `<key>@anything`; it answers 250 after the commit.

Mails that we sent and that could not be delivered come back to it too, to our own signed addresses (domain/own_address.py): no key is needed.

It is no mail server: it relays and answers nothing, keeps only the text of mails that report nothing, for a week, and knows no address but our keys
and these. It must not log an address.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

from aiosmtpd.smtp import Envelope, Session

from app.context import AppContext
from app.core.disk import DiskTrouble
from app.core.errors import BadSettings, CannotWrite, NotAllowed, NotLetIn, OverBudget, Overloaded, TocsinError
from app.core.ids import new_id
from app.core.log import log
from app.core.networks import read_networks
from app.domain.budget import Budget
from app.domain.ignored_mail import TEXT_KEPT, IgnoredMail
from app.domain.key import KeyKind
from app.domain.own_address import AddressKind
from app.http.auth import Caller, KeyAuthenticator
from app.http.mail_back import ReturnedMails
from app.http.mail_connection import MailConnection, SharedState
from app.http.places import Limits
from app.intake.accept import Intake
from app.intake.dialects import mail
from app.intake.dialects.tool_request import ToolRequest
from app.intake.sanitize import replace_unstorable, show_all_unseen, truncate_middle
from app.store.mail_rules import add_ignored_mail

RECIPIENTS_MOST = 10
_ADDRESS_LIMIT = 320  # RFC 5321: 64 of the local part, 255 of the domain
_KINDS = frozenset({KeyKind.ENROL, KeyKind.AGENT})


class MailIn:
    """What the listener answers. aiosmtpd calls the methods by these names."""

    def __init__(self, context: AppContext, intake: Intake, authenticator: KeyAuthenticator) -> None:
        self._context, self._intake, self._authenticator = context, intake, authenticator
        self._returned = ReturnedMails(context)

    async def handle_RCPT(  # noqa: N802
        self, server: MailConnection, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Accept an address if it is one of our keys."""
        callers: list[Caller] = envelope.__dict__.setdefault("callers", [])
        returned: list[tuple[AddressKind, str]] = envelope.__dict__.setdefault("returned", [])
        if len(callers) + len(returned) >= RECIPIENTS_MOST:
            return "452 4.5.3 Too many recipients"
        own = self._returned.read_address(address)
        if own is not None:
            has_room = server.admit(own[1]) and self._returned.has_room(own[1])
            if has_room:
                returned.append(own)
                envelope.rcpt_tos.append(address)
            return "250 OK" if has_room else "451 4.7.1 Too many mails come back; try again"
        try:
            caller = await self._caller(address, session.peer)
        except NotAllowed:
            return await server.answer_wrong()
        except TocsinError as cause:
            return _not_let_in(cause) if isinstance(cause, NotLetIn) else _not_stored(cause)
        if not server.admit(caller.key_id):
            return "451 4.7.1 Too many mails under this key; try again"
        callers.append(caller)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: MailConnection, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Store what the mail reports or returns, for each of its addresses. A mail that is sent twice is one event, if it has a Message-ID."""
        body = envelope.content if isinstance(envelope.content, bytes) else b""
        try:
            for caller in envelope.__dict__.get("callers", ()):
                await self._store(caller, body, envelope.mail_from or "")
            await self._returned.store(envelope.__dict__.get("returned", ()), body, envelope.mail_from or "")
        except NotLetIn as cause:
            return _not_let_in(cause)
        except OverBudget as cause:
            return f"452 4.7.1 Too much under this key ({cause.code}); try again later"
        except Overloaded:
            return "451 4.3.2 Busy; try again"
        except TocsinError as cause:
            log.warning("a mail could not be stored; its sender is asked to send it again", cause=cause.detail)
            return _not_stored(cause)
        server.note_valid_mail()
        return "250 2.0.0 Stored"

    async def handle_exception(self, error: Exception) -> str:
        """Ask for the mail again after a bug of ours."""
        log.error("a mail could not be received because of a bug", exc_info=error)
        return "451 4.3.0 Something went wrong on our side; try again"

    async def _store(self, caller: Caller, body: bytes, mail_from: str) -> None:
        """Store a mail. Raises for one that reports no failure: OverBudget beyond the mails of a minute and the budgets of the key; CannotWrite
        while what room is left on the disk is kept for failures.
        """
        customer_id = caller.sender.customer_id
        over = self._intake.take_mail(caller.sender)
        rules = await self._intake.texts.rules(customer_id)
        headers = {"content-type": "message/rfc822", "mail-from": mail_from[:_ADDRESS_LIMIT]}
        request = ToolRequest(headers=headers, body=body, job=caller.job, agent=caller.sender.agent)
        request = replace(request, known_names=await self._intake.texts.names(customer_id))
        found = await self._intake.find_no_report(request, rules, caller.sender)
        if found is not None:  # it reports nothing: kept where administrators see it
            if over is not None:
                raise over.refuse(Budget.MAILS, [caller.agent_name or ""], self._context.clock().timestamp())
            self._context.database.writing.refuse_routine()
            received, reason = found
            texts, _ = replace_unstorable([received.sender, received.subject, received.text])
            sender, subject, text = texts
            sender, subject, text = show_all_unseen([sender, subject, truncate_middle(text, TEXT_KEPT)])
            kept = truncate_middle(text, TEXT_KEPT)
            ignored = IgnoredMail(new_id("ign"), customer_id, self._context.clock(), sender, subject, reason, kept)
            async with self._context.database.write() as tx:
                await add_ignored_mail(tx, ignored)
            return
        await self._intake.accept_tool_request_with_body(
            mail.TOOL, partial(mail.read, rules=rules), request, caller.sender, over=over
        )

    async def _caller(self, address: str, peer: object) -> Caller:
        """Return the holder of the key in an address. Some mail servers lower-case addresses; a key in the form of a UUID survives that."""
        key = address.rpartition("@")[0].rpartition("+")[2].strip('"')
        client = str(peer[0]) if isinstance(peer, tuple) else None
        try:
            caller = await self._authenticator.admit(key, client)
        except NotAllowed:
            if key == key.lower():
                raise
            caller = await self._authenticator.admit(key.lower(), client)
        if caller.kind not in _KINDS or caller.customer_id is None:
            raise NotAllowed("this key sends no events")
        return caller


@contextlib.asynccontextmanager
async def listening(context: AppContext, intake: Intake, authenticator: KeyAuthenticator) -> AsyncIterator[int | None]:
    """Listen while the block runs, if a port is set; the value is the port."""
    settings = context.settings
    if settings.mail_in_port is None:
        yield None
        return
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd logs lines of strangers, as many as they like
    total = settings.mail_in_connections
    proxies = read_networks(settings.trusted_proxies)
    limits = Limits("mail", total, settings.mail_in_connections_per_address, kept=total // 5, proxies=proxies)
    tls = None
    if settings.mail_in_cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            tls.load_cert_chain(settings.mail_in_cert)
        except (OSError, ssl.SSLError) as cause:
            raise BadSettings(f"TOCSIN_MAIL_IN_CERT: cannot use {settings.mail_in_cert}: {cause}") from cause
    shared = SharedState(limits, settings.mail_in_limit, tls)
    make = partial(MailConnection, MailIn(context, intake, authenticator), shared)
    try:
        server = await asyncio.get_running_loop().create_server(make, settings.mail_in_host, settings.mail_in_port)
    except OSError as cause:
        where = f"{settings.mail_in_host}:{settings.mail_in_port}"
        raise BadSettings(f"TOCSIN_MAIL_IN_PORT: cannot listen on {where}: {cause.strerror}") from cause
    port: int = server.sockets[0].getsockname()[1]
    log.info("listening for mails of tools", host=settings.mail_in_host, port=port)
    try:
        yield port
    finally:
        server.close()
        for connection in shared.places:
            connection.close()


def _not_let_in(cause: NotLetIn) -> str:
    """Return the answer for a key that does not let an agent in. Names in it come from the mail, and SMTP has ASCII lines only."""
    return f"550 5.7.1 {cause.code}: {ascii(cause.detail)[1:400]}"


def _not_stored(cause: TocsinError) -> str:
    """Return the answer for a mail that may be sent again. Only insufficient storage is 452 (RFC 5321, section 4.2.3)."""
    if isinstance(cause, CannotWrite):
        is_room = cause.code in (DiskTrouble.FULL, DiskTrouble.QUOTA)
        return f"{'452 4.3.1' if is_room else '451 4.3.0'} {cause.code}: {ascii(cause.detail)[1:-1][:300]}; try again"
    return f"451 4.3.0 {cause.code}; try again"
