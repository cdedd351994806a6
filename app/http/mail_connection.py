"""One connection to the mail listener: what it may cost in time, memory and answers, and when it makes room for another.

Anybody can connect, and only an address that contains one of our keys shows a good reason. Until one was named a connection is a
stranger: it gets few seconds and few answers, and is the first to go when all places are taken.
"""

import asyncio
import ssl
import time
from collections import Counter
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope

from app.core import metrics
from app.core.networks import sender_of
from app.http.places import Limits, Places, Standing

PATIENCE_S = 15.0  # in all, until an address of ours was named
SILENCE_S, DATA_S, SESSION_S = 60.0, 300.0, 600.0
ANSWERS_MOST = 100  # since the last mail: a mail needs four, and one for each recipient
WRONG_MOST, WRONG_PAUSE_S = 3, 0.5
WRONG_MOST_NEXT_TO_RIGHT = 20  # a tool may mail to people too, and its report must not be lost for that
READ_AT_ONCE = 64 * 1024
MAILS_HELD = 10  # of the largest size, over all connections: more are asked to come again
YOUNG_S = 10.0
KNOWN_FOR_S, KNOWN_MOST = 8 * 86_400.0, 4_000  # a weekly job is known
_FLUSH_S = 2.0
_END = b"\r\n.\r\n"


