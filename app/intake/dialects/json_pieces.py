"""Takes a program's output apart: JSON values, each on a line or spread over several, and whatever stands between them. It never fails."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

# How many spread values may turn out to be none: each such try may read all that follows.
_TRIES, _LINES_MOST = 20, 500_000
_DECODER = json.JSONDecoder(strict=False)
_COLOURS = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")


class Piece(NamedTuple):
    """A piece of the output as it came, and the JSON object or array that it is; None for any other text."""

    text: str
    value: dict[str, Any] | list[Any] | None = None


def pieces_of(text: str, without: tuple[str, ...] = ()) -> Iterator[Piece]:
    """Give the pieces in their order, blank lines and a terminal's colours left out, and without lines that begin as `without` says: progress, by the thousand.

    A last line that was cut is text like any other.
    """
    place, tries, lines = 0, 0, 0
    while place < len(text) and lines < _LINES_MOST:
        end = text.find("\n", place)
        end = len(text) if end < 0 else end
        line = text[place:end].strip()
        lines += 1
        if line[:1] in ("{", "[") and not line.startswith(without or ("\n",)):
            value = _value(line)
            if value is None and line in ("{", "[") and tries < _TRIES:
                value, ended = _spread(text, text.index(line, place))
                tries += value is None
                if value is not None:
                    yield Piece(text[place:ended].strip(), value)
                    place = ended
                    continue
            yield Piece(line, value)
        elif line and not (without and line.startswith(without)):
            yield Piece(_COLOURS.sub("", line).strip())
        place = end + 1


def _value(line: str) -> dict[str, Any] | list[Any] | None:
    try:
        found = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _spread(text: str, place: int) -> tuple[dict[str, Any] | list[Any] | None, int]:
    """Give the value that begins here, and where it ends."""
    try:
        found, end = _DECODER.raw_decode(text, place)
    except (ValueError, RecursionError):
        return None, place
    return (found if isinstance(found, dict | list) else None), end
