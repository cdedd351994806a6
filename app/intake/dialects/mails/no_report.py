"""Recognize mails that report nothing: automatic replies, bounces, read receipts, and mails of mailing lists that state no outcome.

RFC 3834 (`Auto-Submitted`), RFC 3464 (delivery status), RFC 8098 (read receipts), RFC 2919 and 2369 (lists). A machine's report must
never be among them: cron, Debian's mdadm, Alertmanager and GitLab send theirs as `auto-generated`, Bugzilla and others as `Precedence:
bulk`, Exchange's own reports with `X-Auto-Response-Suppress`; none of these counts by itself.
"""

from app.domain.mail_notices import BOUNCE_SENDER, BOUNCE_SUBJECT, REPLY_SUBJECT
from app.intake.dialects.mails.received import ReceivedMail
from app.intake.language.reader import Meaning, read_words

_TROUBLE = frozenset({Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED})


def why_no_report(mail: ReceivedMail) -> str | None:
    """Return why a mail reports nothing, in words for an administrator; None if it may report something.

    If it is uncertain, the mail may report something: a mail of a list that names an outcome is a report sent through the list.
    """
    return _receipt_or_bounce(mail) or _automatic_reply(mail) or _list_talk(mail)


def _receipt_or_bounce(mail: ReceivedMail) -> str | None:
    if mail.report_type == "disposition-notification":
        return "a read receipt"
    if mail.report_type == "delivery-status":
        return "a notice that a mail was not, or not yet, delivered"
    is_bounce = "x-failed-recipients" in mail.headers or (
        BOUNCE_SENDER.match(mail.sender) is not None and BOUNCE_SUBJECT.match(mail.subject) is not None
    )
    return "a notice that a mail was not, or not yet, delivered" if is_bounce else None


def _automatic_reply(mail: ReceivedMail) -> str | None:
    headers = mail.headers
    submitted = headers.get("auto-submitted", "").partition(";")[0].strip().lower()
    is_marked = (
        submitted == "auto-replied"
        or headers.get("precedence", "").strip().lower() == "auto_reply"
        or "x-autoreply" in headers
        or "x-autorespond" in headers
    )
    is_worded = REPLY_SUBJECT.match(mail.subject) is not None and (
        submitted not in ("", "no") or "x-auto-response-suppress" in headers or "in-reply-to" in headers
    )
    if not is_marked and not is_worded:
        return None
    # RFC 3834 wants replies to name the mail that they answer. A report that is marked wrongly answers none.
    answers = "in-reply-to" in headers or "references" in headers
    if not answers and not is_worded and _meanings(mail) & _TROUBLE:
        return None
    return "an automatic reply"


def _list_talk(mail: ReceivedMail) -> str | None:
    headers = mail.headers
    is_list = "list-id" in headers or "list-post" in headers or headers.get("precedence", "").strip().lower() == "list"
    if not is_list or _meanings(mail) != {Meaning.UNCLEAR}:
        return None
    return "mail of a mailing list that names no outcome"


def _meanings(mail: ReceivedMail) -> set[Meaning]:
    """Return what subject and body say together, and what each says alone: a subject about something else must not hide a failure."""
    texts = (mail.subject, mail.text), ("", mail.text), (mail.subject, "")
    return {read_words(subject, text, names=mail.names).meaning for subject, text in texts}
