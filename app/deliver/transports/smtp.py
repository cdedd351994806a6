"""Sends mail over SMTP (RFC 5321), with a bounded pool of connections that are kept and used again. It must not word or repeat mail.

Temporary before the final dot, Unknown after it without an answer, otherwise as the server says: 4xx Temporary, 5xx Permanent.
A server that cannot be reached or logged in to is Temporary, whatever it says (see smtp_open): mail waits for the mend.
"""

import asyncio
import re
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from typing import Self

from app.core.errors import BadSettings
from app.core.settings import Settings
from app.deliver.transport import nothing_sent
from app.deliver.transports.smtp_open import Access, open_session, read_access
from app.deliver.transports.smtp_session import Session
from app.deliver.transports.smtp_talk import Line, Told, transmit
from app.domain.message import Parcel
from app.domain.outcome import Outcome, Permanent, Temporary

IDLE_S = 60.0  # servers hang up after minutes, firewalls forget sooner and say nothing
AUTH_PAUSE_S = 30.0  # after a refused login: a hundred waiting messages must not lock the account
ONE_BY_ONE_S = 900.0  # after a new connection died amid a mail: some firewalls drop all but the first command
_ADDRESS = re.compile(r'[^\s<>@"\x00-\x1f\x7f]+@[^\s<>@"\x00-\x1f\x7f]+')


@dataclass(slots=True)
class _Kept:
    """An open connection, how many messages it carried, since when it waits (the loop's seconds), and whether for a RSET."""

    session: Session
    carried: int = 0
    since: float = 0.0
    is_refused: bool = False


class Smtp:
    """The transport `smtp`. Many tasks may send at once; `connections` of them are served at a time, the others wait."""

    def __init__(self, access: Access, sender: str, connections: int, messages_per_connection: int) -> None:
        self._access = access
        self._sender = sender
        self._per_connection = messages_per_connection
        self._places = asyncio.Semaphore(connections)
        self._idle: list[_Kept] = []  # the last one used is used first: the others may time out
        self._shut_out: tuple[Temporary, float] | None = None
        self._one_by_one_until = 0.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build it. Raises BadSettings with the name of the setting that is wrong."""
        sender = parseaddr(settings.mail_from)[1]
        if not _ADDRESS.fullmatch(sender):
            raise BadSettings("TOCSIN_MAIL_FROM: must hold a mail address, such as Tocsin <tocsin@example.org>")
        return cls(read_access(settings), sender, settings.smtp_connections, settings.smtp_messages_per_connection)

    async def send(self, parcel: Parcel) -> Outcome:
        """Send over a kept connection, or a new one. One that died in idleness is replaced, and the message sent over the new one."""
        if not _ADDRESS.fullmatch(parcel.address):
            return Permanent("address", "is not a mail address that SMTP can carry")
        with nothing_sent():
            await self._places.acquire()
        try:
            return await self._send(parcel)
        finally:
            self._places.release()

    async def _send(self, parcel: Parcel) -> Outcome:
        with nothing_sent():
            kept = await self._take()
        if kept is not None:
            told = await self._carry(kept, parcel)
            if told.line is not Line.LOST:
                return told.outcome
        with nothing_sent():
            fresh = await self._open()
        if isinstance(fresh, Temporary):
            return fresh
        told = await self._carry(fresh, parcel)
        if told.line is Line.LOST:
            self._one_by_one_until = asyncio.get_running_loop().time() + ONE_BY_ONE_S
        return told.outcome

    async def close(self) -> None:
        """Take leave of the server on every idle connection; those in use are closed by their send."""
        idle, self._idle = self._idle, []
        self._per_connection = 0
        await asyncio.gather(*(kept.session.quit() for kept in idle))

    async def _take(self) -> _Kept | None:
        """Give the connection used last, if it still lives."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            kept = self._idle.pop()
            if not kept.session.is_fit or now - kept.since > IDLE_S:
                kept.session.drop()
            elif not kept.is_refused or await kept.session.is_reset():
                kept.is_refused = False
                return kept
        return None

    async def _open(self) -> _Kept | Temporary:
        now = asyncio.get_running_loop().time
        if self._shut_out is not None and now() < self._shut_out[1]:
            refusal, until = self._shut_out
            return Temporary(refusal.code, refusal.text, timedelta(seconds=until - now()))
        opened = await open_session(self._access)
        if not isinstance(opened, Temporary):
            self._shut_out = None
            if now() < self._one_by_one_until:
                opened.offers -= {"pipelining"}
            return _Kept(opened)
        if opened.code == "auth":
            self._shut_out = (opened, now() + AUTH_PAUSE_S)
        return opened

    async def _carry(self, kept: _Kept, parcel: Parcel) -> Told:
        """Send over `kept` and keep it, unless it is dead, in doubt or used up. Once the verdict is there, nothing is awaited:
        a cancellation could else lose it, and a mail that was sent would be sent again.
        """
        line = Line.SPENT
        try:
            told = await transmit(kept.session, self._sender, parcel.address, parcel.body, self._access.timeout_s)
            line = told.line
        finally:  # cancelled within: nobody knows what the server waits for
            if line in (Line.LOST, Line.SPENT):
                kept.session.drop()
            else:
                self._keep(kept, is_refused=line is Line.REFUSED)
        return told

    def _keep(self, kept: _Kept, *, is_refused: bool) -> None:
        kept.carried += 1
        kept.is_refused = is_refused
        kept.since = asyncio.get_running_loop().time()
        if kept.carried < self._per_connection:
            self._idle.append(kept)
        else:
            kept.session.leave()
