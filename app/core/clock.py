"""The current time as a function that is passed in, so that tests can set it. Always in UTC, with an offset."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
