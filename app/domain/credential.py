"""A certificate or secret with which we log in at Microsoft or Google, and when it expires. Pure.

Its end is reported as an event of a job of our own, so that the same alerts, routes and mails tell of it as of a failed backup. It
is reported while mail still leaves: 30 days before, again 7 days before, and when it has ended.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.dedupe import credential_key
from app.domain.event import Event
from app.domain.service_event import service_event

JOB = "access to the mail system"
_STAGES = ((timedelta(0), "ended"), (timedelta(days=7), "7 days"), (timedelta(days=30), "30 days"))


@dataclass(frozen=True, slots=True)
class Credential:
    """`name` says in words what ends."""

    name: str
    ends_at: datetime

    def stage(self, now: datetime) -> str | None:
        """Return how near the end is; None while it is more than 30 days away."""
        return next((name for before, name in _STAGES if now >= self.ends_at - before), None)

    def trouble(self, now: datetime) -> str | None:
        """Return the same in words."""
        stage = self.stage(now)
        if stage is None:
            return None
        day = f"{self.ends_at:%Y-%m-%d}"
        if stage == "ended":
            return (
                f"{self.name} expired on {day}, so mail that needs it does not leave: create a new one (docs/graph.md)"
            )
        days = (self.ends_at - now).days
        left = "within a day" if days < 1 else f"in {days} day{'s' if days > 1 else ''}"
        return f"{self.name} expires on {day}, {left}; then mail that needs it does not leave: create a new one (docs/graph.md)"


def credential_event(credential: Credential | None, customer_id: str, agent_id: str, now: datetime) -> Event:
    """Return the event that reports how the credential stands: near its end is a failure, otherwise a success."""
    stage = None if credential is None else credential.stage(now)
    trouble = None if credential is None else credential.trouble(now)
    well = "no certificate or secret for the mail system expires soon"
    key = credential_key(None if credential is None else credential.ends_at, stage or "well")
    return service_event((customer_id, agent_id), key, JOB, trouble or well, now, is_well=trouble is None)
