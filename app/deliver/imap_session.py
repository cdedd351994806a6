"""One connection to an IMAP server (RFC 3501): which mails are new, their headers and bytes, and what is done with those that were stored.

Synchronous, because its library is: the mailbox reader calls it in a thread of its own. Every answer has a time-out and a bound. Nothing is
ever expunged: another program may have marked mails as deleted that its user still wants.
"""

import contextlib
import imaplib
import re
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError

from app.core.mailbox_url import MailboxServer
from app.core.smtp_url import Tls
from app.domain.returned_mail import RAW_MOST

TIMEOUT_S = 30.0
_HEAD_MOST = 64 * 1024
_SINCE = timedelta(days=7)  # at the first reading: older notices are no news
_SLICE_S = 1.0  # a wait is cut into pieces, so that a stop does not have to wait for its end
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_DATE = re.compile(rb'INTERNALDATE "([^"]{1,40})"')
# The libraries raise these for whatever a server answers.
FAILURES = (OSError, imaplib.IMAP4.error, ImapToolsError, ValueError, TypeError, IndexError, AttributeError)


class LoginRefused(Exception):
    """The server does not accept our user with this password or token."""


@dataclass(frozen=True, slots=True)
class MailHead:
    """The headers of a mail, its UID, and when it came into the mailbox."""

    uid: int
    arrived_at: datetime | None
    head: bytes


class ImapSession:
    """A mailbox that is open. Methods raise `FAILURES`; then it must be closed."""

    def __init__(self, server: MailboxServer, ca_file: Path | None) -> None:
        self._server = server
        tls = ssl.create_default_context(cafile=ca_file)
        self._box: BaseMailBox
        match server.tls:
            case Tls.TLS:
                self._box = MailBox(server.host, server.port, timeout=TIMEOUT_S, ssl_context=tls)
            case Tls.STARTTLS | Tls.NONE:
                self._box = MailBoxUnencrypted(server.host, server.port, timeout=TIMEOUT_S)
        if server.tls is Tls.STARTTLS:
            self._start_tls(tls)
        self.uid_validity = 0

    def _start_tls(self, tls: ssl.SSLContext) -> None:
        client = self._box.client
        plain = client.file  # the library forgets it without closing it
        try:
            client.starttls(tls)
        except FAILURES:
            with contextlib.suppress(*FAILURES):
                client.shutdown()
            raise
        finally:
            plain.close()

    def log_in(self, token: str | None) -> None:
        """Log in, with the access token if no password is configured, and open the folder. Raises LoginRefused."""
        server = self._server
        try:
            if server.password is None:
                self._box.xoauth2(server.user, token or "", initial_folder=None)
            elif (server.user + server.password).isascii():
                self._box.login(server.user, server.password, initial_folder=None)
            else:
                self._box.login_utf8(server.user, server.password, initial_folder=None)
        except (imaplib.IMAP4.error, ImapToolsError) as cause:
            if isinstance(cause, imaplib.IMAP4.abort):
                raise
            raise LoginRefused(self._without_secrets(str(cause), token)) from None
        client = self._box.client
        # Asked again: before the login, many servers do not name all that they can.
        client.capabilities = tuple(client.capability()[1][0].decode("ascii", "replace").upper().split())
        self._box.folder.set(server.folder)
        self.uid_validity = int(client.response("UIDVALIDITY")[1][0])

    def new_uids(self, next_uid: int | None, now: datetime) -> list[int]:
        """Return the UIDs from `next_uid` on, or at the first reading those of the last days, in rising order."""
        self._box.client.noop()  # else the server may search what it had named before
        if next_uid is None:
            since = now - _SINCE
            month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[
                since.month - 1
            ]
            found = self._box.uids(f"SINCE {since.day}-{month}-{since.year}", charset=None)
        else:
            found = self._box.uids(f"UID {next_uid}:*", charset=None)
        # `n:*` always names the newest mail, even if its UID is below n.
        return sorted(uid for uid in map(int, found) if uid >= (next_uid or 0))

    def heads(self, uids: Sequence[int]) -> Iterator[MailHead]:
        """Yield the headers of these mails; none of one that was deleted meanwhile."""
        parts = f"(UID INTERNALDATE BODY.PEEK[HEADER]<0.{_HEAD_MOST}>)"
        for words, head in self._fetch(uids, parts):
            uid = _UID.search(words)
            if uid is not None:
                yield MailHead(int(uid[1]), _read_date(words), head)

    def whole(self, uid: int) -> bytes | None:
        """Return the first 256 KiB of a mail; None if it was deleted meanwhile."""
        return next((raw for _, raw in self._fetch([uid], f"(UID BODY.PEEK[]<0.{RAW_MOST}>)")), None)

    def put_away(self, uids: Sequence[int]) -> None:
        """Mark mails that were stored as seen, and move them where that is wanted and the server can (RFC 6851)."""
        if not uids:
            return
        names = ",".join(map(str, uids))
        self._box.client.uid("STORE", names, "+FLAGS.SILENT", r"(\Seen)")
        folder = self._server.move_to
        if folder is None or "MOVE" not in self._box.client.capabilities:
            return
        if not self._box.folder.exists(folder):
            self._box.folder.create(folder)
        self._box.move(list(map(str, uids)), folder)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return when a mail may have come, `stop` is set, or the time is over. Uses IDLE (RFC 2177) where the server offers it."""
        if "IDLE" not in self._box.client.capabilities:
            stop.wait(seconds)
            self._box.client.noop()
            return
        self._box.idle.start()  # type: ignore[no-untyped-call]  # the library has no types
        try:
            for _ in range(int(seconds / _SLICE_S)):
                if stop.is_set() or any(b"EXISTS" in line for line in self._box.idle.poll(_SLICE_S)):
                    break
        finally:
            self._box.idle.stop()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Log out; whatever happens then, the connection is closed."""
        with contextlib.suppress(*FAILURES):
            self._box.logout()
        with contextlib.suppress(*FAILURES):
            self._box.client.shutdown()

    def cut_off(self) -> None:
        """Close the connection at once, from another thread too: what waits for an answer fails."""
        with contextlib.suppress(*FAILURES):
            self._box.client.sock.shutdown(socket.SHUT_RDWR)

    def _fetch(self, uids: Iterable[int], parts: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the words and the literal of each answer. A server may put the words before or after the literal."""
        status, answer = self._box.client.uid("FETCH", ",".join(map(str, uids)), parts)
        if status != "OK":
            raise imaplib.IMAP4.error(f"FETCH: {status}")
        for place, item in enumerate(answer):
            if isinstance(item, tuple):
                after = answer[place + 1] if place + 1 < len(answer) else b""
                yield item[0] + b" " + (after if isinstance(after, bytes) else b""), item[1]

    def _without_secrets(self, text: str, token: str | None) -> str:
        for secret in filter(None, (self._server.password, token)):
            text = text.replace(secret, "***")
        return text[:300]


def _read_date(words: bytes) -> datetime | None:
    found = _DATE.search(words)
    try:
        return datetime.strptime(found[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        return None
