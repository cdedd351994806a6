"""Cleans text from the other side (server replies, response bodies) so that it can be stored and shown as evidence."""

import re

LIMIT = 2048
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")


def evidence(words: str | bytes) -> str:
    """Return at most 2 KiB of `words` as valid text without control characters; line ends stay.

    A NUL byte or half a character would make PostgreSQL refuse the attempt's row, and the outcome of a sent mail would be lost.
    """
    raw = words if isinstance(words, bytes) else words.encode("utf-8", "surrogateescape")
    return _CONTROL.sub(" ", raw[:LIMIT].decode("utf-8", "replace").replace("\r\n", "\n")).strip()


def evidence_line(words: str | bytes) -> str:
    """Return the same on one line, for a screen or a message in which a line of the other side could look like one of ours."""
    return " ".join(evidence(words).split())