class KnownSenders:
    """The addresses that sent a valid mail lately."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, address: str) -> None:
        """Note that a valid mail came from there."""
        sender = sender_of(address)
        self._until.pop(sender, None)
        if len(self._until) >= KNOWN_MOST:
            del self._until[next(iter(self._until))]  # the one that has been silent for longest
        self._until[sender] = time.monotonic() + KNOWN_FOR_S

    def __contains__(self, address: str) -> bool:
        return self._until.get(sender_of(address), 0.0) > time.monotonic()


class SharedState:
    """What all connections of the listener share. `bodies`: the mails that are being received."""

    def __init__(self, limits: Limits, mail_limit: int, tls: ssl.SSLContext | None) -> None:
        self.limits, self.mail_limit, self.tls = limits, mail_limit, tls
        self.known, self.places, self.bodies = KnownSenders(), Places[MailConnection](limits), set[_Body]()

    def is_too_much_for(self, holder: str) -> bool:
        """Say whether one key already holds half of all places."""
        return sum(one.holder == holder for one in self.places) >= max(1, self.limits.total // 2)

    def free_one(self) -> bool:
        """Close the oldest connection of the key that holds most places, unless it is young. All are served, and one of them must not hold all places."""
        held: dict[str, list[MailConnection]] = {}
        for one in self.places:
            if one.holder is not None:
                held.setdefault(one.holder, []).append(one)
        largest = sorted(held.values(), key=len)[-1:]
        oldest = min((one for ones in largest for one in ones), key=lambda one: one.since, default=None)
        if oldest is None or time.monotonic() - oldest.since < YOUNG_S:
            return False
        self.places.reassign(oldest)
        return True

    def bound_memory(self) -> None:
        """If too many bytes of mails are held, drop the largest mail of the key that holds most: one key must not use up the memory of all."""
        if sum(body.size for body in self.bodies) <= MAILS_HELD * self.mail_limit:
            return
        held = Counter[str | None]()
        for body in self.bodies:
            held[body.holder] += body.size
        (largest, _), *_ = held.most_common(1)
        max((body for body in self.bodies if body.holder == largest), key=lambda body: body.size).refuse(
            "452 4.3.1 Too many mails at once; try again"
        )


class MailConnection(SMTP):
    """One connection. `holder` is the key under which it sends, from the first valid recipient on."""

    line_length_limit = READ_AT_ONCE // 2

    def __init__(self, handler: object, shared: SharedState) -> None:
        super().__init__(
            handler,
            data_size_limit=shared.mail_limit,
            ident="Tocsin",
            hostname="tocsin",
            timeout=SESSION_S,
            tls_context=shared.tls,
            loop=asyncio.get_running_loop(),
        )
        self._shared = shared
        self._socket: asyncio.Transport | None = None  # below TLS
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._answers = self._wrong = 0
        self._has_place = self._is_known = self._ends = False
        self._address = ""
        self.holder: str | None = None
        self.since = time.monotonic()

    @property
    def standing(self) -> Standing:
        """Whether it makes room for others."""
        if self.holder is not None:
            return Standing.SERVED
        return Standing.KNOWN if self._is_known else Standing.STRANGER

    def make_room(self) -> None:
        """Close it for the sake of another."""
        self._end(b"421 4.3.2 All places are taken; try again")

    def admit(self, holder: str) -> bool:
        """Note the key of a valid recipient. Return False if too many connections use it."""
        if self.holder is None:
            if self._shared.is_too_much_for(holder):
                return False
            self.holder = holder
            self._shared.places.promote(self)
            self._set_deadline("silence", SILENCE_S)
        return True

    async def answer_wrong(self) -> str:
        """Return the answer to a recipient that is none. The third one of a stranger ends the connection: it guesses."""
        self._wrong += 1
        await asyncio.sleep(WRONG_PAUSE_S)
        if self._wrong < (WRONG_MOST if self.holder is None else WRONG_MOST_NEXT_TO_RIGHT):
            return "550 5.1.1 No such address here"
        metrics.CONNECTIONS_CUT.labels(self._shared.limits.listener, "guesses").inc()
        self._ends = True
        return "421 4.7.0 Too many addresses that do not exist"

    def note_valid_mail(self) -> None:
        """Note that a mail was stored: its sender is known from now on, and the connection may send another."""
        self._answers = 0
        if self._address:
            self._shared.known.add(self._address)

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        """Start, if there is a place."""
        if self._socket is not None:  # called again after STARTTLS
            super().connection_made(transport)
            return
        self._socket = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._is_known = self._address in self._shared.known
        places, address = self._shared.places, self._address or None
        self._has_place = places.take(self, address, is_known=self._is_known) or (
            self._shared.free_one() and places.take(self, address, is_known=self._is_known)
        )
        if not self._has_place:
            self._end(b"421 4.3.2 Too many connections; try again")
            return
        self._set_deadline("silence", PATIENCE_S)
        self._set_deadline("session", SESSION_S)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Release the place."""
        self._shared.places.release(self)
        for deadline in self._deadlines.values():
            deadline.cancel()
        if self._has_place:
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """Stop, as nobody waits for an answer."""
        return super().eof_received() if self._has_place else False

    def data_received(self, data: bytes) -> None:
        """Accept data, as long as the connection is not about to end."""
        if self._has_place and not self._ends:
            super().data_received(data)

    async def push(self, status: Any) -> None:  # noqa: ANN401  (aiosmtpd's name and type)
        """Send an answer, of which there are not too many."""
        # Many commands may have come in one piece: let others go on. Not after the answer, as what follows "220 Ready to start TLS"
        # must not be read before TLS has started.
        await asyncio.sleep(0)
        self._answers += 1
        if self._answers > ANSWERS_MOST:
            self._end(b"421 4.7.0 Too many commands")
        if self.transport is None or self.transport.is_closing():
            await asyncio.sleep(2 * _FLUSH_S)  # until the end of the connection cancels this task
            return
        if self.holder is not None:
            self._set_deadline("silence", SILENCE_S)
        await super().push(status)
        if self._ends:
            self._close()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """Receive a mail: in large pieces, as a mail of empty lines would otherwise hold the event loop for seconds."""
        envelope = cast("Envelope", self.envelope)
        if await self.check_helo_needed():
            return
        if arg or not envelope.rcpt_tos:
            await self.push("501 Syntax: DATA" if arg else "503 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        self._set_deadline("silence", DATA_S)
        body = _Body(self._shared, self.holder)
        try:
            # A mail may begin with its end. The line end before it is that of the command, which was read already.
            self._reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined]  # noqa: SLF001  (see docs/architecture.md)
            while True:
                try:
                    body.add(await self._reader.readuntil(_END))
                    break
                except asyncio.LimitOverrunError as more:
                    body.add(await self._reader.read(more.consumed))
            envelope.content = body.whole()
        finally:
            body.release()
        status = body.refusal or await self._call_handler_hook("DATA")
        self.envelope = self._create_envelope()
        await self.push(status)

    def _set_deadline(self, name: str, seconds: float) -> None:
        if name in self._deadlines:
            self._deadlines[name].cancel()
        self._deadlines[name] = asyncio.get_running_loop().call_later(seconds, self._end_slow)

    def _end_slow(self) -> None:
        metrics.CONNECTIONS_CUT.labels(self._shared.limits.listener, "slow").inc()
        self._end(b"421 4.4.2 Too slow; try again")

    def close(self) -> None:
        """Close the connection because the service stops."""
        self._end(b"421 4.3.2 The service stops; try again")

    def _end(self, answer: bytes) -> None:
        """Say why, and close."""
        self._ends = True
        transport = cast("asyncio.Transport | None", self.transport or self._socket)
        if transport is not None and not transport.is_closing():
            transport.write(answer + b"\r\n")
        self._close()

    def _close(self) -> None:
        """Close. A peer that reads nothing must not keep the connection open by that."""
        transport = self.transport or self._socket
        if transport is not None:
            transport.close()
        if self._socket is not None:
            asyncio.get_running_loop().call_later(_FLUSH_S, self._socket.abort)


class _Body:
    """A mail while it is received. `refusal` is set if it cannot be kept; the rest is then read and dropped."""

    def __init__(self, shared: SharedState, holder: str | None) -> None:
        self._shared = shared
        self._data = bytearray()
        self.holder = holder
        self.refusal: str | None = None
        shared.bodies.add(self)

    @property
    def size(self) -> int:
        """How many bytes are held."""
        return len(self._data)

    def add(self, piece: bytes) -> None:
        """Keep a piece, unless the mail is refused."""
        if self.refusal is not None:
            return
        self._data += piece
        if len(self._data) > self._shared.mail_limit + len(_END):
            self.refuse("552 5.3.4 The mail is too large")
        self._shared.bound_memory()

    def whole(self) -> bytes:
        """Return the mail without the line end before it, its end, and the dots that were doubled (RFC 5321 section 4.5.2)."""
        return bytes(memoryview(self._data.replace(b"\r\n.", b"\r\n"))[2:-2])

    def refuse(self, answer: str) -> None:
        """Drop it, and answer this at its end."""
        self.refusal, self._data = answer, bytearray()

    def release(self) -> None:
        """Free its memory."""
        self._shared.bodies.discard(self)
        self._data = bytearray()
