"""A clock that a test can put forward."""

from datetime import datetime, timedelta

from app.core.clock import now


class MovableClock:
    """The clock of the service, ahead of the true time by what a test chooses."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Return its time."""
        return now() + self.ahead
