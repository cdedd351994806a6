"""Read the texts of a MIME message: headers, encoded words, charsets, file names. The results are bounded and harmless. Pure."""

from __future__ import annotations

import re
from email import errors, header, message

MAX_NAME = 120

# Never passed to a mail client: control characters, lone surrogates, line and paragraph separators.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_RESERVED_NAME = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
_ENDINGS = {"message/rfc822": ".eml", "text/plain": ".txt", "text/html": ".html"}


def headers(mail: message.Message, name: str) -> list[str]:
    """Return a header's values unchanged; bytes beyond ASCII are read as UTF-8 (RFC 6532)."""
    return [as_sent(value) for name_in_header, value in mail.raw_items() if name_in_header.lower() == name]


def as_sent(value: object) -> str:
    """Return a raw header's text without the surrogates in which the parser keeps odd bytes."""
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def first(mail: message.Message, name: str) -> str:
    """Return a header's first value, or an empty text."""
    return next(iter(headers(mail, name)), "")


def decoded(value: str) -> str:
    """Decode encoded words (RFC 2047). What cannot be decoded stays as it is."""
    try:
        return "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "utf-8", "replace")
            for piece, charset in header.decode_header(value)
        )
    except (errors.HeaderParseError, LookupError, ValueError):
        return value


def one_line(text: str, limit: int) -> str:
    """Return text as one line without control characters: nothing in it can begin another header."""
    return re.sub(r"\s+", " ", _CONTROL.sub(" ", text[: limit * 4])).strip()[:limit].strip()


def body(content: bytes, charset: str | None) -> str:
    r"""Decode a body by its charset, or as UTF-8 if there is no such charset. Line ends become \n; control characters are removed."""
    try:
        text = content.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        text = content.decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(lambda found: found.group() if found.group() in "\n\t" else "", lines)


def file_name(part: message.Message, number: int) -> str:
    """Return a name that is not a path, not reserved by Windows, and at most MAX_NAME long."""
    try:
        name_in_header = decoded(as_sent(part.get_filename() or ""))
    except (LookupError, ValueError, TypeError):
        name_in_header = ""
    name = one_line(name_in_header, 1000).replace("\\", "/").rsplit("/", 1)[-1]
    name = re.sub(r'[<>:"|?*]', "_", name).strip(" .")
    if len(name) > MAX_NAME:
        stem, _, ending = name.rpartition(".")
        name = f"{stem[: MAX_NAME - 12]}.{ending[:11]}" if stem else name[:MAX_NAME]
        name = name.strip(" .")
    if not name:
        name = f"attachment-{number}{_ENDINGS.get(part.get_content_type(), '')}"
    return f"_{name}" if _RESERVED_NAME.fullmatch(name) else name
