"""An alert: a stateful problem of a job or an agent, open or closed; and the rule that opens it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.agent import Agent
from app.domain.customer import Customer
from app.domain.event import Severity
from app.domain.job import Job
from app.domain.matcher import Matcher


class AlertKind(StrEnum):
    """What is wrong."""

    FAILED = "failed"
    WARNING = "warning"
    MISSED = "missed"
    OVERRUN = "overrun"
    AGENT_SILENT = "agent_silent"
    CLOCK_OFF = "clock_off"
    UNCLEAR = "unclear"


class AlertState(StrEnum):
    """The state of an alert. One that is acknowledged is open too."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Rule:
    """Decides whether an alert of `kind` opens. A disabled rule still decides: nothing opens for what it matches."""

    id: str
    name: str
    kind: AlertKind
    customer_id: str | None = None
    enabled: bool = True
    matchers: tuple[Matcher, ...] = ()
    after_in_row: int = 1
    retry_within: timedelta = timedelta(0)
    silent_after: timedelta | None = None
    position: int = 100
    created_at: datetime | None = None  # None: not stored yet
    version: int = 1


@dataclass(frozen=True, slots=True)
class Alert:
    """A problem. `since` is when it began for the backup, `opened_at` when the alert opened.

    `repeats` counts the occurrences after the first, whether or not it took more than one in a row to open the alert.
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
    form: str = ""  # of an unclear alert: the key of the form of its text; one of each form is open at a time
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_by_id: str | None = None  # of the person or the key, whose name others may have too
    closed_at: datetime | None = None
    closed_reason: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)  # for matchers; not stored


def without_rule(reason: str, rule: str | None = None) -> str:
    """Return the reason of an alert without the name of its rule at the end. Without `rule`, whatever name stands there is removed."""
    if rule is not None:
        return reason.removesuffix(f"; rule '{rule}'")
    alone, found, _ = reason.rpartition("; rule '")
    return alone if found and reason.endswith("'") else reason


def alert_facts(
    customer: Customer, agent: Agent, job: Job | None, kind: str, severity: str, message: str | None
) -> Mapping[str, str]:
    """Return what matchers can test of an alert, by field (see domain/matcher.py). A job's label overrides its agent's of the same name."""
    labels = {**agent.labels, **(job.labels if job else {})}
    return {
        **{f"label:{name}": str(value) for name, value in labels.items()},
        "customer": customer.name,
        "agent": agent.name,
        "job": job.name if job else "",
        "activity": job.activity.value if job else "",
        "kind": kind,
        "severity": severity,
        "message": message or "",
    }
