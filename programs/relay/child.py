"""The child process: reads one order from stdin, carries it out, and prints phases and one verdict. Only it loads MAPI.

It never shows anything and never decides what comes next: it reports what happened, and ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from programs.relay.conversation import MAX_ORDER, BadLine, ChildOrder, ParentLink
from programs.relay.mailbox import Mailbox
from programs.relay.mime_message import BadMime, MimeMessage, read_mime
from programs.relay.outcomes import EXAMINED, Declined, MapiError, RelayOutcome, RelayVerdict, verdict_of_error
from programs.relay.sending import reconcile, send
from programs.relay.windows_calls import library

_NO_ERROR_BOXES = 0x1 | 0x2 | 0x8000  # SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX


def main(open_mailbox: Callable[[ChildOrder], Mailbox] | None = None) -> int:
    """Carry out the order on stdin. Return 0 whenever a verdict was printed. `open_mailbox` replaces MAPI's mailbox by another one."""
    # Keep stdout for our lines alone: what a mail client prints goes to stderr.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "win32":
        library("kernel32").SetErrorMode(_NO_ERROR_BOXES)
    link = ParentLink(sys.stdin.buffer, output)
    try:
        order = ChildOrder.from_line(sys.stdin.buffer.readline(MAX_ORDER + 1))
    except BadLine as error:
        link.send(RelayVerdict(RelayOutcome.TRANSIENT, str(error)))
        return 2
    mailbox = None
    try:
        message = _read_message(order) if order.mode == "send" else None
        if open_mailbox is None:
            from programs.relay.extended_mapi import ExtendedMailbox  # noqa: PLC0415  (it needs pywin32)

            open_mailbox = ExtendedMailbox
        mailbox = open_mailbox(order)
        if message is not None:
            verdict = send(mailbox, message, order, link)
        elif order.mode == "reconcile":
            verdict = reconcile(mailbox, order, link)
        else:
            mailbox.findings(link.send)
            verdict = RelayVerdict(EXAMINED, "the profile was examined")
    except Declined as declined:
        verdict = declined.verdict
    except MapiError as refused:
        verdict = verdict_of_error(refused)
    except Exception as error:  # noqa: BLE001  (the boundary of the child: the parent must learn of any error)
        verdict = _verdict_of_failure(error, link)
    link.send(verdict)
    if mailbox is not None:
        mailbox.close()  # after the verdict: a client that hangs while it logs off must not change it
    return 0


def _verdict_of_failure(error: Exception, link: ParentLink) -> RelayVerdict:
    """Judge an error that nobody expected: once the submission began, the message may have left."""
    kind = type(error).__name__
    reason = f"the child failed: {kind}: {str(error)[:300]}"
    outcome = RelayOutcome.INCOMPATIBLE_CLIENT if isinstance(error, ImportError) else RelayOutcome.TRANSIENT
    if link.submit_begun:
        return RelayVerdict(RelayOutcome.UNKNOWN, reason, {"error": kind, "looked": False}, cause=outcome)
    return RelayVerdict(outcome, reason, {"error": kind})


def _read_message(order: ChildOrder) -> MimeMessage:
    """Read the order's message. Raises Declined."""
    try:
        return read_mime(order.mime, order.recipient)
    except BadMime as error:
        outcome = RelayOutcome.BAD_RECIPIENT if error.no_recipient else RelayOutcome.BAD_MESSAGE
        raise Declined(RelayVerdict(outcome, f"the message {error}", {})) from error


if __name__ == "__main__":
    sys.exit(main())
