"""Decides whether an alert that is still open is told again. Pure: alert, route and now in, verdict out."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.alert import Alert
from app.domain.route import Route


@dataclass(frozen=True, slots=True)
class Tell:
    """It is told again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """It is not told again by this notice."""

    reason: str


def tell_again(alert: Alert, route: Route | None, now: datetime) -> Tell | Hold:
    """Say whether `route` hears again of `alert`, which it was told of `repeat_every` ago."""
    if alert.closed_at is not None:
        return Hold("closed: " + (alert.closed_reason or ""))
    if alert.acknowledged_at is not None:
        return Hold(f"acknowledged by {alert.acknowledged_by}")
    if route is None or not route.enabled or route.repeat_every is None:
        return Hold("its route tells each alert once, or is no more")
    days = (now - alert.since).days
    return Tell(
        f"still open after {days} days; route '{route.name}' repeats"
        if days
        else f"still open; route '{route.name}' repeats"
    )
