"""Whether a mail can be parsed in limited time, by a scan that costs the same for each byte. Pure.

The standard library's parser compares each line with the boundary of every multipart around it: 97 KiB at a depth of 300 took 2 s.
"""

import re

HEADERS_MOST = 1_000  # lines of the mail's own headers, with their continuations; real mails have up to 200
HEAD_MOST = 256 * 1024
LINES_MOST = 500_000  # 10 MiB of an attachment have 140 000
PARTS_MOST = 1_000  # lines that separate parts
DEPTH_MOST = 15  # multiparts within each other; a mail that was forwarded three times has 6
BOUNDARY_MOST = 200  # RFC 2046 allows 70
_NESTED_MOST = 100  # declarations of a multipart or of a mail as a part
_HEAD_END = re.compile(rb"\r?\n\r?\n|\r\r")
# What opens or closes a level: a header that declares a boundary, in its line or a continuation, and a line that begins with two dashes.
_STEP = re.compile(rb"^(?:(content-type[ \t]*:)|--([^\r\n]{0,2000}))", re.IGNORECASE | re.MULTILINE)
_DECLARED = re.compile(rb"boundary\*?\d{0,3}\*?[ \t]*=[ \t]*\"?([^\"\r\n;]{0,2000})", re.IGNORECASE)
_TYPE_MOST = 8 * 1024  # bytes of such a header that are looked at


def exceeds_bounds(raw: bytes) -> str | None:
    """Return which bound a mail or a form exceeds, for the administrator; None for one that may be parsed."""
    end = _HEAD_END.search(raw, 0, HEAD_MOST + 4)
    head = raw[: end.start() if end else len(raw)]
    if len(head) > HEAD_MOST:
        return f"its headers are longer than {HEAD_MOST // 1024} KiB"
    if head.count(b"\n") + head.count(b"\r") > 2 * HEADERS_MOST or head.count(b"\n") > HEADERS_MOST:
        return f"it has more than {HEADERS_MOST} lines of headers"
    if raw.count(b"\n") > LINES_MOST or raw.count(b"\r") > LINES_MOST:
        return f"it has more than {LINES_MOST} lines"
    return _exceeds_depth(raw)


def _exceeds_depth(raw: bytes) -> str | None:
    # A boundary that is declared in a text counts as well: only parsing could tell, and no report has that many.
    open_boundaries: list[bytes] = []
    separators = declared = 0
    for step in _STEP.finditer(raw):
        if step[1] is not None:
            value = _header_value(raw, step.end())
            declared += b"multipart" in value or b"message" in value
            if declared > _NESTED_MOST:
                return f"it has more than {_NESTED_MOST} parts with parts"
            if (found := _DECLARED.search(value)) is None:
                continue
            if len(found[1]) > BOUNDARY_MOST:
                return "one of its boundaries is too long"
            open_boundaries.append(found[1].strip())
            if len(open_boundaries) > DEPTH_MOST:
                return f"it has more than {DEPTH_MOST} parts within each other"
            continue
        line = step[2].rstrip()
        boundary = line if line in open_boundaries else line.removesuffix(b"--")
        if boundary not in open_boundaries:
            continue
        separators += 1
        if separators > PARTS_MOST:
            return f"it has more than {PARTS_MOST} parts"
        level = open_boundaries.index(boundary)
        del open_boundaries[level + (boundary == line) :]
    return None


def _header_value(raw: bytes, start: int) -> bytes:
    """Return the value of a header with its continuation lines, in lower case."""
    window = raw[start : start + _TYPE_MOST]
    lines = window.splitlines(keepends=True)
    count = next((n for n, line in enumerate(lines[1:], 1) if line[:1] not in (b" ", b"\t")), len(lines))
    return b"".join(lines[:count])
