"""Read a mail of the service into what MAPI needs: subject, text, HTML, ids and kept headers. The result is bounded and harmless.

The service composes a text and its HTML and nothing else. A mail with any other part is refused: sending it without that part would be
a silent loss. Pure; whatever the bytes are, the result is a MimeMessage or BadMime.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import errors, header, message, parser, policy

MAX_BYTES, MAX_TEXT = 40 * 1024 * 1024, 10 * 1024 * 1024  # of a message; characters of a body
_MOST_PARTS = 50
_SUBJECT_MOST, _HEADER_MOST, _KEPT_MOST, _ADDRESS_MOST = 500, 998, 24, 254  # of an address: RFC 5321

_KEPT = re.compile(r"(?i)auto-submitted|x-auto-response-suppress|list-[a-z-]{1,40}|precedence|x-tocsin[a-z0-9-]{0,50}")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"\\\x00-\x1f\x7f-\x9f@]+@[^\s<>(),;:\"\\\x00-\x1f\x7f-\x9f@]+")
_MESSAGE_ID = re.compile(r"<[^<>\s\x00-\x1f\x7f]{1,900}>")
# Never passed to a mail client: control characters, lone surrogates, line and paragraph separators.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


class BadMime(Exception):
    """This message cannot be sent; the text says why. `no_recipient`: its recipient is no mail address."""

    def __init__(self, words: str, *, no_recipient: bool = False) -> None:
        super().__init__(words)
        self.no_recipient = no_recipient


@dataclass(frozen=True)
class MimeMessage:
    """A message as MAPI needs it. Lines end in a line feed; ids are in angle brackets; `kept` are further headers."""

    recipient: str
    subject: str
    text: str
    html: str
    message_id: str = ""
    in_reply_to: str = ""
    references: str = ""
    kept: tuple[tuple[str, str], ...] = ()


def read_mime(content: bytes, recipient: str) -> MimeMessage:
    """Read a message for `recipient`, the address that the service leased it for. Raises BadMime."""
    if len(recipient) > _ADDRESS_MOST or not _ADDRESS.fullmatch(recipient):
        raise BadMime("has no recipient with a mail address", no_recipient=True)
    if len(content) > MAX_BYTES:
        raise BadMime(f"is larger than {MAX_BYTES} bytes")
    try:
        mail = parser.BytesParser(policy=policy.compat32).parsebytes(content)
        bodies = _bodies(mail)
    except (RecursionError, errors.MessageError, UnicodeError, ValueError) as error:
        raise BadMime("cannot be read as MIME") from error
    # The parser keeps bytes beyond ASCII as surrogates, and they are UTF-8 (RFC 6532).
    fields = [
        (name, str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        for name, value in mail.raw_items()
    ]
    first = {name.lower(): value for name, value in reversed(fields)}
    kept = [(name, one_line(_decoded(value), _HEADER_MOST)) for name, value in fields if _KEPT.fullmatch(name)]
    return MimeMessage(
        recipient=recipient,
        subject=one_line(_decoded(first.get("subject", "")), _SUBJECT_MOST),
        text=bodies.get("text/plain", ""),
        html=bodies.get("text/html", ""),
        message_id=" ".join(_ids(first.get("message-id", ""))[:1]),
        in_reply_to=" ".join(_ids(first.get("in-reply-to", ""))[:1]),
        references=" ".join(_ids(first.get("references", ""))[:50])[:4000],
        kept=tuple(kept[:_KEPT_MOST]),
    )


def one_line(text: str, limit: int) -> str:
    """Return text as one line without control characters: nothing in it can begin another header."""
    return re.sub(r"\s+", " ", _CONTROL.sub(" ", text[: limit * 4])).strip()[:limit].strip()


def _bodies(mail: message.Message) -> dict[str, str]:
    """Return the text and the HTML by their types. Raises BadMime for any other part."""
    bodies: dict[str, str] = {}
    for number, part in enumerate(mail.walk()):
        kind = part.get_content_type()
        if number >= _MOST_PARTS:
            raise BadMime(f"has more than {_MOST_PARTS} parts")
        if kind.startswith("multipart/"):
            continue
        if kind not in ("text/plain", "text/html") or kind in bodies or part.get_content_disposition() == "attachment":
            raise BadMime(f"has a part that the relay does not send: {one_line(kind, 100)}")
        content = part.get_payload(decode=True)
        bodies[kind] = _body(content if isinstance(content, bytes) else b"", part.get_content_charset())
    return bodies


def _body(content: bytes, charset: str | None) -> str:
    r"""Decode a body by its charset, or as UTF-8 if there is no such charset. Line ends become \n; control characters are removed."""
    try:
        text = content.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        text = content.decode("utf-8", "replace")
    lines = text[:MAX_TEXT].replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(lambda found: found.group() if found.group() in "\n\t" else "", lines)


def _decoded(value: str) -> str:
    """Decode encoded words (RFC 2047). What cannot be decoded stays as it is."""
    try:
        return "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "utf-8", "replace")
            for piece, charset in header.decode_header(value)
        )
    except (errors.HeaderParseError, LookupError, ValueError):
        return value


def _ids(value: str) -> list[str]:
    return _MESSAGE_ID.findall(value)
