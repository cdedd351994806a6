"""Builds the bytes of a mail (RFC 5322, RFC 2045). The same input results in the same bytes.

Bodies are 7-bit, so no server on the way has a reason to change them. Text from outside is put into headers only after everything
was removed that could begin another header. The lines are written here and not by email.message, which parses each header that it is
given: it took ten times as long as the rest of a mail.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.errors import HeaderParseError
from email.header import Header
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache

import idna

from app.compose import phrases
from app.compose.render import RenderedMail
from app.core.mail_address import split_address

_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")  # printable ASCII but < and >; RFC 5322 section 3.6.4 allows more
_ADDRESS = re.compile(
    r"[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+@(?:[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+|\[[0-9A-Za-z.:]+\])"
)
# RFC 3834: no out-of-office replies; and the same for Exchange.
_SAME_IN_ALL = "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n"
_FILETIME_ZERO = datetime(1601, 1, 1, tzinfo=UTC)
_REFERENCES = 20  # RFC 5322 sets no limit, but a header line has one


@dataclass(frozen=True, slots=True)
class Conversation:
    """What Outlook and Exchange group mails by: the same `topic` at the end of each subject, and the same `id` and `began_at`."""

    id: str
    topic: str
    began_at: datetime


_ASCII = SMTP.clone(raise_on_defect=False)
_UTF8 = _ASCII.clone(utf8=True)  # RFC 6532; only for an address that cannot be written otherwise
_LINE = 78  # RFC 5322 section 2.1.1


def build(
    rendered: RenderedMail,
    *,
    sender: str,
    to: str,
    message_id: str,
    date: datetime,
    in_reply_to: str | None,
    references: tuple[str, ...],
    conversation: Conversation | None = None,
) -> bytes:
    """Return the mail with text and HTML as alternatives. Raises ValueError for a sender or Message-ID that no mail can carry.

    `sender` may have a name before its address; `to` is only the address. Ids are in angle brackets. Headers are UTF-8
    (SMTPUTF8) only for a non-ASCII local part; a non-ASCII domain is written in its ASCII form. An invalid recipient address does
    not fail here: the transport refuses it, which is visible as an attempt and moves the message to the next transport.
    """
    lines = [f"Date: {format_datetime(date)}\r\n", _addresses(sender, to)]
    if conversation is not None:
        lines.append(_text_line("Thread-Topic", conversation.topic))
        lines.append(f"Thread-Index: {_thread_index(conversation, date, is_first=in_reply_to is None)}\r\n")
    lines.append(_text_line("Subject", rendered.subject))
    lines.append(f"Message-ID: {_valid_id(message_id)}\r\n")
    if in_reply_to is not None:
        lines.append(f"In-Reply-To: {_valid_id(in_reply_to)}\r\n")
    if references:
        kept = (references[0], *references[1:][-_REFERENCES:])
        lines.append(_line_of_words("References", " ".join(_valid_id(reference) for reference in kept)))
    lines.append(_SAME_IN_ALL)
    lines += [_other_line(name, phrases.one_line(value, 800)) for name, value in rendered.headers]
    # A random boundary would make different bytes of the same mail after a crash. "=_" cannot occur in either encoding.
    boundary = "=_" + hashlib.sha256(message_id.encode()).hexdigest()[:32]
    lines.append(f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n')
    parts = "".join(
        f"\r\n--{boundary}\r\n{_part(text, subtype)}"
        for text, subtype in ((rendered.text, "plain"), (rendered.html, "html"))
    )
    return f"{''.join(lines)}{parts}\r\n--{boundary}--\r\n".encode()


@lru_cache(maxsize=1_000)
def _addresses(sender: str, to: str) -> str:
    """Return the lines of the two addresses, by the standard library, which knows how names are quoted, encoded and folded."""
    from_address, to_address = _address(*split_address(phrases.one_line(sender, 500))), _address("", to)
    if from_address is None:
        raise ValueError("the sender is not a mail address")
    users = from_address.username + (to_address.username if to_address else "")
    mail = EmailMessage(policy=_ASCII if users.isascii() else _UTF8)
    mail["From"] = from_address
    mail["To"] = to_address or Group("undisclosed-recipients", ())
    return mail.as_bytes().decode().removesuffix("\r\n")


def _text_line(name: str, text: str) -> str:
    """Return the line of a text: as it is if it is ASCII, otherwise in encoded words of at most 75 characters (RFC 2047).

    The standard library (Python 3.11) encodes word by word, and a subject with non-ASCII words gains or loses spaces.
    """
    # Text that looks encoded (=?utf-8?q?=0D=0A?=) is split up, or it would be decoded later.
    line = phrases.shorten(phrases.plain(text).replace("\n", " ").strip(), 200).replace("=?", "= ?")
    if not line.isascii():
        line = Header(line, "utf-8", header_name=name).encode(linesep=SMTP.linesep)
    return f"{name}: {line}\r\n"


def _line_of_words(name: str, text: str) -> str:
    """Return the line of ids or links, folded between them: the standard library encodes one that is longer than a line, which breaks threads."""
    return f"{name}: " + "\r\n ".join(text.split()) + "\r\n"


def _other_line(name: str, value: str) -> str:
    if value.isascii() and "=?" not in value:
        if name == "List-Unsubscribe":
            return _line_of_words(name, value)
        if len(name) + 2 + len(value) <= _LINE:
            return f"{name}: {value}\r\n"
    folded: str = _ASCII.fold(*_ASCII.header_store_parse(name, value))
    return folded


def _thread_index(conversation: Conversation, date: datetime, *, is_first: bool) -> str:
    """Return the index of [MS-OXOMSG] section 2.2.1.3: 22 bytes that all mails of a conversation share, then 5 bytes for each later mail.

    The 22 bytes are six of the time of the first one (a FILETIME, in units of 100 ns since 1601) and sixteen that identify it. We put one
    block of 5 bytes after them, the time since then: Outlook sorts by it.
    """
    began = _filetime(conversation.began_at)
    index = began.to_bytes(8, "big")[:6] + hashlib.sha256(conversation.id.encode()).digest()[:16]
    if not is_first:
        passed = max(0, _filetime(date) - began)
        is_long = passed >= 1 << 49  # 1.8 years: then the coarser of the two units
        delta = (passed >> 23) | 1 << 31 if is_long else passed >> 18
        index += delta.to_bytes(4, "big") + b"\0"
    return base64.b64encode(index).decode()


def _filetime(moment: datetime) -> int:
    return (moment - _FILETIME_ZERO) // timedelta(microseconds=1) * 10


def _part(text: str, subtype: str) -> str:
    """Return one part: quoted-printable, or base64 where that is shorter, as for non-Latin scripts."""
    content = phrases.plain(text).encode()
    body, encoding = binascii.b2a_qp(content, istext=True), "quoted-printable"
    if len(body) > len(content) * 4 // 3:
        encoded = binascii.b2a_base64(content.replace(b"\n", b"\r\n"), newline=False)
        body = b"\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76)) + b"\n"
        encoding = "base64"
    headers = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return headers + body.replace(b"\n", b"\r\n").decode("ascii")


def _address(name: str, spec: str) -> Address | None:
    """Return the address for a header, with its domain in ASCII (IDNA 2008, after the mapping of UTS 46). None if it is invalid."""
    if not _ADDRESS.fullmatch(spec):
        return None
    local, _, domain = spec.rpartition("@")
    try:
        return Address(name, local, domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii"))
    except (idna.IDNAError, HeaderParseError, ValueError):
        return None


def _valid_id(message_id: str) -> str:
    """Return the id. Raises ValueError for an id that would break its header."""
    if not _MESSAGE_ID.fullmatch(message_id) or len(message_id) > 900:  # noqa: PLR2004  (a line has at most 998 bytes)
        raise ValueError("is not a Message-ID")
    return message_id
