"""A session: one browser in which a person is signed in, and when that ends. Pure; the token is never stored, only its hash."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

IDLE = timedelta(days=3)  # without a request
LONGEST = timedelta(days=14)
LONGEST_OF_PROVIDER = timedelta(days=1)  # then the groups at the provider are read again
FRESH = timedelta(minutes=10)  # how long a proof of identity allows changes of keys and people


class SignInWay(StrEnum):
    """How somebody signed in."""

    PASSWORD = "password"  # noqa: S105
    LINK = "link"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Session:
    """One session. `proved_at`: when the person last showed who they are."""

    id: str
    person_id: str
    way: SignInWay
    created_at: datetime
    seen_at: datetime
    proved_at: datetime
    address: str | None = None
    browser: str | None = None
    revoked_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Say whether it was revoked, was not used for too long, or is too old."""
        return self.revoked_at is not None or now >= self.seen_at + IDLE or now >= self.created_at + self.longest

    @property
    def longest(self) -> timedelta:
        """How long it lasts at most."""
        return LONGEST_OF_PROVIDER if self.way is SignInWay.PROVIDER else LONGEST

    def is_fresh(self, now: datetime) -> bool:
        """Say whether the person showed who they are a short time ago."""
        return self.proved_at <= now < self.proved_at + FRESH
