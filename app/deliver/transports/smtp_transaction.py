"""Sends one message over an open SMTP connection (a mail transaction, RFC 5321 section 3.3) and returns how it ended.

The final dot ends the mail data (RFC 5321 section 4.1.1.4). Until it is handed to the operating system, a lost connection means
that nothing was sent; from then until the reply, nobody can know (RFC 1047).
"""

import re
from dataclasses import dataclass, replace
from enum import Enum, auto

from app.deliver.transport import cancelled_is_unsent
from app.deliver.transports.evidence import evidence
from app.deliver.transports.smtp_refusals import (
    Refusal,
    RefusalKind,
    Stage,
    concerns_all_mail,
    outcome_of,
    read_refusal,
)
from app.deliver.transports.smtp_session import SmtpReply, SmtpSession
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown

_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")
_CLOSING = 421
_SUCCESS, _CONTINUE = 2, 3  # RFC 5321 section 4.2.1
_ONE_WRITE = 64 * 1024  # smaller than any system's send buffer


class ConnectionState(Enum):
    """The state of the connection after a message."""

    READY = auto()  # the next MAIL may follow immediately
    NEEDS_RESET = auto()  # the server refused a command: send RSET first
    LOST = auto()  # lost before the final dot: the message may be sent over another connection immediately
    UNUSABLE = auto()  # lost or in doubt after the final dot: close it


@dataclass(frozen=True, slots=True)
class SendResult:
    """The outcome for the message, and the state of the connection after it.

    `is_sender_refused`: by a 5xx reply, at any stage. `concerns_all_mail`: a refusal that any other recipient would bring too.
    """

    outcome: Outcome
    connection: ConnectionState
    is_sender_refused: bool = False
    concerns_all_mail: bool = False


async def transmit(
    session: SmtpSession, sender: str, recipient: str, body: bytes, timeout_s: float, *, envelope_id: str
) -> SendResult:
    """Send MAIL, RCPT, DATA and the body. Waits at most `timeout_s` for each reply; with PIPELINING, two round trips are enough.

    `envelope_id` comes back in notices about the mail, from servers that offer it (DSN, RFC 3461). The domains of both addresses
    are ASCII already (see `ascii_domain`), so only a local part can need SMTPUTF8.
    """
    needs_utf8 = not (sender.isascii() and recipient.isascii())
    if needs_utf8 and "smtputf8" not in session.extensions:
        whose = "recipient" if sender.isascii() else "sender"
        reason = f"the part before the @ of the {whose}'s address is not ASCII, and the mail server does not support that (SMTPUTF8, RFC 6531)"
        return SendResult(Permanent("smtputf8", reason), ConnectionState.READY)
    body = with_line_ends(body)
    mail = b"MAIL FROM:<%b>" % sender.encode()
    if "size" in session.extensions:  # without stuffed dots; lets the server refuse before it reads (RFC 1870)
        mail += b" SIZE=%d" % len(body)
    if "8bitmime" in session.extensions and not body.isascii():  # RFC 6152
        mail += b" BODY=8BITMIME"
    if needs_utf8:
        mail += b" SMTPUTF8"
    to = b"RCPT TO:<%b>" % recipient.encode()
    if "dsn" in session.extensions:
        # Only the headers of the mail come back: its text may be confidential, and it is long.
        mail += b" RET=HDRS ENVID=%b" % envelope_id.encode()
        to += b" NOTIFY=FAILURE,DELAY"
    commands = {Stage.MAIL: mail + b"\r\n", Stage.RCPT: to + b"\r\n", Stage.DATA: b"DATA\r\n"}
    try:
        with cancelled_is_unsent():
            refusal = await _send_commands(session, commands, timeout_s)
            if refusal is None:
                refusal = await _write_body(session, stuff_dots(body), timeout_s)
        if refusal is not None:
            return refusal
    except OSError as cause:
        code = "timeout" if isinstance(cause, TimeoutError) else "disconnect"
        return SendResult(Temporary(code, evidence(str(cause))), ConnectionState.LOST)
    return await _final_reply(session, timeout_s)


def with_line_ends(body: bytes) -> bytes:
    """Return the body unchanged, with CRLF appended if it does not end with it.

    Only a body with a bare CR or LF, which compose never creates, is repaired: such line ends are forbidden (RFC 5321 section
    2.3.8), and some servers take one for the end of the mail and the rest for another, forged mail ("SMTP smuggling").
    """
    if not body.count(b"\r\n") == body.count(b"\n") == body.count(b"\r"):
        body = _ANY_LINE_END.sub(b"\r\n", body)
    return body if body.endswith(b"\r\n") else body + b"\r\n"


