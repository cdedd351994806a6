"""A notice: the decision to send a recipient something, or not to, with its reason. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NoticeKind(StrEnum):
    """What a notice reports."""

    OPENED = "opened"
    REPEATED = "repeated"
    RECOVERED = "recovered"
    ACKNOWLEDGED = "acknowledged"  # somebody has taken it on: the others who were notified of it learn who
    SUMMARY = "summary"


class NoticeState(StrEnum):
    """Where a notice is: waiting -> worded; waiting | muted -> suppressed; muted -> waiting | suppressed, when the mute ends."""

    WAITING = "waiting"
    MUTED = "muted"
    WORDED = "worded"
    SUPPRESSED = "suppressed"


# The smallest is sent first when many messages wait.
URGENCY_CRITICAL, URGENCY_ALERT, URGENCY_RECOVERY, URGENCY_SUMMARY = 0, 1, 2, 3
URGENCY_CANARY = 4  # only canary mails have it: they notify nobody, so they do not count as messages to people


@dataclass(frozen=True, slots=True)
class Notice:
    """The decision to send one recipient one thing, or not to, with its reason in words."""

    id: str
    what: NoticeKind
    state: NoticeState
    reason: str
    due_at: datetime
    group_key: str
    urgency: int
    dedupe: str
    created_at: datetime
    customer_id: str | None = None
    recipient_id: str | None = None
    route_id: str | None = None
    alert_id: str | None = None
    summary_id: str | None = None
    repeat_at: datetime | None = None
    message_id: str | None = None
