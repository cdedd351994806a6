"""An open SMTP connection: writes bytes and returns the server's replies in order. It knows nothing about mails.

aiosmtplib opens the connection, but it loses replies that arrive before they are awaited. That happens with a server that extensions
PIPELINING (RFC 2920), because it receives several commands at once. So after the login, the replies are read here.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, cast

import aiosmtplib

from app.deliver.transports.evidence import LIMIT

_LONGEST_REPLY = 32 * 1024  # bytes over all lines: a server that sends no line ends must not fill the memory
_MOST_REPLIES = 8  # waiting unread: nor must a server that never stops replying
_SUCCESS = 2  # RFC 5321 section 4.2.1
_REPLY_LINE = re.compile(rb"(\d{3})(?:([ -])(.*))?")
_QUIT_S = 2.0
_LONGEST_POLL_S = 0.01
_PIECE = 16 * 1024
_BODY_FACTOR = 10  # a body may take ten times as long as one command, as long as bytes are moving


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """A server's reply: its code, and the text of all its lines, separated by LF (RFC 5321 section 4.2)."""

    code: int
    text: bytes


class SmtpSession(asyncio.Protocol):
    """Replies come in the order of the commands. `extensions` are those that the server extensions, in lower case.

    Every way in which the connection can fail is an OSError: TimeoutError, or ConnectionError with what happened.
    """

    def __init__(self, transport: asyncio.Transport, extensions: Iterable[str]) -> None:
        self.extensions = frozenset(extensions)
        self._transport = transport
        self._unread = bytearray()
        self._lines: list[bytes] = []  # of a reply whose last line has not come yet
        self._code = b""  # of the line before
        self._size = 0
        self._replies: deque[SmtpReply] = deque()
        self._lost: ConnectionError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    def of(cls, client: aiosmtplib.SMTP) -> Self:
        """Take over the connection from the library that opened it."""
        transport = cast("asyncio.Transport", client.transport)
        session = cls(transport, client.esmtp_extensions)
        transport.set_protocol(session)
        return session

    @property
    def is_usable(self) -> bool:
        """Whether it is open and no unexpected reply has arrived: that reply would be taken for the reply to the next command."""
        return self._lost is None and not (self._transport.is_closing() or self._replies or self._unread or self._lines)

    def write(self, data: bytes) -> None:
        """Write `data` without waiting. Raises ConnectionError if the connection is lost."""
        if self._lost is not None:
            raise self._lost
        if self._transport.is_closing():
            raise ConnectionResetError("Connection lost")
        self._transport.write(data)

    async def reply(self, timeout_s: float) -> SmtpReply:
        """Return the next reply, including one that came just before the connection was lost. Raises TimeoutError, ConnectionError."""
        while not self._replies:
            if self._lost is not None:
                raise self._lost
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._waiter
            except TimeoutError:
                if not self._replies:  # otherwise it came while this process was too busy to read it
                    raise TimeoutError("Timed out waiting for server response") from None
        return self._replies.popleft()

    async def write_body(self, body: bytes, timeout_s: float) -> None:
        """Write `body` in pieces, each after the one before it was sent. Stops early, without an error, when no longer `is_usable`.

        In pieces, because an SSL transport does not count the bytes that it passed to the socket's transport: only when 64 KB
        wait there does it buffer, and count, the rest. Raises TimeoutError.
        """
        until = asyncio.get_running_loop().time() + _BODY_FACTOR * timeout_s
        for start in range(0, len(body), _PIECE):
            if self.is_usable:
                self._transport.write(body[start : start + _PIECE])
                await self._drain(timeout_s, until)

    async def _drain(self, timeout_s: float, until: float) -> None:
        """Wait until the write buffer is empty. Polls, because an SSL transport has no callback; yields at least once, to learn of a failed write."""
        clock = asyncio.get_running_loop().time
        moved, pause = clock(), 0.0
        left = self._transport.get_write_buffer_size()
        await asyncio.sleep(0)
        while self.is_usable and (now := self._transport.get_write_buffer_size()):
            moved, left = (clock() if now < left else moved), now
            if clock() > min(moved + timeout_s, until):
                raise TimeoutError("timed out while sending the body")
            pause = min(pause + 0.001, _LONGEST_POLL_S)
            await asyncio.sleep(pause)

    def abort(self) -> None:
        """Close at once, without QUIT: a normal close would go on sending bytes that the server has not accepted yet."""
        self._lost = self._lost or ConnectionAbortedError("Connection aborted")
        with contextlib.suppress(AttributeError):  # Python 3.11.2 raises it for a TLS connection that was closed twice
            self._transport.abort()

    def quit_without_reply(self) -> None:
        """Send QUIT and close without waiting for the reply."""
        if not self._transport.is_closing():
            self._transport.write(b"QUIT\r\n")
            self._transport.close()

    async def quit(self) -> None:
        """Send QUIT (RFC 5321 section 4.1.1.10), ignore the reply, and close."""
        try:
            self.write(b"QUIT\r\n")
            await self.reply(_QUIT_S)
        except OSError:
            pass
        finally:
            self.abort()

    async def reset(self) -> bool:
        """End a refused transaction with RSET (RFC 5321 section 4.1.1.5) and return whether that worked; if not, close the connection.

        This is cheaper than a new login for each refused recipient.
        """
        is_done = False
        try:
            self.write(b"RSET\r\n")
            is_done = (await self.reply(_QUIT_S)).code // 100 == _SUCCESS and self.is_usable
        except OSError:
            pass
        finally:
            if not is_done:
                self.abort()
        return is_done

    def data_received(self, data: bytes) -> None:
        """Parse what the server sends (called by asyncio)."""
        self._unread += data
        while self._lost is None and (end := self._unread.find(b"\n")) >= 0:
            line = bytes(self._unread[: end + 1]).rstrip(b"\r\n")
            del self._unread[: end + 1]
            self._take_line(line)
        if self._size + len(self._unread) > _LONGEST_REPLY or len(self._replies) > _MOST_REPLIES:
            self._fail(ConnectionAbortedError("the server sends more replies than there were commands"))

    def eof_received(self) -> bool:
        """Note that the server closed the connection (called by asyncio)."""
        self._fail(ConnectionResetError("Unexpected EOF received"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is lost (called by asyncio)."""
        self._fail(ConnectionResetError(f"Connection lost: {exc}" if exc else "Connection lost"))

    def _take_line(self, line: bytes) -> None:
        found = _REPLY_LINE.fullmatch(line)
        if found is None or (self._lines and found[1][:1] != self._code[:1]):  # or lines with different reply classes
            self._fail(
                ConnectionAbortedError(f"Malformed SMTP response line: {line[:LIMIT].decode('utf-8', 'replace')}")
            )
            return
        self._code, more, text = found.groups(default=b"")
        self._lines.append(text.strip())
        self._size += len(line)
        if more != b"-":
            self._replies.append(SmtpReply(int(self._code), b"\n".join(self._lines)))
            self._lines, self._size = [], 0
            self._wake()

    def _fail(self, cause: ConnectionError) -> None:
        """Close the connection: no later reply can be matched to one of our commands."""
        if self._lost is None:
            self._lost = cause
        self._transport.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
