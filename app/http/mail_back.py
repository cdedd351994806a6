"""Mails that come back to our own signed addresses, as the mail listener receives them: stored first, read later by the worker.

Only a server that we sent a mail to knows such an address. What it can make us store is bounded all the same.
"""

import time
from collections import deque
from collections.abc import Sequence

from app.context import AppContext
from app.core import metrics
from app.core.errors import Overloaded
from app.core.ids import new_id
from app.domain import own_address
from app.domain.own_address import AddressKind
from app.domain.returned_mail import RAW_MOST, ReturnedMail, Via
from app.store.returned_mails import add_returned_mail

# Who sends more is asked to try again later: nothing is lost. To one address less, so that who knows it does not shut out all others.
MAILS_A_MINUTE, TO_ONE_A_MINUTE, BYTES_A_MINUTE = 300, 20, 32 * 1024 * 1024
_ADDRESS_LIMIT = 320


class ReturnedMails:
    """Recognises our own addresses and stores what comes to them."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._secret = context.secret.derive(own_address.PURPOSE)
        self._accepted: deque[tuple[float, str]] = deque()
        self._stored: deque[tuple[float, int]] = deque()

    def read_address(self, address: str) -> tuple[AddressKind, str] | None:
        """Return what one of our own addresses is about; None for any other, also for one that was made up, which is counted."""
        if self._context.settings.bounce_address is None:
            return None
        found = own_address.read_address(self._secret, address)
        if found is None and own_address.is_forged(self._secret, address):
            metrics.FORGED.inc()
        return found

    def has_room(self, about_id: str) -> bool:
        """Count one more mail; return False if there were too many within a minute, to this address or to all."""
        now = time.monotonic()
        while self._accepted and self._accepted[0][0] < now - 60:
            self._accepted.popleft()
        to_one = sum(about == about_id for _, about in self._accepted)
        if len(self._accepted) >= MAILS_A_MINUTE or to_one >= TO_ONE_A_MINUTE:
            return False
        self._accepted.append((now, about_id))
        return True

    async def store(self, returned: Sequence[tuple[AddressKind, str]], body: bytes, mail_from: str) -> None:
        """Store a mail for each of our addresses that it came to. Raises Overloaded if there were too many bytes within a minute."""
        if not returned:
            return
        at, size = time.monotonic(), min(len(body), RAW_MOST) * len(returned)
        while self._stored and self._stored[0][0] < at - 60:
            self._stored.popleft()
        if sum(stored for _, stored in self._stored) + size > BYTES_A_MINUTE:
            raise Overloaded("too many mails come back")
        self._stored.append((at, size))
        # As a server does that delivers a mail (RFC 5321 section 4.4): it tells a bounce, which has none, from a reply.
        sender = mail_from[:_ADDRESS_LIMIT].encode("ascii", "replace").translate(None, b"\r\n")
        raw = (b"Return-Path: <%b>\r\n" % sender + body)[:RAW_MOST]
        now = self._context.clock()
        async with self._context.database.write() as tx:
            for kind, about_id in returned:
                mail = ReturnedMail(new_id("ret"), now, Via.SMTP, kind, about_id, sender.decode(), raw)
                await add_returned_mail(tx, mail)
            tx.after_commit(lambda: self._context.wakeups.wake("returned"))
