"""What is read from a tool's output: numbers under our names, errors, a reason. No number may be infinite, negative or absurd."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from programs.protocol.checked import BadShape, CheckedObject, read_object

LINE_MOST = 1024 * 1024
_TEXT_MOST = 500
_LARGEST = 2.0**62
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


class OutputReading(NamedTuple):
    """`errors` is the number of errors that the tool reported; `reason` is the most important one; `note` says shortly what was done."""

    metrics: Mapping[str, float] = {}
    errors: int = 0
    reason: str = ""
    note: str = ""
    extra: Mapping[str, str] = {}


def objects(text: str) -> Iterator[CheckedObject]:
    """Yield the JSON objects among the lines."""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("{") and stripped.endswith("}"):
            try:
                yield read_object(stripped.encode("utf-8", "replace"), LINE_MOST)
            except BadShape:
                continue


def plain_lines(text: str) -> str:
    """Return the lines that are not JSON."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("{"))


def number(values: CheckedObject, name: str) -> float | None:
    """Return a number of an object; None if it is not one."""
    try:
        found = values.number(name, 0, _LARGEST, -1)
    except BadShape:
        return None
    return found if found >= 0 else None


def inner(values: CheckedObject, name: str) -> CheckedObject:
    """Return an object within an object; an empty one if there is none."""
    try:
        return values.object(name)
    except BadShape:
        return CheckedObject({})


def numbers(values: CheckedObject, names: Mapping[str, str]) -> dict[str, float]:
    """Return an object's numbers under our names; `names` maps the tool's names to ours."""
    found = [(ours, number(values, theirs)) for theirs, ours in names.items()]
    return {ours: value for ours, value in found if value is not None}


def short(text: str) -> str:
    """Return a text on one line, cut to 500 characters."""
    return " ".join(text.split())[:_TEXT_MOST]


def amount(text: str, step: int = 1000) -> float | None:
    """Read a number as it is printed for people: `1,234`, `1.234.567`, `300.00K`; None if it is not one."""
    found = re.fullmatch(r"(\d[\d.,']{0,40})\s?([KMGTPE]?)(i?)B?", text.strip())
    if found is None:
        return None
    digits, unit, is_binary = found[1].rstrip(".,'"), found[2], found[3]
    if unit or re.fullmatch(r"\d+[.,]\d{1,2}", digits):
        digits = digits.replace(",", ".")
        if digits.count(".") > 1 or "'" in digits:
            return None
    else:
        digits = re.sub("[.,']", "", digits)
    value = float(digits) * (1024 if is_binary else step) ** _UNITS[unit]
    return value if value < _LARGEST else None
