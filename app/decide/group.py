"""Decides which alerts are reported together, and when. Pure.

A critical alert is sent at once: up to CRITICAL_AT_ONCE of one agent within the interval, and as many again by the time the interval is over. What
an agent reports beyond that waits as other alerts do, or one that flaps would send a mail each second.

The first alert of a group without recent notices is sent after `group_wait` (zero by default). Those that follow within
`group_interval` wait for the end of that interval and are sent in one message: 500 failures are two mails, not 500.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from app.domain.dedupe import group_key
from app.domain.route import Route

CRITICAL_AT_ONCE = 20


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


def critical_group_of(route: Route, customer_id: str, agent_id: str) -> str:
    """Return the key under which the critical alerts of an agent are counted for a route: those of other agents never wait for them."""
    return group_key(route.id, ("critical", customer_id, agent_id))


def critical_full_at(route: Route, full_at: datetime | None, now: datetime) -> tuple[bool, datetime]:
    """Return whether a critical alert is sent at once, and the new moment until which the allowance of its agent is used up.

    Each takes its share of the interval. The moment lies at most one interval ahead.
    """
    share = max(route.group_interval, timedelta(seconds=1)) / CRITICAL_AT_ONCE
    new = max(now, full_at or now) + share
    is_at_once = new - now <= share * CRITICAL_AT_ONCE
    return is_at_once, new if is_at_once else full_at or now
