"""A share link: a secret address that shows some state to whoever has it, without signing in. Pure; the token itself is never stored, only its hash."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.matcher import Matcher


class ShareKind(StrEnum):
    """What a link shows."""

    BADGE = "badge"  # /badge/{token}.svg
    CALENDAR = "calendar"  # /v1/calendar/{token}.ics
    WALL = "wall"  # /wall/{token}


class SharedPart(StrEnum):
    """What a link shows in addition to the verdict. What was not chosen is hidden from people with the link."""

    COUNTS = "counts"  # how many jobs are in each state
    CUSTOMERS = "customers"  # names of customers
    JOBS = "jobs"  # names of jobs and of their agents
    ERRORS = "errors"  # texts of errors, which can contain anything that a tool says


@dataclass(frozen=True, slots=True)
class ShareLink:
    """One link as administrators see it. `hint` is the beginning of its token.

    `customer_ids` None means every customer. One that was deleted stays listed and matches nothing: its link must not begin to show others.
    """

    id: str
    kind: ShareKind
    name: str
    hint: str
    created_by: str
    created_at: datetime
    customer_ids: tuple[str, ...] | None = None
    matchers: tuple[Matcher, ...] = ()
    shows: tuple[SharedPart, ...] = ()
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    version: int = 1

    def is_open(self, now: datetime) -> bool:
        """Return whether the link shows anything at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def covers(self, customer_id: str) -> bool:
        """Return whether it shows this customer."""
        return self.customer_ids is None or customer_id in self.customer_ids
