"""Cut a text to what is read of it, and note that: what is left out may be the trouble, so that its request proves no success."""

from typing import TypeVar

from app.intake.dialects.notes import Notes

Text = TypeVar("Text", str, bytes)
WHY = "the text is longer than what is read of it"
CUTS = Notes("cut")


def keep_beginning(text: Text, most: int) -> Text:
    """Return the beginning of a text, at most so long; note it if there is more than white space behind it."""
    kept = text[:most]
    if len(text) > most and text[most:].strip():
        note_cut()
    return kept


def note_cut() -> None:
    """Note that a part of a request is not read."""
    if (noted := CUTS.texts()) is not None:
        noted.append(WHY)
