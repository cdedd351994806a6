"""Read the values of a JSON object, each within its bounds. Errors are BadShape with the field's name and the rule."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_DIGITS_MOST = 20
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL refuses them; one pass, as a mail can have 20 MiB


class BadShape(ValueError):
    """A value that was received does not have the agreed shape; `field` and `rule` say what is wrong."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field, self.rule = field, rule


class CheckedObject(NamedTuple):
    """A JSON object as it was received. Its methods check a value when they read it; they raise BadShape."""

    values: Mapping[str, Any]

    def text(self, name: str, most: int, *, least: int = 0) -> str:
        """Return a text of `least` to `most` characters; empty if it is absent and `least` is 0.

        NUL and lone surrogates are replaced, because no database accepts them.
        """
        found = self.values.get(name)
        found = "" if found is None else found
        if not isinstance(found, str):
            raise BadShape(name, "is not a text")
        if not least <= len(found) <= most:
            raise BadShape(name, f"has {len(found)} characters, and may have {least} to {most}")
        return _storable(found)

    def cut(self, name: str, most: int) -> str:
        """Return a text that only people read, cut to `most` characters; empty if it is not a text."""
        found = self.values.get(name)
        return _storable(found[:most]) if isinstance(found, str) else ""

    def line(self, name: str, most: int, *, least: int = 0) -> str:
        """Return a text as `text` does, on one line."""
        return one_line(self.text(name, most, least=least))

    def cut_line(self, name: str, most: int) -> str:
        """Return a text as `cut` does, on one line."""
        return one_line(self.cut(name, most))

    def number(self, name: str, least: float, most: float, absent: float) -> float:
        """Return a number, or `absent` if there is none."""
        found = self.values.get(name)
        if found is None:
            return absent
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
            raise BadShape(name, "is not a number")
        if not least <= found <= most:
            raise BadShape(name, f"is not between {least:g} and {most:g}")
        return found

    def flag(self, name: str) -> bool:
        """Return a boolean; false if it is absent."""
        found = self.values.get(name)
        if found is not None and not isinstance(found, bool):
            raise BadShape(name, "is not true or false")
        return bool(found)

    def object(self, name: str) -> CheckedObject:
        """Return an object; an empty one if it is absent."""
        found = self.values.get(name)
        if found is not None and not isinstance(found, dict):
            raise BadShape(name, "is not an object")
        return CheckedObject(found or {})

    def storable(self, name: str) -> dict[str, Any]:
        """Return an object of any shape as every database accepts it: without NUL, lone surrogates and numbers that are none."""
        try:
            stored: dict[str, Any] = _storable_value(self.object(name).values)
        except RecursionError as cause:
            raise BadShape(name, "is nested too deeply") from cause
        return stored

    def objects(self, name: str, most: int) -> list[CheckedObject]:
        """Return a list of at most `most` objects; an empty one if it is absent."""
        found = self.values.get(name)
        found = [] if found is None else found
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise BadShape(name, "is not a list of objects")
        if len(found) > most:
            raise BadShape(name, f"has {len(found)} items, and may have {most}")
        return [CheckedObject(item) for item in found]


def one_line(text: str) -> str:
    """Return a text with control characters, line breaks and other invisible characters written as escapes.

    Without that a text from the other side could look like a line of ours in a log or on a screen.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def read_object(data: bytes, most: int) -> CheckedObject:
    """Read a body of at most `most` bytes as a JSON object. Raises BadShape."""
    if len(data) > most:
        raise BadShape("body", f"is longer than {most} bytes")
    try:
        values = json.loads(data, parse_int=_read_integer)
    except (ValueError, RecursionError) as cause:
        raise BadShape("body", "is not JSON") from cause
    if not isinstance(values, dict):
        raise BadShape("body", "is not a JSON object")
    return CheckedObject(values)


def _read_integer(digits: str) -> int:
    """Read a whole number of at most 20 digits: older Pythons take minutes for one of a million digits."""
    if len(digits) > _DIGITS_MOST:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _storable_value(value: Any) -> Any:  # noqa: ANN401  (JSON)
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, dict):
        return {_storable(name): _storable_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable_value(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _storable(text: str) -> str:
    return _NOT_STORABLE.sub("\ufffd", text)
