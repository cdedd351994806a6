"""Builds the bytes of a mail (RFC 5322, RFC 2045). The same input results in the same bytes.

Bodies are 7-bit, so no server on the way has a reason to change them. Text from outside is put into headers only after everything
was removed that could begin another header; email.message refuses the rest.
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
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime
from typing import Any

import idna

from app.compose import phrases
from app.compose.render import RenderedMail
from app.core.mail_address import split_address

_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")  # printable ASCII but < and >; RFC 5322 section 3.6.4 allows more
_ADDRESS = re.compile(
    r"[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+@(?:[^\s<>()\[\],;:@\\\"\x00-\x1f\x7f-\x9f]+|\[[0-9A-Za-z.:]+\])"
)
_UNCUT = ("message-id", "in-reply-to", "references", "list-unsubscribe")
_TEXTS = ("subject", "thread-topic")
_FILETIME_ZERO = datetime(1601, 1, 1, tzinfo=UTC)
_REFERENCES = 20  # RFC 5322 sets no limit, but a header line has one


class _Policy(EmailPolicy):
    """SMTP's policy, except for the headers that the standard library folds wrongly (seen in Python 3.11).

    It encodes an id that is longer than a line as =?utf-8?..., which breaks threads, so headers of ids and addresses are folded
    between them. A subject with non-ASCII words gains or loses spaces, so it is encoded as a whole.
    """

    def fold(self, name: str, value: Any) -> str:  # noqa: ANN401  (as in the standard library)
        """Fold one header into lines."""
        if name.lower() in _UNCUT:
            return f"{name}: " + f"{self.linesep} ".join(str(value).split()) + self.linesep
        if name.lower() in _TEXTS:
            text = str(
                value
            )  # unchanged if it is ASCII, otherwise in encoded words of at most 75 characters (RFC 2047)
            if not text.isascii():
                text = Header(text, "utf-8", header_name=name).encode(linesep=self.linesep)
            return f"{name}: {text}{self.linesep}"
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: Any) -> bytes:  # noqa: ANN401
        """Fold one header into lines, as bytes."""
        return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What Outlook and Exchange group mails by: the same `topic` at the end of each subject, and the same `id` and `began_at`."""

    id: str
    topic: str
    began_at: datetime


_ASCII = _Policy(linesep=SMTP.linesep, max_line_length=SMTP.max_line_length, raise_on_defect=False)
_UTF8 = _ASCII.clone(utf8=True)  # RFC 6532; only for an address that cannot be written otherwise


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
    from_address, to_address = _address(*split_address(phrases.one_line(sender, 500))), _address("", to)
    if from_address is None:
        raise ValueError("the sender is not a mail address")
    users = from_address.username + (to_address.username if to_address else "")
    mail = EmailMessage(policy=_ASCII if users.isascii() else _UTF8)
    mail["Date"] = format_datetime(date)
    mail["From"] = from_address
    mail["To"] = to_address or Group("undisclosed-recipients", ())
    if conversation is not None:
        mail["Thread-Topic"] = _one_safe_line(conversation.topic)
        mail["Thread-Index"] = _thread_index(conversation, date, is_first=in_reply_to is None)
    mail["Subject"] = _one_safe_line(rendered.subject)
    mail["Message-ID"] = _valid_id(message_id)
    if in_reply_to is not None:
        mail["In-Reply-To"] = _valid_id(in_reply_to)
    if references:
        kept = (references[0], *references[1:][-_REFERENCES:])
        mail["References"] = " ".join(_valid_id(reference) for reference in kept)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    for name, value in rendered.headers:
        mail[name] = phrases.one_line(value, 800)
    mail["MIME-Version"] = "1.0"
    mail["Content-Type"] = "multipart/alternative"
    # A random boundary would make different bytes of the same mail after a crash. "=_" cannot occur in either encoding.
    mail.set_boundary("=_" + hashlib.sha256(message_id.encode()).hexdigest()[:32])
    mail.attach(_part(rendered.text, "plain"))
    mail.attach(_part(rendered.html, "html"))
    return mail.as_bytes()


def _one_safe_line(text: str) -> str:
    """Return one line. Text that looks encoded (=?utf-8?q?=0D=0A?=) is split up, or it would be decoded later."""
    return phrases.shorten(phrases.plain(text).replace("\n", " ").strip(), 200).replace("=?", "= ?")


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


def _part(text: str, subtype: str) -> EmailMessage:
    """Encode one part: quoted-printable, or base64 where that is shorter, as for non-Latin scripts."""
    content = phrases.plain(text).encode()
    quoted = binascii.b2a_qp(content, istext=True)
    is_quoted = len(quoted) <= len(content) * 4 // 3
    body = quoted if is_quoted else binascii.b2a_base64(content.replace(b"\n", b"\r\n"), newline=False)
    part = EmailMessage(policy=_ASCII)
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable" if is_quoted else "base64"
    if not is_quoted:
        body = b"\n".join(body[start : start + 76] for start in range(0, len(body), 76)) + b"\n"
    part.set_payload(body.decode("ascii"))
    return part


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
