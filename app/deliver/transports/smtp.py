"""The transport `smtp` (RFC 5321): sends mail over a limited pool of connections that are kept open and used again.

Outcomes: Temporary before the final dot, Unknown if no reply comes after it, otherwise as the server replies: 4xx Temporary,
5xx Permanent. A server that cannot be reached or refuses the login is Temporary, whatever its reply (see smtp_connect): mail
waits until that is repaired.
"""

import asyncio
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from app.core.errors import BadSettings
from app.core.log import log
from app.core.mail_address import split_address
from app.core.settings import Settings
from app.deliver.transport import cancelled_is_unsent
from app.deliver.transports.smtp_connect import SmtpAccess, open_session, read_access
from app.deliver.transports.smtp_session import SmtpSession
from app.deliver.transports.smtp_transaction import ConnectionState, SendResult, transmit
from app.domain.attempt import Outcome, Permanent, Temporary
from app.domain.message import Parcel

IDLE_S = 60.0  # servers close idle connections after minutes; firewalls drop them earlier and without notice
AUTH_PAUSE_S = 30.0  # after a refused login: logging in for each of a hundred waiting messages could lock the account
NO_PIPELINING_S = 900.0  # after a new connection broke during a mail: some firewalls drop all but the first command
PLAIN_SENDER_S = 3600.0  # after the server refused an envelope sender of our own
SENDER_REFUSED = "sent without its own bounce address, which the server refused:"
_ADDRESS = re.compile(r'[^\s<>@"\x00-\x1f\x7f]+@[^\s<>@"\x00-\x1f\x7f]+')


@dataclass(slots=True)
class _PooledConnection:
    """An open connection: how many messages it carried, since when it is idle (loop time), and whether it needs RSET first."""

    session: SmtpSession
    carried: int = 0
    idle_since: float = 0.0
    needs_reset: bool = False


class SmtpTransport:
    """Sends mail. Many tasks may send at once; `connections` of them are served at a time, the others wait."""

    def __init__(self, access: SmtpAccess, sender: str, connections: int, messages_per_connection: int) -> None:
        self._access = access
        self._sender = sender
        self._per_connection = messages_per_connection
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_PooledConnection] = []  # the last one used is taken first, so that the others may time out
        self._login_refused: tuple[Temporary, float] | None = None
        self._no_pipelining_until = 0.0
        self._plain_sender_until = 0.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Create it from the settings. Raises BadSettings with the name of the wrong setting."""
        sender = split_address(settings.mail_from)[1]
        if not _ADDRESS.fullmatch(sender):
            raise BadSettings("TOCSIN_MAIL_FROM: must contain a mail address, such as Tocsin <tocsin@example.org>")
        return cls(read_access(settings), sender, settings.smtp_connections, settings.smtp_messages_per_connection)

    async def send(self, parcel: Parcel) -> Outcome:
        """Send one mail. If the server refuses its own envelope sender, send it with the sender of all mails.

        Servers that let a login use only its own addresses refuse it. A setting that only serves to learn of mails that come
        back must not keep an alert from being sent.
        """
        now = asyncio.get_running_loop().time
        if now() < self._plain_sender_until:
            parcel = replace(parcel, envelope_sender=None)
        result = await self._send(parcel)
        if not (result.is_sender_refused and parcel.envelope_sender):
            return result.outcome
        refused = f"{result.outcome.code} {result.outcome.text}"
        log.warning("the mail server refuses our bounce address; mails go without it", answer=refused)
        self._plain_sender_until = now() + PLAIN_SENDER_S
        outcome = (await self._send(replace(parcel, envelope_sender=None))).outcome
        return replace(outcome, text=f"{outcome.text}\n{SENDER_REFUSED} {refused}")

    async def _send(self, parcel: Parcel) -> SendResult:
        """Send over an idle connection or a new one. If the idle one turns out to be dead, send over a new one."""
        if not _ADDRESS.fullmatch(parcel.address):
            refused = Permanent("address", "is not a mail address that SMTP can carry")
            return SendResult(refused, ConnectionState.READY)
        with cancelled_is_unsent():
            await self._slots.acquire()
        try:
            with cancelled_is_unsent():
                pooled = await self._take_idle()
            if pooled is not None:
                result = await self._send_over(pooled, parcel)
                if result.connection is not ConnectionState.LOST:
                    return result
            with cancelled_is_unsent():
                opened = await self._open()
            if isinstance(opened, Temporary):
                return SendResult(opened, ConnectionState.UNUSABLE)
            result = await self._send_over(opened, parcel)
            if result.connection is ConnectionState.LOST:
                self._no_pipelining_until = asyncio.get_running_loop().time() + NO_PIPELINING_S
            return result
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Send QUIT on every idle connection and close it; a connection in use is closed when its message has ended."""
        idle, self._idle = self._idle, []
        self._per_connection = 0
        await asyncio.gather(*(pooled.session.quit() for pooled in idle))

    async def _take_idle(self) -> _PooledConnection | None:
        """Return the connection that was used last and is still usable."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            pooled = self._idle.pop()
            if not pooled.session.is_usable or now - pooled.idle_since > IDLE_S:
                pooled.session.abort()
            elif not pooled.needs_reset or await pooled.session.reset():
                pooled.needs_reset = False
                return pooled
        return None

    async def _open(self) -> _PooledConnection | Temporary:
        now = asyncio.get_running_loop().time
        if self._login_refused is not None and now() < self._login_refused[1]:
            refusal, until = self._login_refused
            return Temporary(refusal.code, refusal.text, timedelta(seconds=until - now()))
        opened = await open_session(self._access)
        if not isinstance(opened, Temporary):
            self._login_refused = None
            if now() < self._no_pipelining_until:
                opened.extensions -= {"pipelining"}
            return _PooledConnection(opened)
        if opened.code == "auth":
            self._login_refused = (opened, now() + AUTH_PAUSE_S)
        return opened

    async def _send_over(self, pooled: _PooledConnection, parcel: Parcel) -> SendResult:
        """Send, and keep the connection unless it is dead, in doubt or used up.

        Nothing is awaited once the result is there: a cancellation could lose it, and a mail that was sent would be sent again.
        """
        state = ConnectionState.UNUSABLE
        try:
            result = await transmit(
                pooled.session,
                parcel.envelope_sender or self._sender,
                parcel.address,
                parcel.body,
                self._access.timeout_s,
                envelope_id=parcel.id,
            )
            state = result.connection
        finally:  # if it was cancelled, nobody knows which command the server expects next
            if state in (ConnectionState.LOST, ConnectionState.UNUSABLE):
                pooled.session.abort()
            else:
                pooled.carried += 1
                pooled.needs_reset = state is ConnectionState.NEEDS_RESET
                pooled.idle_since = asyncio.get_running_loop().time()
                if pooled.carried < self._per_connection:
                    self._idle.append(pooled)
                else:
                    pooled.session.quit_without_reply()
        return result
