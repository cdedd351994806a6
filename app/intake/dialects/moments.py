"""Reads the times that tools write. One without a zone is none: nobody knows which one the tool's host is in."""

from datetime import UTC, datetime

from app.intake.dialects.make_event import number

_TEXT_MOST = 60
_SECOND = slice(16, 19)


def moment_in(given: object) -> datetime | None:
    """Give a time with a zone from ISO 8601, with any number of decimals, be it a leap second; None for anything else."""
    if not isinstance(given, str):
        return None
    text = given.strip()[:_TEXT_MOST]
    if text[_SECOND] == ":60":
        text = f"{text[: _SECOND.start]}:59{text[_SECOND.stop :]}"
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def moment_of_unix(given: object) -> datetime | None:
    """Give a time from the seconds since 1970."""
    seconds = number(given)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
