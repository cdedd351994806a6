"""Notices of which no message can be composed, because of a bug or of a row that another version wrote, and when that is reported. Pure.

Each is tried again every few minutes. It is reported as an event of a job of our own: an alert that was decided must not stay unsent
with only the log knowing it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.domain.dedupe import uncomposed_key
from app.domain.event import Event
from app.domain.service_event import service_event

JOB = "messages that cannot be composed"
REPORTED_AFTER = timedelta(minutes=9)  # the third try failed, too
MARK = "; cannot be composed since "
_MARKED = re.compile(re.escape(MARK) + r"(\S+): ")
_CAUSE_MOST = 200


@dataclass(frozen=True, slots=True)
class Uncomposed:
    """One notice: since when no message can be composed of it, and its reason with the cause."""

    notice_id: str
    since: datetime
    why: str


def mark(reason: str, cause: Exception, now: datetime) -> str:
    """Add the cause to the reason of a notice, unless it is there: the list of notices shows it."""
    return (
        reason
        if MARK in reason
        else f"{reason}{MARK}{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}: {cause!r:.{_CAUSE_MOST}}"
    )


def unmark(reason: str) -> str:
    """Return the reason for the recipient, who is not to read of our errors."""
    return reason.partition(MARK)[0]


def marked_since(reason: str) -> datetime | None:
    """Return since when a notice cannot be composed; None: it can."""
    found = _MARKED.search(reason)
    return None if found is None else datetime.fromisoformat(found[1])


def uncomposed_event(
    found: Sequence[Uncomposed], *, customer_id: str, agent_id: str, well_since: datetime, now: datetime
) -> Event:
    """Return the event that reports these notices, or the end of the trouble if there is none. `well_since`: see service_event.py."""
    if found:
        first = min(found, key=lambda one: one.since)
        message = (
            f"{len(found)} notices wait, of which no message can be composed: nobody hears what they are about. "
            f"The first one is {first.notice_id} (GET /v1/notices/{first.notice_id}), since {first.since:%Y-%m-%d %H:%M} UTC: {first.why}. "
            "They are tried again every few minutes; the log has the cause"
        )
    else:
        message = "all messages can be composed again"
    key = uncomposed_key(well_since, is_well=not found)
    return service_event((customer_id, agent_id), key, JOB, message, now, is_well=not found)
