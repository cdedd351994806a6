"""A run: one execution of a job, merged from its events so that their order of arrival does not matter. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from app.domain.event import Event, EventKind, Phase, RunOutcome, Severity, outcome_of


@dataclass(frozen=True, slots=True)
class Run:
    """One execution. `outcome` is None while it runs; `decided_by` is the key of the event that ended it.

    `day` is the one that its amounts were counted on: the customer's time zone may change afterwards. A missed run has its
    slot as `started_at`, and as `ended_at` the earliest moment at which a run would have filled it: its place in the history.
    """

    id: str
    customer_id: str
    job_id: str
    run_key: str
    heard_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: RunOutcome | None = None
    severity: Severity = Severity.INFO
    message: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    decided_by: str | None = None
    event_id: str | None = None
    overrun_at: datetime | None = None
    day: date | None = None

    @property
    def duration_s(self) -> float:
        """Seconds it took: as the agent measured it, else from first to last event, else 0."""
        if "duration_s" in self.metrics:
            return float(self.metrics["duration_s"])
        if self.started_at is not None and self.ended_at is not None:
            return max(0.0, (self.ended_at - self.started_at).total_seconds())
        return 0.0


ALONE = "event:"  # how the key of a run begins that is one event, for its tool names no run; see domain/pairing.py
EARLY_S = "early_s"  # metric of a missed event: by how much a run may come before its slot


def run_key_of(event: Event) -> str:
    """Tell events of one run from those of another: by the agent's run, else each event is a run of its own, and starts and ends are paired."""
    if event.kind is EventKind.MISSED:
        return f"missed:{event.key}"
    if event.run is not None:
        return f"run:{event.run}"
    # A sign of progress is no start: an end that took it for one would have lasted for a moment only.
    return f"progress:{event.key}" if event.phase is Phase.PROGRESS and outcome_of(event) is None else ALONE + event.key


def merge(run: Run, event: Event) -> Run:
    """Add one event to its run. Commutative and idempotent: the last word has the event that happened last."""
    run = replace(run, heard_at=max(run.heard_at, event.occurred_at))
    outcome = outcome_of(event)
    if outcome is None:
        if event.phase in (Phase.STARTED, Phase.PROGRESS):
            return replace(run, started_at=min(run.started_at or event.occurred_at, event.occurred_at))
        return run
    if event.kind is EventKind.MISSED:
        run = replace(run, started_at=event.occurred_at)
        event = replace(event, occurred_at=event.occurred_at - timedelta(seconds=event.metrics.get(EARLY_S, 0)))
    if run.ended_at is not None and (run.ended_at, run.decided_by or "") >= (event.occurred_at, event.key):
        return run
    return replace(
        run,
        ended_at=event.occurred_at,
        outcome=outcome,
        severity=event.severity,
        message=event.message,
        metrics=event.metrics,
        decided_by=event.key,
        event_id=event.id,
        overrun_at=None,
    )
