"""Cut a text to what is read of it, and note that: what is left out may be the trouble, so that its request proves no success."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Text = TypeVar("Text", str, bytes)
WHY = "the text is longer than what is read of it"
_noted: ContextVar[list[str] | None] = ContextVar("cut", default=None)


@contextmanager
def noting_cuts() -> Iterator[list[str]]:
    """Collect a text for each cut until the block ends."""
    noted: list[str] = []
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def keep_beginning(text: Text, most: int) -> Text:
    """Return the beginning of a text, at most so long; note it if there is more than white space behind it."""
    kept = text[:most]
    if len(text) > most and text[most:].strip():
        note_cut()
    return kept


def note_cut() -> None:
    """Note that a part of a request is not read."""
    if (noted := _noted.get()) is not None:
        noted.append(WHY)
