"""A follow-up: what an edit still has to change in rows that wait, such as the reminders of thousands of open alerts.

The edit is committed at once; the worker does the rest in pieces, so that nobody who writes waits long (admin/follow_ups.py).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FollowUpKind(StrEnum):
    """What is changed, and of what `subject_id` is the id."""

    REPEATS = "repeats"  # when open alerts are repeated, of a route that was changed
    ADDRESSES = "addresses"  # alerts that wait for an address that a recipient no longer has
    NOTICES = "notices"  # notices to a recipient that was deleted
    GROUPS = "groups"  # when groups were last sent, of a route that was deleted
    MUTED = "muted"  # every muted notice, after a silence was changed
    ALERTS_OF_AGENT = "alerts_of_agent"  # alerts of an agent that was rejected, and of its jobs
    SILENCE_LIMITS = "silence_limits"  # when agents count as silent, after a rule was changed
    ALERTS_OF_SUBJECT = "alerts_of_subject"  # alerts of a job or agent that was deleted, and their notices


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What one edit left to do. `after`: the last id that is done; all work is in the order of ids."""

    id: str
    kind: FollowUpKind
    subject_id: str
    at: datetime  # of the edit
    reason: str
    after: str = ""
