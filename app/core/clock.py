"""The time, injected so that tests set it; always UTC and aware."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """Give the present moment."""
    return datetime.now(UTC)
