"""Decides which alerts are reported together, and when. Pure.

The first alert of a group without recent notices is sent after `group_wait` (zero by default). Those that follow within
`group_interval` wait for the end of that interval and are sent in one message: 500 failures are two mails, not 500.
"""

from collections.abc import Mapping
from datetime import datetime

from app.domain.dedupe import group_key
from app.domain.route import Route


def group_of(route: Route, facts: Mapping[str, str]) -> str:
    """Return the key of the group that an alert with these facts belongs to under a route."""
    return group_key(route.id, tuple(facts.get(field, "") for field in route.group_by))


def due_at(route: Route, newest_at: datetime | None, now: datetime) -> datetime:
    """Return when a new notice of the group is due. `newest_at`: when the group's newest message was, or will be, due."""
    if newest_at is None or newest_at + route.group_interval <= now:
        return now + route.group_wait
    return (
        newest_at if newest_at >= now else newest_at + route.group_interval
    )  # due now or later: not worded yet, so it joins


def plausible_time(route: Route, newest_at: datetime | None, now: datetime) -> datetime | None:
    """Return `newest_at`, but no later than the route allows.

    After the clock was set back by an hour, a stored time would otherwise keep alerts back for that hour.
    """
    return newest_at and min(newest_at, now + max(route.group_wait, route.group_interval))