def stuff_dots(body: bytes) -> bytes:
    """Double each dot at the start of a line; the server removes it again (RFC 5321 section 4.5.2)."""
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


async def _send_commands(session: SmtpSession, commands: dict[Stage, bytes], timeout_s: float) -> SendResult | None:
    """Send the commands; return the first refusal, or None if the server accepted them all.

    With PIPELINING they are sent in one write, of which DATA is the last (RFC 2920 section 3.1).
    """
    at_once = "pipelining" in session.extensions
    if at_once:
        session.write(b"".join(commands.values()))
    for number, (stage, command) in enumerate(commands.items(), start=1):
        if not at_once:
            session.write(command)
        reply = await session.reply(timeout_s)
        if reply.code // 100 != (_CONTINUE if number == len(commands) else _SUCCESS):
            refused = _refusal(stage, reply)
            pending = len(commands) - number if at_once and refused.connection is ConnectionState.NEEDS_RESET else 0
            try:
                answers = [await session.reply(timeout_s) for _ in range(pending)]
            except OSError:
                return replace(refused, connection=ConnectionState.UNUSABLE)
            # A server that accepted DATA now waits for a mail that must not be sent, so the connection is of no further use.
            waits_for_data = any(answer.code // 100 == _CONTINUE for answer in answers)
            return replace(refused, connection=ConnectionState.UNUSABLE) if waits_for_data else refused
    return None


async def _write_body(session: SmtpSession, body: bytes, timeout_s: float) -> SendResult | None:
    """Write a long body first and its final dot after it, so that a connection lost within the body is known to have sent nothing.

    A body that fits into one write has no such moment and goes out together with its dot. A reply that comes before the dot
    cannot accept the mail: a refusal is taken as one, and a success reply to half a mail is not trusted.
    """
    if len(body) > _ONE_WRITE:
        await session.write_body(body, timeout_s)
        body = b""
    if session.is_usable:
        session.write(body + b".\r\n")
        return None
    refused = _refusal(Stage.DOT, await session.reply(timeout_s))
    if refused.connection is ConnectionState.LOST:
        return refused
    return replace(refused, connection=ConnectionState.UNUSABLE)


async def _final_reply(session: SmtpSession, timeout_s: float) -> SendResult:
    """Wait for the reply to the final dot. A reply with a code decides; without one the outcome is Unknown."""
    try:
        reply = await session.reply(timeout_s)
    except TimeoutError:
        outcome = Unknown("timeout", f"no reply to the final dot within {timeout_s:g} s")
        return SendResult(outcome, ConnectionState.UNUSABLE)
    except OSError as cause:
        outcome = Unknown("disconnect", evidence(f"no reply to the final dot: {cause}"))
        return SendResult(outcome, ConnectionState.UNUSABLE)
    match reply.code // 100:
        case 2:
            return SendResult(Sent(str(reply.code), evidence(reply.text)), ConnectionState.READY)
        case 4 | 5:
            refused = _refusal(Stage.DOT, reply)
            is_lost = refused.connection is ConnectionState.LOST
            return replace(refused, connection=ConnectionState.UNUSABLE) if is_lost else refused
        case _:
            return SendResult(Unknown(str(reply.code), evidence(reply.text)), ConnectionState.UNUSABLE)


def _refusal(stage: Stage, reply: SmtpReply) -> SendResult:
    """4xx and 5xx are read by `smtp_refusals`; 421 also closes the connection (RFC 5321 section 3.8)."""
    if reply.code // 100 not in (4, 5):  # client and server are out of step: neither knows what comes next
        return SendResult(Temporary(str(reply.code), evidence(reply.text)), ConnectionState.UNUSABLE)
    refusal = read_refusal(stage, reply.code, evidence(reply.text))
    outcome = outcome_of(refusal, reply.code, reply.text)
    state = ConnectionState.LOST if reply.code == _CLOSING else ConnectionState.NEEDS_RESET
    is_sender_refused = refusal == Refusal(RefusalKind.SETTINGS, "sender")
    return SendResult(outcome, state, is_sender_refused, concerns_all_mail(refusal, stage))
