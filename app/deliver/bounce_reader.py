"""Reads a notice about one of our mails: it came back, is delayed, arrived, or was answered automatically. Pure.

RFC 3464 (delivery status notifications) is read by the standard library, other forms by flufl.bounce. A mail that says nothing of
all this is never called a bounce. Whatever the bytes are, the functions return and do not raise.
"""

import email
import logging
import re
from collections.abc import Iterator, Mapping
from email.message import Message
from html import unescape

from app.core.mail_address import split_address
from app.deliver.transports.evidence import evidence
from app.domain.mail_bounds import exceeds_bounds
from app.domain.mail_notices import BOUNCE_SENDER, BOUNCE_SUBJECT, REPLY_SUBJECT
from app.domain.returned_mail import DeliveryReport, ReturnKind, is_permanent_failure

_PARTS_MOST, _HEAD_MOST, _TEXT_MOST, _WORDS_MOST = 100, 128 * 1024, 64 * 1024, 600
# It logs each mail that a form stumbles over with a traceback, which a hostile one makes thousands of lines long.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)
# The library's parser raises any of these for mails that break the rules; flufl.bounce lets them through.
_BROKEN = (RecursionError, ValueError, LookupError, TypeError, AttributeError, AssertionError)
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_CODE = re.compile(r"(?<![\d.])[45]\d\d(?=[ #-])")
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_UNSEEN = re.compile(r"<(style|script)\b", re.IGNORECASE)
_UNSEEN_END = re.compile(r"</(?:style|script)\b", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,2000}>")
# Where the copy of the returned mail begins in notices without MIME: from there on, the text is ours and not the server's.
_COPY = re.compile(
    r"^-{2,}.{0,80}(?:copy of|original message|message follows|headers follow)", re.IGNORECASE | re.MULTILINE
)
_OUR_ID = re.compile(r"msg_[0-9a-f]{28}(?![0-9a-f])", re.IGNORECASE)
_ENVELOPE_ID = re.compile(r"^original-envelope-id:[ \t]*(msg_[0-9a-f]{28})(?![0-9a-f])", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID = re.compile(r"^message-id:[ \t]*(?:\r?\n[ \t]+)?<(msg_[0-9a-f]{28})@", re.IGNORECASE | re.MULTILINE)


def read_report(raw: bytes) -> DeliveryReport:
    """Return what the mail says, from its beginning: the returned mail is at the end, and a mail of nothing but parts takes long to read."""
    raw = raw[:_HEAD_MOST]
    if (beyond := exceeds_bounds(raw)) is not None:
        return DeliveryReport(ReturnKind.OTHER, f"the mail cannot be read: {beyond}")
    try:
        mail = email.message_from_bytes(raw)
        return _read_status(mail) or _read_words(mail, raw)
    except _BROKEN as cause:
        return DeliveryReport(ReturnKind.OTHER, f"the mail cannot be read: {type(cause).__name__}")


def looks_like_notice(head: bytes) -> bool:
    """Say whether headers may belong to a notice about a mail: in a mailbox that people use too, nothing else is looked at."""
    if exceeds_bounds(head) is not None:
        return False
    try:
        mail = email.message_from_bytes(head)
        is_report = mail.get_content_type() == "multipart/report"
        return is_report or "x-failed-recipients" in mail or _is_from_mail_system(mail)
    except _BROKEN:
        return False


def find_our_message(raw: bytes) -> tuple[str | None, str | None]:
    """Return the envelope id and the Message-ID's id of our mail that a notice returns; None where there is none.

    The envelope id names the message that was sent; the Message-ID is that of all successors of one.
    """
    text = raw.decode("ascii", "replace")
    try:
        parts = (
            []
            if exceeds_bounds(raw)
            else [_decoded(part) for part in _parts(email.message_from_bytes(raw), into_copies=True)]
        )
    except _BROKEN:
        parts = []
    text = "\n".join([text, *parts])
    envelope_id = _ENVELOPE_ID.search(text)
    # The headers of the notice itself come first and may carry an id of the same form; the copy is at the end.
    message_ids = _MESSAGE_ID.findall(text) or _OUR_ID.findall(text)
    return envelope_id[1].lower() if envelope_id else None, message_ids[-1].lower() if message_ids else None


def _read_status(mail: Message) -> DeliveryReport | None:
    """Return what the mail says in the form of RFC 3464; None if it has no such part."""
    found = [
        _from_fields(fields)
        for part in mail.walk()
        if part.get_content_type() in _STATUS_TYPES
        for fields in _field_groups(part)
    ]
    for kind in (ReturnKind.BOUNCED, ReturnKind.DELAYED, ReturnKind.DELIVERED, ReturnKind.OTHER):
        of_kind = [report for report in found if report is not None and report.kind is kind]
        if of_kind:
            return of_kind[0]
    return None


def _field_groups(part: Message) -> Iterator[Mapping[str, str]]:
    """Yield the groups of fields, which are separated by blank lines; the first is about the whole mail (RFC 3464 section 2.1)."""
    payload = part.get_payload()
    if isinstance(payload, list):
        text = "\n\n".join(str(one) for one in payload)
        if ":" not in text:  # encoded, which RFC 3464 does not allow
            part.set_payload(text.replace("\n", ""))
            text = _decoded(part)
    else:
        text = _decoded(part)
    for group in re.split(r"\n[ \t\r]*\n", text[:_TEXT_MOST]):
        fields = email.message_from_string(group.strip("\r\n"))
        yield {name.lower(): " ".join(str(value).split()) for name, value in fields.items()}


def _from_fields(fields: Mapping[str, str]) -> DeliveryReport | None:
    status = _STATUS.search(fields.get("status", ""))
    action = re.match(r"[a-z]*", fields.get("action", "").lower())
    if status is None and "action" not in fields:
        return None
    diagnostic = fields.get("diagnostic-code", "").partition(";")[2].strip() or fields.get("diagnostic-code", "")
    code = status[1] if status else None
    exact = _STATUS.search(diagnostic)
    if exact is not None and (code is None or (code.endswith(".0.0") and code[0] == exact[1][0])):
        code = exact[1]
    match action[0] if action else "":
        case "failed" | "failure" | "error":
            kind = ReturnKind.BOUNCED
        case "delayed":
            kind = ReturnKind.DELAYED
        case "delivered":
            kind = ReturnKind.DELIVERED
        case "relayed" | "expanded":
            kind = ReturnKind.OTHER
        case _:
            by_class = {"5": ReturnKind.BOUNCED, "4": ReturnKind.DELAYED, "2": ReturnKind.DELIVERED}
            kind = by_class.get((code or "")[:1], ReturnKind.OTHER)
    recipient = _address(fields.get("original-recipient", "")) or _address(fields.get("final-recipient", ""))
    words = _shorten(diagnostic or f"{fields.get('action', '')} {fields.get('status', '')}")
    is_permanent = kind is ReturnKind.BOUNCED and is_permanent_failure(code, words)
    return DeliveryReport(kind, words, recipient, code, is_permanent)


def _address(field: str) -> str | None:
    """Return the address of a field such as `rfc822; ann@example.org`; Exchange 2003 writes no type, others angle brackets."""
    address = field.rpartition(";")[2].strip().strip("<>")
    return evidence(address)[:320] if "@" in address else None


def _read_words(mail: Message, raw: bytes) -> DeliveryReport:
    """Return what a mail without the fields of RFC 3464 says."""
    text = _visible_text(mail)
    # The lines from the first that has a code of SMTP on; else the beginning of the text.
    coded = _STATUS.search(text) or _REPLY_CODE.search(text)
    first_words = _shorten(text[text.rfind("\n", 0, coded.start()) + 1 :] if coded else text)
    if _is_surely_reply(mail):
        return DeliveryReport(ReturnKind.AUTO_REPLY, _shorten(f"{_header(mail, 'subject')}\n{text}"))
    # The head only: its patterns take long on long texts, and the notice is before the copy.
    delayed, failed = _known_forms(raw[:_TEXT_MOST])
    found = sorted(failed) or sorted(delayed)
    if found or (_is_from_mail_system(mail) and BOUNCE_SUBJECT.search(_header(mail, "subject"))):
        recipient = evidence(found[0])[:320] if found else None
        words = _paragraph_of(text, recipient) or first_words
        status = _STATUS.search(words)
        is_delay = (bool(found) and not failed) or _header(mail, "subject").lower().startswith("warning:")
        if is_delay or (status is not None and status[1].startswith("4") and not failed):
            return DeliveryReport(ReturnKind.DELAYED, words, recipient, status[1] if status else None)
        code = status[1] if status else None
        return DeliveryReport(ReturnKind.BOUNCED, words, recipient, code, is_permanent_failure(code, words))
    is_reply = _header(mail, "auto-submitted").lower().startswith("auto-replied") or bool(_header(mail, "in-reply-to"))
    kind = ReturnKind.AUTO_REPLY if is_reply else ReturnKind.OTHER
    return DeliveryReport(kind, _shorten(f"{_header(mail, 'subject')}\n{text}"))


def _known_forms(head: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return the recipients that the library finds to be delayed, and to have failed; none if one of its forms stumbles over the mail."""
    from flufl.bounce import all_failures  # noqa: PLC0415  (it takes 1 MiB, and most services read no bounces)

    try:
        delayed, failed = all_failures(email.message_from_bytes(head))
    except _BROKEN:
        return frozenset(), frozenset()
    return delayed, failed


def _is_surely_reply(mail: Message) -> bool:
    """Say whether the mail is an automatic reply (RFC 3834) or a read receipt (RFC 8098), whatever its text quotes."""
    return (
        mail.get_content_type() == "message/disposition-notification"
        or str(mail.get_param("report-type") or "").lower() == "disposition-notification"
        or "x-autoreply" in mail
        or "x-autorespond" in mail
        or _header(mail, "precedence").lower() == "auto_reply"
        or REPLY_SUBJECT.match(_header(mail, "subject")) is not None
    )


def _is_from_mail_system(mail: Message) -> bool:
    sender = split_address(_header(mail, "from"))[1]
    return BOUNCE_SENDER.match(sender) is not None or _header(mail, "return-path") == "<>"


def _header(mail: Message, name: str) -> str:
    return evidence(" ".join(str(mail.get(name, "")).split()))


def _parts(mail: Message, *, into_copies: bool) -> Iterator[Message]:
    """Yield the parts of the mail that have a text, in their order; those of returned mails only if `into_copies`."""
    waiting = [mail]
    for _ in range(_PARTS_MOST):
        if not waiting:
            return
        part = waiting.pop(0)
        is_copy = part.get_content_maintype() == "message" or part.get_content_type() == "text/rfc822-headers"
        if is_copy and not into_copies:
            continue
        payload = part.get_payload()
        if isinstance(payload, list):
            waiting[:0] = [one for one in payload if isinstance(one, Message)]
        else:
            yield part


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        return payload[:_TEXT_MOST].decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return payload[:_TEXT_MOST].decode("utf-8", "replace")


def _visible_text(mail: Message) -> str:
    """Return the words of the mail without the copy of what came back."""
    texts = []
    for part in _parts(mail, into_copies=False):
        if part.get_content_type() == "text/html":
            texts.append(unescape(_TAG.sub(" ", _without_unseen(_decoded(part)))))
        elif part.get_content_maintype() == "text":
            texts.insert(0, _decoded(part))
    text = "\n".join(texts)[:_TEXT_MOST].replace("\r\n", "\n")
    copy = _COPY.search(text)
    return text[: copy.start()] if copy else text


def _without_unseen(html: str) -> str:
    """Return HTML without style sheets and scripts. In two steps: one pattern would try each beginning with each end, for seconds."""
    kept, start = [], 0
    while (begin := _UNSEEN.search(html, start)) is not None:
        kept.append(html[start : begin.start()])
        end = _UNSEEN_END.search(html, begin.end())
        start = len(html) if end is None else end.start()
    return "".join([*kept, html[start:]])


def _paragraph_of(text: str, recipient: str | None) -> str | None:
    """Return the paragraph that names the recipient and the reason; else the first that names it, with the next one."""
    paragraphs = [one for one in re.split(r"\n[ \t]*\n", text) if one.strip()]
    naming = [
        place for place, one in enumerate(paragraphs) if recipient is not None and recipient.lower() in one.lower()
    ]
    for place in naming:
        if _STATUS.search(paragraphs[place]) or _REPLY_CODE.search(paragraphs[place]):
            return _shorten(paragraphs[place])
    return _shorten("\n".join(paragraphs[naming[0] : naming[0] + 2])) if naming else None


def _shorten(text: str) -> str:
    return evidence(" ".join(text.split()))[:_WORDS_MOST]
