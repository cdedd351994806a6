"""A mail that reports nothing, such as a bounce. It does not become an event, and is kept for a week so that administrators can see it.

Pure.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

KEPT_FOR = timedelta(days=7)
TEXT_KEPT = 64 * 1024  # bytes of UTF-8


@dataclass(frozen=True, slots=True)
class ListedIgnoredMail:
    """A mail that did not become an event, without its text. `reason` says why, in words."""

    id: str
    customer_id: str
    received_at: datetime
    sender: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class IgnoredMail(ListedIgnoredMail):
    """A mail that did not become an event, with its text."""

    text: str
