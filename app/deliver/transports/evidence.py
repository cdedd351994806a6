"""Makes another side's words fit to be stored and shown: bounded, valid Unicode, no control characters. It must not judge them."""

import re

LIMIT = 2048
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")


def evidence(words: str | bytes) -> str:
    """Give at most 2 KiB of `words` as one clean text; line ends stay.

    A NUL byte, or half of a character, would make PostgreSQL refuse the attempt's row: the outcome of a sent mail would be lost.
    """
    raw = words if isinstance(words, bytes) else words.encode("utf-8", "surrogateescape")
    return _CONTROL.sub(" ", raw[:LIMIT].decode("utf-8", "replace").replace("\r\n", "\n")).strip()
