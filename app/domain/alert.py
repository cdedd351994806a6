"""An alert: a stateful problem of a job or an agent, open or closed; and the rule that opens it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.event import Severity
from app.domain.matcher import Matcher


class AlertKind(StrEnum):
    """What is wrong."""

    FAILED = "failed"
    WARNING = "warning"
    MISSED = "missed"
    OVERRUN = "overrun"
    AGENT_SILENT = "agent_silent"


@dataclass(frozen=True, slots=True)
class Rule:
    """Decides whether an alert of `kind` opens. A disabled rule still decides: what it matches opens nothing."""

    id: str
    name: str
    kind: AlertKind
    customer_id: str | None = None
    enabled: bool = True
    matchers: tuple[Matcher, ...] = ()
    after_in_row: int = 1
    retry_within: timedelta = timedelta(0)
    silent_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """A problem. `since` is when it began for the backup, `opened_at` when we said so; `repeats` counts what came on top of the first,
    whether or not it took more than one in a row to open it.
    """

    id: str
    customer_id: str
    agent_id: str
    subject_id: str
    kind: AlertKind
    severity: Severity
    reason: str
    since: datetime
    opened_at: datetime
    last_at: datetime
    job_id: str | None = None
    rule_id: str | None = None
    message: str | None = None
    event_id: str | None = None
    repeats: int = 0
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    closed_at: datetime | None = None
    closed_reason: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)  # for matchers; not stored
