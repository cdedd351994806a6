"""The child: takes one order from stdin, carries it out, and prints phases and one verdict. The only process that loads MAPI.

It never shows anything and never decides what comes next: it says what happened, and ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from programs.relay.conversation import MAX_ORDER, BadLine, Order, Talk
from programs.relay.mailbox import Mailbox
from programs.relay.mime_message import MAX_BYTES, BadMime, MimeMessage, read_mime
from programs.relay.outcomes import EXAMINED, Declined, MapiRefused, Outcome, Verdict, of_refusal
from programs.relay.sending import reconcile, send
from programs.relay.windows_calls import library

_NO_ERROR_BOXES = 0x1 | 0x2 | 0x8000  # SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX


def main(mailbox_for: Callable[[Order], Mailbox] | None = None) -> int:
    """Carry out the order on stdin; 0 whenever a verdict was said. `mailbox_for` opens another mailbox than MAPI's."""
    talk = _talk()
    try:
        order = Order.from_line(sys.stdin.buffer.readline(MAX_ORDER + 1))
    except BadLine as error:
        talk.verdict(Verdict(Outcome.TRANSIENT, str(error)))
        return 2
    mailbox = None
    try:
        message = _message(order) if order.mode == "send" else None
        mailbox = (mailbox_for or _mailbox)(order)
        verdict = _carry_out(order, message, mailbox, talk)
    except Declined as declined:
        verdict = declined.verdict
    except MapiRefused as refused:
        verdict = of_refusal(refused)
    except Exception as error:  # noqa: BLE001  (the rim of the child: whatever it was, the parent hears of it)
        verdict = _surprised(error, in_doubt=talk.submit_begun)
    talk.verdict(verdict)
    if mailbox is not None:
        mailbox.close()  # after the last word: a client that hangs while it logs off changes no verdict
    return 0


def _carry_out(order: Order, message: MimeMessage | None, mailbox: Mailbox, talk: Talk) -> Verdict:
    if message is not None:
        return send(mailbox, message, order, talk)
    if order.mode == "reconcile":
        return reconcile(mailbox, order, talk)
    mailbox.findings(talk.found)
    return Verdict(EXAMINED, "the profile was examined")


def _message(order: Order) -> MimeMessage:
    try:
        return read_mime(order.mime or _read(Path(order.mime_path)), order.recipients)
    except BadMime as error:
        outcome = Outcome.BAD_RECIPIENT if error.no_recipient else Outcome.BAD_MESSAGE
        raise Declined(Verdict(outcome, f"the message {error}", {})) from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _mailbox(order: Order) -> Mailbox:
    """Open the door to MAPI that the chosen client has."""
    if order.client.get("kind") == "simple":
        from programs.relay.simple_mapi import SimpleMailbox  # noqa: PLC0415  (only the child that needs it loads it)

        return SimpleMailbox(order)
    else:  # noqa: RET505  (one door or the other)
        from programs.relay.extended_mapi import ExtendedMailbox  # noqa: PLC0415  (as above; it needs pywin32)

        return ExtendedMailbox(order)


def _surprised(error: Exception, *, in_doubt: bool) -> Verdict:
    kind = type(error).__name__
    reason = f"the child failed: {kind}: {str(error)[:300]}"
    outcome = Outcome.INCOMPATIBLE_CLIENT if isinstance(error, ImportError) else Outcome.TRANSIENT
    if in_doubt:
        return Verdict(Outcome.UNKNOWN, reason, {"error": kind, "looked": False}, cause=outcome)
    return Verdict(outcome, reason, {"error": kind})


def _talk() -> Talk:
    """Keep stdout for our lines alone: whatever a mail client prints goes to stderr."""
    words = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "win32":
        library("kernel32").SetErrorMode(_NO_ERROR_BOXES)
    return Talk(sys.stdin.buffer, words)


if __name__ == "__main__":
    sys.exit(main())
