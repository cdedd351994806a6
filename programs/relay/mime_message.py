"""Read a MIME message into what MAPI needs: subject, bodies, recipients, inline pictures, attachments, ids and kept headers.

Pure and bounded. The bytes come from outside: whatever they are, the result is a MimeMessage or BadMime.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import errors, message, parser, policy, utils

from programs.relay import mime_text

MAX_BYTES = 40 * 1024 * 1024
MAX_PARTS, MAX_DEPTH, MAX_ATTACHMENTS, MAX_RECIPIENTS = 500, 20, 100, 500
MAX_SUBJECT, MAX_HEADER, MAX_KEPT, MAX_ADDRESS = 500, 998, 24, 254  # of an address: RFC 5321
MAX_TEXT = 10 * 1024 * 1024  # characters of a body

KEPT = ("auto-submitted", "x-auto-response-suppress", "list-unsubscribe", "list-id", "precedence")
KEPT_PREFIX = "x-tocsin-"
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"\\\x00-\x1f\x7f-\x9f@]+@[^\s<>(),;:\"\\\x00-\x1f\x7f-\x9f@]+")
# Newer Pythons read strictly unless asked not to: one address literal (RFC 5321, section 4.1.3) would hide all recipients of its header.
_LENIENT = {"strict": False} if getattr(utils, "supports_strict_parsing", False) else {}
_MESSAGE_ID = re.compile(r"<[^<>\s\x00-\x1f\x7f]{1,900}>")
_MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,60}")
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")


class BadMime(Exception):
    """This message cannot be sent; the text says why. `no_recipient`: it has no recipient."""

    def __init__(self, words: str, *, no_recipient: bool = False) -> None:
        super().__init__(words)
        self.no_recipient = no_recipient


@dataclass(frozen=True)
class MimeRecipient:
    """A recipient. `kind` is "to", "cc" or "bcc"."""

    kind: str
    name: str
    address: str


@dataclass(frozen=True)
class Attachment:
    """A file. `content_id` has no angle brackets; `is_inline` if the HTML shows it."""

    name: str
    mime_type: str
    content: bytes
    content_id: str = ""
    is_inline: bool = False


@dataclass(frozen=True)
class MimeMessage:
    """A message as MAPI needs it. Lines end in a line feed; ids are in angle brackets; `kept` are further headers."""

    subject: str
    text: str
    html: str
    recipients: tuple[MimeRecipient, ...]
    attachments: tuple[Attachment, ...] = ()
    message_id: str = ""
    in_reply_to: str = ""
    references: str = ""
    is_urgent: bool = False
    kept: tuple[tuple[str, str], ...] = ()


def read_mime(content: bytes, recipients: Sequence[str] = ()) -> MimeMessage:
    """Read a message. `recipients` (addresses) replace those of its headers, unless there are none. Raises BadMime."""
    if len(content) > MAX_BYTES:
        raise BadMime(f"larger than {MAX_BYTES} bytes")
    try:
        mail = parser.BytesParser(policy=policy.compat32).parsebytes(content)
        parts = list(_leaves(mail))
    except (RecursionError, errors.MessageError, UnicodeError, ValueError) as error:
        raise BadMime("cannot be read as MIME") from error
    to = _recipients(mail, recipients)
    if not to:
        raise BadMime("no recipient with an address", no_recipient=True)
    text, html = _body(parts, "text/plain"), _body(parts, "text/html")
    page = _text(html)
    kept: list[tuple[str, str]] = []
    for name, value in mail.raw_items():
        wanted = name.lower() in KEPT or name.lower().startswith(KEPT_PREFIX)
        if wanted and len(kept) < MAX_KEPT and _HEADER_NAME.fullmatch(name):
            kept.append((name, mime_text.one_line(mime_text.decoded(mime_text.as_sent(value)), MAX_HEADER)))
    return MimeMessage(
        subject=mime_text.one_line(mime_text.decoded(mime_text.first(mail, "subject")), MAX_SUBJECT),
        text=_text(text),
        html=page,
        recipients=to,
        attachments=tuple(_attachments([one for one in parts if one is not text and one is not html], page)),
        message_id=_id(mail, "message-id"),
        in_reply_to=_id(mail, "in-reply-to"),
        references=" ".join(_MESSAGE_ID.findall(mime_text.first(mail, "references"))[:50])[:4000],
        is_urgent=mime_text.first(mail, "importance").strip().lower() == "high"
        or mime_text.first(mail, "x-priority").strip()[:1] == "1",
        kept=tuple(kept),
    )


def _leaves(mail: message.Message) -> Iterator[message.Message]:
    """Yield the parts that are not multipart, in order. An attached mail is one part: its own parts are not read."""
    waiting = [(mail, 0)]
    seen = 0
    while waiting:
        part, depth = waiting.pop()
        seen += 1
        if seen > MAX_PARTS or depth > MAX_DEPTH:
            raise BadMime("too many parts, or nested too deep")
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            waiting.extend((one, depth + 1) for one in reversed(payload) if isinstance(one, message.Message))
        else:
            yield part


def _body(parts: Sequence[message.Message], kind: str) -> message.Message | None:
    """Return the first part of this kind that is not an attachment."""
    return next(
        (p for p in parts if p.get_content_type() == kind and p.get_content_disposition() != "attachment"), None
    )


def _attachments(parts: Sequence[message.Message], page: str) -> Iterator[Attachment]:
    files = [(part, _content(part)) for part in parts]
    files = [(part, content) for part, content in files if content.strip() or part.get_filename()]
    if len(files) > MAX_ATTACHMENTS:
        raise BadMime(f"more than {MAX_ATTACHMENTS} attachments")
    for number, (part, content) in enumerate(files, start=1):
        content_id = mime_text.one_line(mime_text.first(part, "content-id"), 200).strip("<> ")
        kind = part.get_content_type().lower()
        yield Attachment(
            name=mime_text.file_name(part, number),
            mime_type=kind if _MIME_TYPE.fullmatch(kind) else "application/octet-stream",
            content=content,
            content_id=content_id,
            is_inline=bool(content_id) and f"cid:{content_id}" in page,
        )


def _content(part: message.Message) -> bytes:
    if part.get_content_maintype() == "message":
        inner = part.get_payload()
        mails = inner if isinstance(inner, list) else []
        return b"\r\n".join(one.as_bytes() for one in mails if isinstance(one, message.Message))
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(part: message.Message | None) -> str:
    if part is None:
        return ""
    return mime_text.body(_content(part), part.get_content_charset())[:MAX_TEXT]


def _recipients(mail: message.Message, only: Sequence[str]) -> tuple[MimeRecipient, ...]:
    """Return each address once. `only`, unless empty, are the addresses; the headers then only name them."""
    stated = [
        MimeRecipient(kind, mime_text.one_line(mime_text.decoded(name), 200) or address.strip(), address.strip())
        for kind in ("to", "cc", "bcc")
        for name, address in utils.getaddresses(mime_text.headers(mail, kind)[:MAX_RECIPIENTS], **_LENIENT)
    ]
    if only:
        known = {one.address.lower(): one for one in stated}
        stated = [known.get(one.strip().lower()) or MimeRecipient("to", one.strip(), one.strip()) for one in only]
    once: dict[str, MimeRecipient] = {}
    for one in stated:
        if len(one.address) <= MAX_ADDRESS and _ADDRESS.fullmatch(one.address):
            once.setdefault(one.address.lower(), one)
    if len(once) > MAX_RECIPIENTS:
        raise BadMime(f"more than {MAX_RECIPIENTS} recipients")
    return tuple(once.values())


def _id(mail: message.Message, name: str) -> str:
    found = _MESSAGE_ID.search(mime_text.first(mail, name))
    return found.group() if found else ""
