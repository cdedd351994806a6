"""Cuts what is too long and replaces what no database takes, never within a character. It must not judge what a text says."""

import re
from typing import Any

_BAD = re.compile("[\x00\ud800-\udfff]")
_DEEPEST = 50


def cut_text(text: str, most: int) -> str:
    """Give the beginning of a text, at most `most` bytes of UTF-8."""
    if len(text) * 4 <= most:
        return text
    return text.encode()[:most].decode(errors="ignore")


def cut_middle(text: str, most: int) -> str:
    """Give head and tail of a log of more than `most` bytes, with a line between them that says how much is left out.

    The tail gets two thirds: what went wrong is told at the end.
    """
    if len(text) * 4 <= most:
        return text
    whole = text.encode()
    if len(whole) <= most:
        return text
    room = most - len(_gap(len(whole)).encode())
    head = whole[: room // 3].decode(errors="ignore")
    tail = whole[len(whole) - (room - room // 3) :].decode(errors="ignore")
    return head + _gap(len(whole) - len(head.encode()) - len(tail.encode())) + tail


def _gap(left_out: int) -> str:
    return f"\n[... {left_out} bytes left out ...]\n"


def clean(value: Any, depth: int = 0) -> tuple[Any, bool]:  # noqa: ANN401
    """Give JSON's value with each NUL and lone surrogate replaced by U+FFFD, and whether there was any.

    PostgreSQL refuses NUL, and UTF-8 has no lone surrogates. What lies too deep for any use is dropped with it.
    """
    if isinstance(value, str):
        cleaned, count = _BAD.subn("\ufffd", value)
        return cleaned, count > 0
    if not isinstance(value, dict | list):
        return value, False
    if depth >= _DEEPEST:
        return None, True
    if isinstance(value, list):
        ones = [clean(one, depth + 1) for one in value]
        return [one for one, _ in ones], any(changed for _, changed in ones)
    pairs = [(clean(name), clean(one, depth + 1)) for name, one in value.items()]
    return {name: one for (name, _), (one, _) in pairs}, any(a or b for (_, a), (_, b) in pairs)
