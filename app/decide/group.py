"""Decides which alerts are told together, and when. Pure.

The first alert of a quiet group goes out after `group_wait` (none, by default). What follows within `group_interval` of it
waits for the end of that interval and goes out in one message: 500 failures are two mails, not 500.
"""

from collections.abc import Mapping
from datetime import datetime

from app.domain.dedupe import group_key
from app.domain.route import Route


def key_of(route: Route, facts: Mapping[str, str]) -> str:
    """Give the group of an alert under a route."""
    return group_key(route.id, tuple(facts.get(field, "") for field in route.group_by))


def due_at(route: Route, told_at: datetime | None, now: datetime) -> datetime:
    """Say when the group's next message is due. `told_at`: when its newest was, or will be."""
    if told_at is None or told_at + route.group_interval <= now:
        return now + route.group_wait
    return told_at if told_at >= now else told_at + route.group_interval  # at this moment: not worded yet, so it joins


def believable(route: Route, told_at: datetime | None, now: datetime) -> datetime | None:
    """Give when the group was or will be told, bounded: after a clock was set back by an hour, it would hold alerts back for that hour."""
    return told_at and min(told_at, now + max(route.group_wait, route.group_interval))
