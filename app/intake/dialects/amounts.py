"""Amounts as tools word them for people: `12.3 GB`, `1m2.3s`, `00:03:10.13`. None for what is no such amount; never below nought."""

import re

from app.intake.dialects.make_event import number

_BYTES = re.compile(r"([\d.,]{1,30}) ?([kKMGTPE]?)(i?)B?(?:ytes)?\b")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_PARTS = re.compile(r"([\d.]{1,20}) ?(d|h|ms|m|s|µs|us|ns)(?![a-z])")
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
_CLOCK = re.compile(r"(?:(\d{1,6})\.)?(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)$")


def bytes_in(text: str | None) -> float | None:
    """Read `12.345 GiB`, `456 B`, `1,204`; a decimal prefix is a power of 1000."""
    found = _BYTES.match((text or "").strip())
    amount = number(found[1].replace(",", "")) if found else None
    if found is None or amount is None:
        return None
    return amount * float((1024 if found[3] else 1000) ** _POWERS[found[2].lower()])


def seconds_in(text: str | None) -> float | None:
    """Read `1m 3s`, `1h2m3.5s`, or .NET's `[d.]hh:mm:ss.fffffff`."""
    text = (text or "").strip()[:100]
    clock = _CLOCK.match(text)
    if clock is not None:
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return days * 86_400 + hours * 3600 + minutes * 60 + seconds
    parts = _PARTS.findall(text)
    amounts = [(number(amount), tx) for amount, tx in parts]
    if not parts or any(amount is None for amount, _ in amounts):
        return None
    return round(sum((amount or 0) * _SECONDS[tx] for amount, tx in amounts), 9)


def not_negative(given: object) -> float | None:
    """Give a number that is no less than nought: -1 means unknown to many tools."""
    found = number(given)
    return found if found is not None and found >= 0 else None
