"""A mail that reports nothing, such as a bounce: it became no event, and is kept for a week so that nothing vanishes unseen. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

KEPT_FOR = timedelta(days=7)
TEXT_KEPT = 64 * 1024  # bytes of UTF-8


@dataclass(frozen=True, slots=True)
class ListedIgnoredMail:
    """A mail that was put away, without its text. `reason` says why, in words."""

    id: str
    customer_id: str
    received_at: datetime
    sender: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class IgnoredMail(ListedIgnoredMail):
    """A mail that was put away."""

    text: str
