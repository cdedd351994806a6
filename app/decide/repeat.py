"""Decides whether a route reports an alert again that is still open. Pure."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.alert import Alert
from app.domain.route import Route


@dataclass(frozen=True, slots=True)
class Send:
    """The alert is reported again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The alert is not reported again."""

    reason: str


def decide_repeat(alert: Alert, route: Route | None, now: datetime) -> Send | Wait:
    """Return whether `route` reports `alert` again, `repeat_every` after it did so, with the reason."""
    if alert.closed_at is not None:
        return Wait("closed: " + (alert.closed_reason or ""))
    if alert.acknowledged_at is not None:
        return Wait(f"acknowledged by {alert.acknowledged_by}")
    if route is None or not route.enabled or route.repeat_every is None:
        return Wait("its route reports each alert once, or was disabled or deleted")
    days = (now - alert.since).days
    after = "" if not days else " after 1 day" if days == 1 else f" after {days} days"
    return Send(f"still open{after}; route '{route.name}' repeats")
