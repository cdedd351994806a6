"""An event: an immutable fact that we received, and what it means for a run. Pure; it decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Activity(StrEnum):
    """What was done."""

    BACKUP = "backup"
    RESTORE = "restore"
    VERIFY = "verify"
    PRUNE = "prune"
    REPLICATE = "replicate"
    ADMIN = "admin"
    HEARTBEAT = "heartbeat"
    OTHER = "other"


class Phase(StrEnum):
    """The part of a run that an event reports; a plain message has none."""

    STARTED = "started"
    PROGRESS = "progress"
    FINISHED = "finished"


class RunOutcome(StrEnum):
    """How a run ended. `missed`, `overrun` and `superseded` are set by us and never sent by an agent."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    UNCLEAR = "unclear"  # it ended, and neither success nor failure is proven
    MISSED = "missed"
    OVERRUN = "overrun"  # it takes too long, and an alert was decided on; its end, if it still comes, replaces this
    SUPERSEDED = "superseded"  # it began and never ended, and a later run ended


class Severity(StrEnum):
    """How bad an event is, in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class EventKind(StrEnum):
    """The source of an event: an agent (report), our clock, a relay, our own test mails (canary), our own access to mail systems (service), or
    an administrator who says what another event meant (taught).
    """

    REPORT = "report"
    MISSED = "missed"
    OVERRUN = "overrun"
    SILENT = "silent"
    RELAY = "relay"
    CANARY = "canary"
    SERVICE = "service"
    TAUGHT = "taught"


# In the extra of a report: when it was sent by its sender's clock, and by how many seconds that clock is behind (negative: ahead).
SENT_AT, CLOCK_OFFSET_S = "sent_at", "clock_offset_s"
PROMPT = timedelta(minutes=2)  # a report that came within this time after its event did not wait anywhere
PROVEN = (RunOutcome.SUCCESS, RunOutcome.WARNING, RunOutcome.FAILURE)  # outcomes that say how well a job is
STATUS_FIELD = "status field"  # the rule of a reading that a field of the tool states, and not its words
READING = "reading"  # in the extra of a report: its meaning by its words, the words that decided, and the rule
RUN_BEGAN = "run_began"  # in the extra of an overrun event: when the run began that takes too long
HABIT = "habit"  # in the extra of a missed event: the learned times, in words, which nobody confirmed
TAUGHT_RUN, TAUGHT_EVENT = (
    "run_key",
    "event",
)  # in the extra of a taught event: the run that it decides, and the event that it explains


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. `key` is unique per agent; `job` is None where the event is about the agent itself. Times are UTC."""

    id: str
    customer_id: str
    agent_id: str
    key: str
    occurred_at: datetime
    received_at: datetime
    kind: EventKind = EventKind.REPORT
    job: str | None = None
    run: str | None = None
    activity: Activity = Activity.BACKUP
    phase: Phase | None = None
    outcome: RunOutcome | None = None
    severity: Severity = Severity.INFO
    message: str | None = None
    log: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


def outcome_of(event: Event) -> RunOutcome | None:
    """Return how the run ended, or None if this event ends none.

    An outcome always ends a run. So does `finished`, and so does a plain message of severity error or critical: an error that
    an agent reports without any detail must open an alert.
    """
    if event.outcome is not None:
        return event.outcome
    by_severity = {Severity.INFO: RunOutcome.SUCCESS, Severity.WARNING: RunOutcome.WARNING}.get(
        event.severity, RunOutcome.FAILURE
    )
    if event.phase is Phase.FINISHED:
        return by_severity
    return RunOutcome.FAILURE if event.phase is None and by_severity is RunOutcome.FAILURE else None


def is_time_proven(event: Event) -> bool:
    """Return whether `occurred_at` is right by our clock.

    A time long before the receipt is not: either the report waited somewhere, or its sender's clock is behind. `sent_at` decides which.
    """
    return SENT_AT in event.extra or event.received_at - event.occurred_at <= PROMPT


def job_name_of(event: Event) -> str | None:
    """Return the job that the event is about: the one that it names, or its activity where it ends a run without naming a job."""
    if event.job is not None:
        return event.job
    if event.phase is None and outcome_of(event) is None:
        return None
    return event.activity.value


class EventState(StrEnum):
    """What became of an event: not decided on yet; decided on; or deciding failed on it, and an administrator can retry it."""

    NEW = "new"
    FOLDED = "folded"
    SET_ASIDE = "set_aside"


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event as it is stored, with its state, without what is long. None is what the agent did not send.

    `run_id`: the run that it belongs to. `error`: why it was set aside.
    """

    id: str
    customer_id: str
    agent_id: str
    key: str
    kind: EventKind
    state: EventState
    job: str | None
    run: str | None
    run_id: str | None
    activity: Activity
    phase: Phase | None
    outcome: RunOutcome | None
    severity: Severity
    occurred_at: datetime
    received_at: datetime
    message: str | None
    flags: tuple[str, ...] | None
    error: str | None


@dataclass(frozen=True, slots=True)
class StoredEvent(ListedEvent):
    """An event as it is stored, whole."""

    log: str | None
    metrics: Mapping[str, float] | None
    labels: Mapping[str, str] | None
    extra: Mapping[str, object] | None
