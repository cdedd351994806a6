"""Where alerts go: routes, silences, and notices, the decisions that come of them. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.matcher import Matcher


@dataclass(frozen=True, slots=True)
class Route:
    """Matchers to recipients, with grouping and repeat. Asked in order; the first that matches ends the search unless `goes_on`."""

    id: str
    name: str
    recipients: tuple[str, ...]
    customer_id: str | None = None
    enabled: bool = True
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] = ("customer",)
    group_wait: timedelta = timedelta(0)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_every: timedelta | None = None
    send_recovery: bool = True
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """A one-off mute that ends by itself."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str
    customer_id: str | None = None


class NoticeWhat(StrEnum):
    """What a notice tells."""

    OPENED = "opened"
    REPEATED = "repeated"
    RECOVERED = "recovered"
    SUMMARY = "summary"


class NoticeState(StrEnum):
    """waiting -> worded; waiting | muted -> suppressed; muted -> waiting | suppressed, when the mute ends."""

    WAITING = "waiting"
    MUTED = "muted"
    WORDED = "worded"
    SUPPRESSED = "suppressed"


# Which messages leave first when many wait.
URGENCY_CRITICAL, URGENCY_ALERT, URGENCY_RECOVERY, URGENCY_SUMMARY = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Notice:
    """The decision to tell one recipient one thing, or not to, with its reason in words."""

    id: str
    what: NoticeWhat
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
