"""Decode bytes to text, for tools that declare no character set or a wrong one. It never fails.

No byte is dropped silently but those of terminals: colours and their kin would stand in mails, and hide a word from who reads it.
"""

import codecs
import re
from email.errors import HeaderParseError
from email.header import decode_header

from app.intake.sanitize import strip_escapes

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._-]{1,40})", re.IGNORECASE)
# Only safe character sets: some of Python's codecs decompress their input.
_SINGLE_BYTE = re.compile(
    r"(iso-?8859-?\d{1,2}|latin-?1|cp-?\d{3,4}|windows-?\d{4}|koi8-[ru]|mac-?roman)", re.IGNORECASE
)
_MULTIBYTE = re.compile(
    r"(utf[_-]?16([_-]?[lb]e)?|shift[_-]jis(x0213|[_-]2004)|euc[_-]jp|euc[_-]jis[_-]2004|gb18030|big5hkscs|johab)",
    re.IGNORECASE,
)
# Seven-bit sets that change between their parts by an escape: each byte is ASCII, so they would pass for UTF-8.
_ISO_2022 = re.compile(rb"\x1b\$[@AB(]|\x1b\([IJ]")
_ISO_2022_NAMES = (
    "iso2022_jp",
    "iso2022_kr",
    "iso2022_jp_1",
    "iso2022_jp_2",
    "iso2022_jp_2004",
    "iso2022_jp_3",
    "iso2022_jp_ext",
)
# Names that Python does not know, and sets whose superset senders mean: https://encoding.spec.whatwg.org/#names-and-labels
_OTHER_NAMES = {"windows-31j": "cp932", "x-sjis": "cp932", "x-euc-jp": "euc_jp", "x-gbk": "gb18030", "x-x-big5": "big5"}
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs"}
_ANY_JAPANESE = "iso2022_jp_2"


def decode_text(data: bytes, content_type: str = "") -> str:
    """Decode by the byte order mark, else as UTF-8, else by the declared character set, else as cp1252 (Windows, western).

    UTF-8 comes before the declared set: tools declare wrong ones, and text in another set is hardly ever valid UTF-8.
    """
    return strip_escapes(_decode(data, _declared_charset(content_type)))


def _decode(data: bytes, declared: str | None) -> str:
    if multibyte := _multibyte_charset(data, declared):
        return data.decode(multibyte, "replace").removeprefix("\ufeff")
    other = declared if declared and (_SINGLE_BYTE.fullmatch(declared) or _MULTIBYTE.fullmatch(declared)) else None
    if declared in _ISO_2022_NAMES or (data.isascii() and _ISO_2022.search(data)):
        return data.decode(declared if declared in _ISO_2022_NAMES else _ANY_JAPANESE, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        is_truncated = (
            wrong.reason == "unexpected end of data"
        )  # within its last character, as in logs with a byte limit
        if is_truncated and not data[: wrong.start].isascii():
            return data.decode("utf-8", "replace")
    if other:
        return data.decode(other, "replace")
    return "".join(map(_decode_line, data.splitlines(keepends=True)))


def _decode_line(line: bytes) -> str:
    """Decode a line by itself: a log in UTF-8 may have lines of an old program, and one in Latin-1 has few letters that show it."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        lenient = line.decode("utf-8", "replace")
    # A line that also has valid UTF-8 holds a file name in an old encoding.
    return lenient if any(char > "\x7f" and char != "\ufffd" for char in lenient) else line.decode("cp1252", "replace")


def decode_header_value(value: str) -> str:
    """Return a header's value as its sender meant it: HTTP decodes it as Latin-1, and senders write UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def decode_encoded_words(value: str) -> str:
    """Return a header's value with its encoded words decoded (RFC 2047, `=?utf-8?Q?...?=`)."""
    try:
        parts = decode_header(value)
    except (ValueError, HeaderParseError):  # broken base64
        return value
    return "".join(
        part if isinstance(part, str) else decode_text(part, f"charset={charset or ''}") for part, charset in parts
    )


def _multibyte_charset(data: bytes, declared: str | None) -> str | None:
    """Return the character set of a text that cannot be UTF-8, known by its byte order mark or by its zero bytes."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    if declared and _MULTIBYTE.fullmatch(declared) and b"\0" in data:
        return declared
    if _is_unmarked_utf16(data):
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    return None


def _declared_charset(content_type: str) -> str | None:
    found = _CHARSET.search(content_type)
    if found is None:
        return None
    name = found[1].lower()
    try:
        name = codecs.lookup(_OTHER_NAMES.get(name, name)).name
    except LookupError:
        return None
    return _SUPERSETS.get(name, name)


def _is_unmarked_utf16(data: bytes) -> bool:
    """Return whether every other byte at the beginning is zero: western text in UTF-16 without a mark, as PowerShell sends it."""
    head = data[:200]
    if len(head) < 4:  # noqa: PLR2004  (two characters)
        return False
    even, odd = head[::2], head[1::2]
    return (even.count(0) == 0 and odd.count(0) * 10 >= len(odd) * 9) or (
        odd.count(0) == 0 and even.count(0) * 10 >= len(even) * 9
    )
