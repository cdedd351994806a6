"""An open SMTP connection: hands over bytes and gives the server's replies in order. It must not know what a mail is.

aiosmtplib opens the connection, but loses replies that arrive before they are asked for. A server that offers PIPELINING (RFC 2920)
is told several commands at once and sends just that, so from then on the replies are read here.
"""

import asyncio
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, cast

import aiosmtplib

from app.deliver.transports.evidence import LIMIT

_LONGEST_REPLY = 32 * 1024  # bytes, over all its lines: neither a server without line ends may fill the memory ...
_MOST_REPLIES = 8  # ... nor one that answers on and on
_YES = 2  # RFC 5321 section 4.2.1
_REPLY_LINE = re.compile(rb"(\d{3})(?:([ -])(.*))?")
_QUIT_S = 2.0
_PACE_S = 0.01
_PIECE = 16 * 1024
_SLOW = 10  # a body may take ten times as long as one command, as long as it moves


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said: its code, and the words of all lines with LF between them (RFC 5321 section 4.2)."""

    code: int
    words: bytes


class Session(asyncio.Protocol):
    """What was asked is answered in the same order; `offers` are the server's extensions in lower case.

    Every way in which a connection can die is an OSError: TimeoutError, or ConnectionError with what happened.
    """

    def __init__(self, transport: asyncio.Transport, offers: Iterable[str]) -> None:
        self.offers = frozenset(offers)
        self._transport = transport
        self._unread = bytearray()
        self._words: list[bytes] = []  # of a reply whose last line is still to come
        self._code = b""  # of its line before
        self._size = 0
        self._replies: deque[Reply] = deque()
        self._lost: ConnectionError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    def of(cls, client: aiosmtplib.SMTP) -> Self:
        """Take the connection over from the library that opened it."""
        transport = cast("asyncio.Transport", client.transport)
        session = cls(transport, client.esmtp_extensions)
        transport.set_protocol(session)
        return session

    @property
    def is_fit(self) -> bool:
        """Whether it is open, and nothing was said that nobody asked for: a reply too many would answer the wrong command."""
        return self._lost is None and not (self._transport.is_closing() or self._replies or self._unread or self._words)

    def write(self, data: bytes) -> None:
        """Hand `data` over. Raises ConnectionError if the connection is gone."""
        if self._lost is not None:
            raise self._lost
        if self._transport.is_closing():
            raise ConnectionResetError("Connection lost")
        self._transport.write(data)

    async def reply(self, timeout_s: float) -> Reply:
        """Give the next reply, also one that came just before the connection was lost. Raises TimeoutError, ConnectionError."""
        while not self._replies:
            if self._lost is not None:
                raise self._lost
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._waiter
            except TimeoutError:
                if not self._replies:  # else it came while this process itself had no time to look
                    raise TimeoutError("Timed out waiting for server response") from None
        return self._replies.popleft()

    async def pour(self, body: bytes, timeout_s: float) -> None:
        """Write `body` in pieces, each once the one before it was taken. Ends early, without an error, once not `is_fit`.

        By pieces, for an SSL transport does not count what it gave to the socket's transport: only when 64 KB wait there does
        it keep, and count, the rest. Raises TimeoutError.
        """
        until = asyncio.get_running_loop().time() + _SLOW * timeout_s
        for start in range(0, len(body), _PIECE):
            if self.is_fit:
                self._transport.write(body[start : start + _PIECE])
                await self._drain(timeout_s, until)

    async def _drain(self, timeout_s: float, until: float) -> None:
        """Poll what waits, for an SSL transport calls nobody back. At least one turn: only then is a failed write known."""
        clock = asyncio.get_running_loop().time
        moved, pause = clock(), 0.0
        left = self._transport.get_write_buffer_size()
        await asyncio.sleep(0)
        while self.is_fit and (now := self._transport.get_write_buffer_size()):
            moved, left = (clock() if now < left else moved), now
            if clock() > min(moved + timeout_s, until):
                raise TimeoutError("timed out while sending the body")
            pause = min(pause + 0.001, _PACE_S)
            await asyncio.sleep(pause)

    def drop(self) -> None:
        """Cut the line at once: a polite close would go on sending what the server never took."""
        self._lost = self._lost or ConnectionAbortedError("Connection dropped")
        self._transport.abort()

    def leave(self) -> None:
        """QUIT and close, without waiting for the answer."""
        if not self._transport.is_closing():
            self._transport.write(b"QUIT\r\n")
            self._transport.close()

    async def quit(self) -> None:
        """QUIT (RFC 5321 section 4.1.1.10), without minding what is answered."""
        try:
            self.write(b"QUIT\r\n")
            await self.reply(_QUIT_S)
        except OSError:
            pass
        finally:
            self.drop()

    async def is_reset(self) -> bool:
        """End a refused transaction (RFC 5321 section 4.1.1.5), or drop the line. Cheaper than a login for each refused recipient."""
        is_done = False
        try:
            self.write(b"RSET\r\n")
            is_done = (await self.reply(_QUIT_S)).code // 100 == _YES and self.is_fit
        except OSError:
            pass
        finally:
            if not is_done:
                self.drop()
        return is_done

    def data_received(self, data: bytes) -> None:
        """Take in what the server says."""
        self._unread += data
        while self._lost is None and (end := self._unread.find(b"\n")) >= 0:
            line = bytes(self._unread[: end + 1]).rstrip(b"\r\n")
            del self._unread[: end + 1]
            self._hear(line)
        if self._size + len(self._unread) > _LONGEST_REPLY or len(self._replies) > _MOST_REPLIES:
            self._end(ConnectionAbortedError("the server says more than it was asked for"))

    def eof_received(self) -> bool:
        """The server hung up."""
        self._end(ConnectionResetError("Unexpected EOF received"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is dead."""
        self._end(ConnectionResetError(f"Connection lost: {exc}" if exc else "Connection lost"))

    def _hear(self, line: bytes) -> None:
        found = _REPLY_LINE.fullmatch(line)
        if found is None or (self._words and found[1][:1] != self._code[:1]):  # or yes and no at once
            self._end(
                ConnectionAbortedError(f"Malformed SMTP response line: {line[:LIMIT].decode('utf-8', 'replace')}")
            )
            return
        self._code, more, words = found.groups(default=b"")
        self._words.append(words.strip())
        self._size += len(line)
        if more != b"-":
            self._replies.append(Reply(int(self._code), b"\n".join(self._words)))
            self._words, self._size = [], 0
            self._wake()

    def _end(self, cause: ConnectionError) -> None:
        """Nothing that comes after this can be trusted to answer what we asked."""
        if self._lost is None:
            self._lost = cause
        self._transport.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
