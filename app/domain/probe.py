"""The probe: a small event of our own that passes through all four stages, to prove that each of them works. Pure.

It has one row, which each stage takes on in its own loop and its own transaction. It belongs to no customer, so no list, summary,
count or budget can hold it, and it leaves nothing behind.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

CUSTOMER, AGENT, JOB = "probe", "probe", "probe"  # in its texts only: no such rows exist
NEVER_PASSED = timedelta(minutes=5)  # after this time without an end, the next probe replaces it


@dataclass(frozen=True, slots=True)
class Probe:
    """The newest probe, and how far it came. `passed_at`: when a probe came to its end last; `reason`: why it would notify."""

    id: str
    body: bytes  # the event as it was stored; later, the mail that was composed
    stored_at: datetime
    decided_at: datetime | None = None
    reason: str | None = None
    composed_at: datetime | None = None
    sent_at: datetime | None = None
    passed_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether the next probe may begin."""
        return self.sent_at is not None or now - self.stored_at > NEVER_PASSED

    def where(self) -> str:
        """Say which stage did not take it on."""
        if self.decided_at is None:
            return "decided on"
        return "composed" if self.composed_at is None else "delivered"


@dataclass(frozen=True, slots=True)
class Pings:
    """How the pings of the heartbeat went: the last one that was accepted, the last one that was not, and why."""

    accepted_at: datetime | None = None
    failed_at: datetime | None = None
    trouble: str | None = None  # of the newest ping; None: it was accepted
    verdict: str | None = None  # what the newest ping reported as wrong; None: all is well
