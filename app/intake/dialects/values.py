"""Parse numbers, sizes, durations and times as tools write them: `12.3 GB`, `1m2.3s`, `00:03:10.13`. None for anything else."""

import math
import re
from datetime import UTC, datetime

_MAX_NUMBER, _MAX_DIGITS = 1e300, 400
_BYTES = re.compile(r"([\d.,]{1,30}) ?([kKMGTPE]?)(i?)B?(?:ytes)?\b")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_DURATION_PARTS = re.compile(r"([\d.]{1,20}) ?(d|h|ms|m|s|µs|us|ns)(?![a-z])")
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
_DOTNET_DURATION = re.compile(r"(?:(\d{1,6})\.)?(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)$")
_MAX_TIME_LENGTH = 60
_SECOND = slice(16, 19)


def parse_number(value: object) -> float | None:
    """Return a finite number, from a number or its text."""
    if isinstance(value, bool) or value is None or (isinstance(value, str) and len(value) > _MAX_DIGITS):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < _MAX_NUMBER else None


def parse_non_negative(value: object) -> float | None:
    """Return a number that is not negative: -1 means unknown to many tools."""
    number = parse_number(value)
    return number if number is not None and number >= 0 else None


def parse_bytes(text: str | None) -> float | None:
    """Return the bytes of `12.345 GiB`, `456 B` or `1,204`; a decimal prefix is a power of 1000."""
    found = _BYTES.match((text or "").strip())
    amount = parse_number(found[1].replace(",", "")) if found else None
    if found is None or amount is None:
        return None
    return amount * float((1024 if found[3] else 1000) ** _POWERS[found[2].lower()])


def parse_seconds(text: str | None) -> float | None:
    """Return the seconds of `1m 3s`, `1h2m3.5s`, or .NET's `[d.]hh:mm:ss.fffffff`."""
    text = (text or "").strip()[:100]
    clock = _DOTNET_DURATION.match(text)
    if clock is not None:
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return days * 86_400 + hours * 3600 + minutes * 60 + seconds
    parts = _DURATION_PARTS.findall(text)
    amounts = [(parse_number(amount), unit) for amount, unit in parts]
    if not parts or any(amount is None for amount, _ in amounts):
        return None
    return round(sum((amount or 0) * _SECONDS[unit] for amount, unit in amounts), 9)


def parse_time(value: object) -> datetime | None:
    """Return the UTC time of an ISO 8601 text with any number of decimals, also of a leap second.

    None for a time without a zone: the zone of the tool's host is not known.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()[:_MAX_TIME_LENGTH]
    if text[_SECOND] == ":60":
        text = f"{text[: _SECOND.start]}:59{text[_SECOND.stop :]}"
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def parse_unix_time(value: object) -> datetime | None:
    """Return the time of a number of seconds since 1970."""
    seconds = parse_number(value)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
