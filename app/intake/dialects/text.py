"""Bytes to text, for tools that name no character set or a wrong one. It never fails and never drops a byte unseen."""

import codecs
import re
from email.errors import HeaderParseError
from email.header import decode_header

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with theirs
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._-]{1,40})", re.IGNORECASE)
# Only those that cannot do harm: Python's "codecs" also unpack and run things.
_SINGLE_BYTE = re.compile(
    r"(iso-?8859-?\d{1,2}|latin-?1|cp-?\d{3,4}|windows-?\d{4}|koi8-[ru]|mac-?roman)", re.IGNORECASE
)
_WIDE = re.compile(r"(utf-?16(le|be)?|shift[_-]?jis|euc-?(jp|kr)|gb(k|2312|18030)|big5)", re.IGNORECASE)


def text_of(data: bytes, content_type: str = "") -> str:
    """Give the text: by its byte order mark, else as UTF-8, else by the declared set, else by Windows's western one.

    UTF-8 is tried before what is declared, for tools declare what they like and UTF-8 is not met by chance.
    """
    declared = _declared(content_type)
    if wide := _wide(data, declared):
        return data.decode(wide, "replace").removeprefix("\ufeff")
    other = declared if declared and (_SINGLE_BYTE.fullmatch(declared) or _WIDE.fullmatch(declared)) else None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        is_cut = wrong.reason == "unexpected end of data"  # within its last character, as logs with a byte limit are
        if is_cut and (other is None or not data[: wrong.start].isascii()):
            return data.decode("utf-8", "replace")
    if other:
        return data.decode(other, "replace")
    mostly = data.decode("utf-8", "replace")
    # A few odd bytes in UTF-8 are a file's name in an old encoding; many are a text in another.
    return mostly if mostly.count("\ufffd") * 50 < len(mostly) else data.decode("cp1252", "replace")


def header_text(value: str) -> str:
    """Give a header's value as its sender meant it: HTTP has it as Latin-1, and senders put what they have."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def header_words(value: str) -> str:
    """Give a header's value with its packed words unpacked (RFC 2047, `=?utf-8?Q?...?=`)."""
    try:
        parts = decode_header(value)
    except (ValueError, HeaderParseError):  # broken base64
        return value
    return "".join(
        part if isinstance(part, str) else text_of(part, f"charset={charset or ''}") for part, charset in parts
    )


def _wide(data: bytes, declared: str | None) -> str | None:
    """Name the encoding of what cannot be UTF-8: its mark says so, or its zeros do."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    if declared and _WIDE.fullmatch(declared) and b"\0" in data:
        return declared
    if _is_bare_utf16(data):
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    return None


def _declared(content_type: str) -> str | None:
    found = _CHARSET.search(content_type)
    if found is None:
        return None
    try:
        return codecs.lookup(found[1]).name
    except LookupError:
        return None


def _is_bare_utf16(data: bytes) -> bool:
    """Say whether every other byte of the beginning is zero: UTF-16 of a western text without a mark, as PowerShell sends it."""
    head = data[:200]
    if len(head) < 4:  # noqa: PLR2004  (two characters)
        return False
    even, odd = head[::2], head[1::2]
    return (even.count(0) == 0 and odd.count(0) * 10 >= len(odd) * 9) or (
        odd.count(0) == 0 and even.count(0) * 10 >= len(even) * 9
    )
