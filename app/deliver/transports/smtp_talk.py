"""Carries one message over an open SMTP connection and says how it ended. It must not open, keep or close connections.

The point of no return is the final dot (RFC 5321 section 4.1.1.4): until it is handed to the operating system, a lost line
means that nothing was sent; from then until the answer, nobody can know (RFC 1047).
"""

import asyncio
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import cast

import aiosmtplib

from app.deliver.transports.evidence import evidence
from app.domain.outcome import Outcome, Permanent, Sent, Temporary, Unknown

_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")
_OURS_TO_MEND = (530, 534, 535, 538)  # RFC 4954: "authentication required" and kin, said at MAIL
_CLOSING = 421
_SLOW = 10  # a body may take ten times as long as one command, as long as it moves
_PACE_S = 0.01
_AT_ONCE = 64 * 1024  # less than any system's send buffer


class Line(Enum):
    """What became of the connection."""

    READY = auto()  # the next MAIL may follow at once
    REFUSED = auto()  # answered no: RSET first
    LOST = auto()  # dead before the final dot: the message may go over another connection at once
    SPENT = auto()  # dead or in doubt after the final dot: to be dropped


@dataclass(frozen=True, slots=True)
class Told:
    """How the message ended, and the connection with it."""

    outcome: Outcome
    line: Line


async def transmit(client: aiosmtplib.SMTP, sender: str, recipient: str, body: bytes, timeout_s: float) -> Told:
    """MAIL, RCPT, DATA, dot. Each command waits at most `timeout_s`; no round trip beyond those four."""
    wide = not (sender.isascii() and recipient.isascii())
    if wide and not client.supports_extension("smtputf8"):
        return Told(
            Permanent(
                "smtputf8", "the address is not ASCII, and the mail server does not take such (SMTPUTF8, RFC 6531)"
            ),
            Line.READY,
        )
    body = with_line_ends(body)
    try:
        for command in _envelope(client, sender, recipient, body, wide=wide):
            reply = await client.execute_command(*command)
            if reply.code // 100 != (3 if command == (b"DATA",) else 2):
                return _refused(reply)
        await _write(client, stuff_dots(body), timeout_s)
    except (aiosmtplib.SMTPException, OSError) as cause:
        return Told(Temporary("timeout" if isinstance(cause, TimeoutError) else "disconnect", _words(cause)), Line.LOST)
    return await _verdict(client, timeout_s)


def with_line_ends(body: bytes) -> bytes:
    """Give the body byte for byte, with CRLF at its end if it had none.

    Only a body with bare CR or LF, which compose never makes, is mended: such a line end is forbidden (RFC 5321 section 2.3.8),
    and some servers take it for the end of the mail and what follows for another, forged one ("SMTP smuggling").
    """
    if not body.count(b"\r\n") == body.count(b"\n") == body.count(b"\r"):
        body = _ANY_LINE_END.sub(b"\r\n", body)
    return body if body.endswith(b"\r\n") else body + b"\r\n"


def stuff_dots(body: bytes) -> bytes:
    """Double the dot that begins a line; the server takes it away again (RFC 5321 section 4.5.2)."""
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _envelope(
    client: aiosmtplib.SMTP, sender: str, recipient: str, body: bytes, *, wide: bool
) -> list[tuple[bytes, ...]]:
    """SIZE, without stuffed dots, lets the server refuse before it reads (RFC 1870); BODY says that there are bytes over 127 (RFC 6152)."""
    mail = [b"MAIL", b"FROM:<" + sender.encode() + b">"]
    if client.supports_extension("size"):
        mail.append(b"SIZE=%d" % len(body))
    if client.supports_extension("8bitmime") and not body.isascii():
        mail.append(b"BODY=8BITMIME")
    if wide:
        mail.append(b"SMTPUTF8")
    return [tuple(mail), (b"RCPT", b"TO:<" + recipient.encode() + b">"), (b"DATA",)]


async def _write(client: aiosmtplib.SMTP, body: bytes, timeout_s: float) -> None:
    """Hand over the body, and the dot only after it: so a line that dies within a long body is known to have sent nothing.

    A body that the operating system takes in one go leaves no such moment: it and its dot are one write.
    """
    protocol = client.protocol
    if protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("connection lost")
    if len(body) <= _AT_ONCE:
        protocol.write(body + b".\r\n")
        return
    protocol.write(body)
    transport = cast("asyncio.WriteTransport", protocol.transport)
    if left := transport.get_write_buffer_size():
        await _drain(transport, left, timeout_s)
    protocol.write(b".\r\n")


async def _drain(transport: asyncio.WriteTransport, left: int, timeout_s: float) -> None:
    """Wait until the operating system has taken what we wrote. It is polled: only asyncio's streams can be awaited for it."""
    clock = asyncio.get_running_loop().time
    started = moved = clock()
    pause = 0.0  # uvloop writes at the end of its turn: one turn is then enough
    while left and not transport.is_closing():
        await asyncio.sleep(pause)
        pause = min(pause + 0.001, _PACE_S)
        before, left = left, transport.get_write_buffer_size()
        moved = clock() if left < before else moved
        if clock() - moved > timeout_s or clock() - started > _SLOW * timeout_s:
            raise aiosmtplib.SMTPTimeoutError("timed out while sending the body")


async def _verdict(client: aiosmtplib.SMTP, timeout_s: float) -> Told:
    """Wait for the answer to the final dot. Any answer with a code is a fact; none is Unknown."""
    try:
        protocol = client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        reply = await protocol.read_response(timeout=timeout_s)
    except aiosmtplib.SMTPTimeoutError:
        return Told(Unknown("timeout", f"no answer to the final dot within {timeout_s:g} s"), Line.SPENT)
    except (aiosmtplib.SMTPException, OSError) as cause:
        return Told(Unknown("disconnect", f"no answer to the final dot: {_words(cause)}"), Line.SPENT)
    match reply.code // 100:
        case 2:
            return Told(Sent(str(reply.code), evidence(reply.message)), Line.READY)
        case 4 | 5:
            told = _refused(reply)
            return Told(told.outcome, Line.SPENT if told.line is Line.LOST else told.line)
        case _:
            return Told(Unknown(str(reply.code), evidence(reply.message)), Line.SPENT)


def _refused(reply: aiosmtplib.SMTPResponse) -> Told:
    """4xx is temporary, 5xx permanent (RFC 5321 section 4.2.1); 421 also closes the line (section 3.8)."""
    code, words = str(reply.code), evidence(reply.message)
    match reply.code // 100:
        case 4:
            return Told(Temporary(code, words), Line.LOST if reply.code == _CLOSING else Line.REFUSED)
        case 5 if reply.code not in _OURS_TO_MEND:
            return Told(Permanent(code, words), Line.REFUSED)
        case 5:
            return Told(Temporary(code, words), Line.REFUSED)
        case _:  # out of step with us: neither of us knows what comes next
            return Told(Temporary(code, words), Line.SPENT)


def _words(cause: Exception) -> str:
    if isinstance(cause, aiosmtplib.SMTPResponseException):
        return evidence(cause.message)
    return evidence(str(cause) or type(cause).__name__)
