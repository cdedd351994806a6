"""Reads the values of a JSON object, each within its bounds. Raises BadShape with the field's name and the rule."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DIGITS_MOST = 20


class BadShape(ValueError):
    """Something that came over the wire is not as agreed; `field` and `rule` say what."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field, self.rule = field, rule


@dataclass(frozen=True)
class CheckedObject:
    """A JSON object as it came."""

    values: Mapping[str, Any]

    def text(self, name: str, most: int, *, least: int = 0) -> str:
        """Give a text; empty if it is absent and may be. Without NUL and lone surrogates: no database takes them."""
        found = self.values.get(name)
        found = "" if found is None else found
        if not isinstance(found, str):
            raise BadShape(name, "is not a text")
        if not least <= len(found) <= most:
            raise BadShape(name, f"has {len(found)} characters, and may have {least} to {most}")
        return _storable(found)

    def cut(self, name: str, most: int) -> str:
        """Give a text that is for people only: too long is no fault."""
        found = self.values.get(name)
        return _storable(found[:most]) if isinstance(found, str) else ""

    def number(self, name: str, least: float, most: float, absent: float) -> float:
        """Give a number."""
        found = self.values.get(name)
        if found is None:
            return absent
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
            raise BadShape(name, "is not a number")
        if not least <= found <= most:
            raise BadShape(name, f"is not between {least:g} and {most:g}")
        return found

    def flag(self, name: str) -> bool:
        """Give a truth; false if it is absent."""
        found = self.values.get(name)
        if found is not None and not isinstance(found, bool):
            raise BadShape(name, "is neither true nor false")
        return bool(found)

    def object(self, name: str) -> CheckedObject:
        """Give an object; an empty one if it is absent."""
        found = self.values.get(name)
        if found is not None and not isinstance(found, dict):
            raise BadShape(name, "is not an object")
        return CheckedObject(found or {})

    def objects(self, name: str, most: int) -> list[CheckedObject]:
        """Give a list of objects; an empty one if it is absent."""
        found = self.values.get(name)
        found = [] if found is None else found
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise BadShape(name, "is not a list of objects")
        if len(found) > most:
            raise BadShape(name, f"has {len(found)} items, and may have {most}")
        return [CheckedObject(one) for one in found]


def read_object(data: bytes, most: int) -> CheckedObject:
    """Read a body of at most `most` bytes as a JSON object."""
    if len(data) > most:
        raise BadShape("body", f"is longer than {most} bytes")
    try:
        values = json.loads(data, parse_int=_whole)
    except (ValueError, RecursionError) as cause:
        raise BadShape("body", "is not JSON") from cause
    if not isinstance(values, dict):
        raise BadShape("body", "is not a JSON object")
    return CheckedObject(values)


def _whole(word: str) -> int:
    """Read a whole number; older Pythons take minutes for one of a million digits."""
    if len(word) > _DIGITS_MOST:
        raise ValueError(f"a number of {len(word)} digits")
    return int(word)


def _storable(text: str) -> str:
    return "".join("\ufffd" if one == "\x00" or "\ud800" <= one <= "\udfff" else one for one in text)
