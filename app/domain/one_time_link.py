"""A link that signs somebody in once: the first one, an invitation, or one for a person who is locked out. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

PATH = "/link/"  # of their addresses, before the token


class LinkPurpose(StrEnum):
    """What a link is for."""

    FIRST = "first"  # makes the first owner; from this host only
    INVITE = "invite"
    RESET = "reset"


LASTS = {
    LinkPurpose.FIRST: timedelta(hours=1),
    LinkPurpose.INVITE: timedelta(days=7),
    LinkPurpose.RESET: timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """One link; its token is stored as a hash. `person_id` None: the first link, whose person does not exist yet."""

    id: str
    purpose: LinkPurpose
    person_id: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Say whether it was used, or is too old."""
        return self.used_at is not None or now >= self.expires_at
