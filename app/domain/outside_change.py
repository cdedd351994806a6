"""What PagerDuty or Opsgenie reports of an incident that we opened there, and how such a report is known to be theirs. Pure."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

OLDEST, AHEAD = timedelta(hours=24), timedelta(minutes=10)  # they send again what failed, and clocks differ
_NAME_MOST = 100
_SIGNATURES_MOST = 10  # while a secret is exchanged there are two


class OutsideChangeKind(StrEnum):
    """What happened to the incident there."""

    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class OutsideChange:
    """One change there. `alert_ids`: the keys under which we opened the incident, which may be of others too; `person`: their name there."""

    program: str
    change: OutsideChangeKind
    alert_ids: tuple[str, ...]
    at: datetime
    person: str | None

    @property
    def who(self) -> str:
        """Who did it, in the words in which it is shown here."""
        name = " ".join("".join(one if one.isprintable() else " " for one in self.person or "").split())[:_NAME_MOST]
        return f"{name or 'somebody'} in {self.program}"

    def is_current(self, now: datetime) -> bool:
        """Return whether it is neither too old nor from the future: a report that was recorded long ago does nothing."""
        return now - OLDEST <= self.at <= now + AHEAD


def is_signed(secret: str, body: bytes, header: str) -> bool:
    """Return whether one of the signatures of a header, `v1=` and hex, is HMAC-SHA-256 of the body (PagerDuty, "Verifying signatures")."""
    expected = b"v1=" + hmac.digest(secret.encode(), body, "sha256").hex().encode()
    found = [one.strip().encode("utf-8", "surrogateescape") for one in header.split(",")[:_SIGNATURES_MOST]]
    matches = [hmac.compare_digest(expected, one) for one in found]  # all of them, so that the time says nothing
    return any(matches)


def is_bearer(secret: str, header: str) -> bool:
    """Return whether a header `Authorization` has this secret."""
    expected, sent = f"Bearer {secret}".encode(), header.strip().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(expected, sent)
