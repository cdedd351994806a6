"""Carries one message over an open SMTP connection and says how it ended. It must not open, keep or close connections.

The point of no return is the final dot (RFC 5321 section 4.1.1.4): until it is handed to the operating system, a lost line
means that nothing was sent; from then until the answer, nobody can know (RFC 1047).
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from app.deliver.transport import nothing_sent
from app.deliver.transports.evidence import evidence
from app.deliver.transports.smtp_session import Reply, Session
from app.domain.outcome import Outcome, Permanent, Sent, Temporary, Unknown

_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")
_OURS_TO_MEND = (530, 534, 535, 538)  # RFC 4954: "authentication required" and kin, said at MAIL
_CLOSING = 421
_YES, _GO_ON = 2, 3  # RFC 5321 section 4.2.1
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


async def transmit(session: Session, sender: str, recipient: str, body: bytes, timeout_s: float) -> Told:
    """MAIL, RCPT, DATA, dot. Each answer is awaited at most `timeout_s`; where the server offers PIPELINING, two round trips do."""
    wide = not (sender.isascii() and recipient.isascii())
    if wide and "smtputf8" not in session.offers:
        return Told(
            Permanent(
                "smtputf8", "the address is not ASCII, and the mail server does not take such (SMTPUTF8, RFC 6531)"
            ),
            Line.READY,
        )
    body = with_line_ends(body)
    try:
        with nothing_sent():
            refusal = await _agree(session, _envelope(session, sender, recipient, body, wide=wide), timeout_s)
            if refusal is None:
                refusal = await _write(session, stuff_dots(body), timeout_s)
        if refusal is not None:
            return refusal
    except OSError as cause:
        return Told(
            Temporary("timeout" if isinstance(cause, TimeoutError) else "disconnect", evidence(str(cause))), Line.LOST
        )
    return await _verdict(session, timeout_s)


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


def _envelope(session: Session, sender: str, recipient: str, body: bytes, *, wide: bool) -> list[bytes]:
    """SIZE, without stuffed dots, lets the server refuse before it reads (RFC 1870); BODY says that there are bytes over 127 (RFC 6152)."""
    mail = b"MAIL FROM:<%b>" % sender.encode()
    if "size" in session.offers:
        mail += b" SIZE=%d" % len(body)
    if "8bitmime" in session.offers and not body.isascii():
        mail += b" BODY=8BITMIME"
    if wide:
        mail += b" SMTPUTF8"
    return [mail + b"\r\n", b"RCPT TO:<%b>\r\n" % recipient.encode(), b"DATA\r\n"]


async def _agree(session: Session, commands: list[bytes], timeout_s: float) -> Told | None:
    """Have the server say yes to each command, or give its first no. Several at once end with DATA (RFC 2920 section 3.1)."""
    at_once = "pipelining" in session.offers
    if at_once:
        session.write(b"".join(commands))
    for number, command in enumerate(commands, start=1):
        if not at_once:
            session.write(command)
        reply = await session.reply(timeout_s)
        if reply.code // 100 != (_GO_ON if number == len(commands) else _YES):
            told = _refused(reply)
            asked = len(commands) - number if at_once and told.line is Line.REFUSED else 0
            return told if await _is_quiet(session, asked, timeout_s) else Told(told.outcome, Line.SPENT)
    return None


async def _is_quiet(session: Session, asked: int, timeout_s: float) -> bool:
    """Hear the answers to the other commands. A server that now waits for a mail that must not be sent is no more of use."""
    try:
        answers = [await session.reply(timeout_s) for _ in range(asked)]
    except OSError:
        return False
    return all(answer.code // 100 != _GO_ON for answer in answers)


async def _write(session: Session, body: bytes, timeout_s: float) -> Told | None:
    """Hand over the body, and the dot only after it: so a line that dies within a long body is known to have sent nothing.

    A body that the operating system takes in one go leaves no such moment: it and its dot are one write. What the server
    says before the dot cannot be its answer to it: a no is taken as such, and a yes to half a mail is no yes.
    """
    if len(body) > _AT_ONCE:
        await session.pour(body, timeout_s)
        body = b""
    if session.is_fit:
        session.write(body + b".\r\n")
        return None
    told = _refused(await session.reply(timeout_s))
    return told if told.line is Line.LOST else Told(told.outcome, Line.SPENT)


async def _verdict(session: Session, timeout_s: float) -> Told:
    """Wait for the answer to the final dot. Any answer with a code is a fact; none is Unknown."""
    try:
        reply = await session.reply(timeout_s)
    except TimeoutError:
        return Told(Unknown("timeout", f"no answer to the final dot within {timeout_s:g} s"), Line.SPENT)
    except OSError as cause:
        return Told(Unknown("disconnect", evidence(f"no answer to the final dot: {cause}")), Line.SPENT)
    match reply.code // 100:
        case 2:
            return Told(Sent(str(reply.code), evidence(reply.words)), Line.READY)
        case 4 | 5:
            told = _refused(reply)
            return Told(told.outcome, Line.SPENT if told.line is Line.LOST else told.line)
        case _:
            return Told(Unknown(str(reply.code), evidence(reply.words)), Line.SPENT)


def _refused(reply: Reply) -> Told:
    """4xx is temporary, 5xx permanent (RFC 5321 section 4.2.1); 421 also closes the line (section 3.8)."""
    code, words = str(reply.code), evidence(reply.words)
    match reply.code // 100:
        case 4:
            return Told(Temporary(code, words), Line.LOST if reply.code == _CLOSING else Line.REFUSED)
        case 5 if reply.code not in _OURS_TO_MEND:
            return Told(Permanent(code, words), Line.REFUSED)
        case 5:
            return Told(Temporary(code, words), Line.REFUSED)
        case _:  # out of step with us: neither of us knows what comes next
            return Told(Temporary(code, words), Line.SPENT)
