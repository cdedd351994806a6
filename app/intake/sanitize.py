"""Shorten texts that are too long, take out what is for terminals, and replace characters that no database stores.

A character is never split.
"""

import re
from typing import Any, TypeVar, cast

from app.core.unseen import show_unseen

T = TypeVar("T")

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MAX_DEPTH = 50
# Escape sequences of terminals (ECMA-48): colours, movements, titles of windows, character sets; and a CSI of one character.
_ESCAPES = re.compile(
    "\x1b(?:\\[[0-?]{0,64}[ -/]{0,8}[@-~]|\\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\\\)?|[ -/]{1,3}[0-~]|[0-~])?"
    "|\x9b[0-?]{0,64}[ -/]{0,8}[@-~]"
)


def truncate_text(text: str, max_bytes: int) -> str:
    """Return the beginning of a text, at most `max_bytes` bytes of UTF-8."""
    if len(text) * 4 <= max_bytes:
        return text
    return text.encode()[:max_bytes].decode(errors="ignore")


def truncate_middle(text: str, max_bytes: int) -> str:
    """Return head and tail of a log of more than `max_bytes` bytes, with a line between them that states how much is missing.

    The tail gets two thirds, because programs report errors at the end.
    """
    if len(text) * 4 <= max_bytes:
        return text
    whole = text.encode()
    if len(whole) <= max_bytes:
        return text
    room = max_bytes - len(_omission_line(len(whole)).encode())
    head = whole[: room // 3].decode(errors="ignore")
    tail = whole[len(whole) - (room - room // 3) :].decode(errors="ignore")
    return head + _omission_line(len(whole) - len(head.encode()) - len(tail.encode())) + tail


def strip_escapes(text: str) -> str:
    """Return a text without the escape sequences of terminals. Removing only the escape would leave `[31m`, and `mFAILED` is no word."""
    return _ESCAPES.sub("", text) if "\x1b" in text or "\x9b" in text else text


def _omission_line(omitted: int) -> str:
    return f"\n[... {omitted} bytes left out ...]\n"


def show_all_unseen(value: T) -> T:
    """Return a JSON value with each of its texts as `show_unseen` returns it. A value nested too deeply raises RecursionError."""
    shown: Any = value
    if isinstance(value, str):
        shown = show_unseen(value)
    elif isinstance(value, dict):
        shown = {show_unseen(str(name)): show_all_unseen(item) for name, item in value.items()}
    elif isinstance(value, list):
        shown = [show_all_unseen(item) for item in value]
    return cast("T", shown)


def replace_unstorable(value: Any, depth: int = 0) -> tuple[Any, bool]:  # noqa: ANN401
    """Return a JSON value with each NUL and lone surrogate replaced by U+FFFD, and whether anything was replaced.

    PostgreSQL refuses NUL, and UTF-8 cannot encode lone surrogates. Values nested deeper than 50 levels become None, which
    counts as a replacement.
    """
    if isinstance(value, str):
        cleaned, count = _UNSTORABLE.subn("\ufffd", value)
        return cleaned, count > 0
    if not isinstance(value, dict | list):
        return value, False
    if depth >= _MAX_DEPTH:
        return None, True
    if isinstance(value, list):
        items = [replace_unstorable(item, depth + 1) for item in value]
        return [item for item, _ in items], any(changed for _, changed in items)
    pairs = [(replace_unstorable(name), replace_unstorable(item, depth + 1)) for name, item in value.items()]
    return {name: item for (name, _), (item, _) in pairs}, any(a or b for (_, a), (_, b) in pairs)
