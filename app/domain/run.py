"""A run: one execution of a job, merged from its events so that their order of arrival does not matter. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain.event import Event, EventKind, Phase, RunOutcome, Severity, outcome_of


@dataclass(frozen=True, slots=True)
class Run:
    """One execution. `outcome` is None while it runs; `decided_by` is the key of the event that ended it."""

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

    @property
    def duration_s(self) -> float:
        """Seconds it took: as the agent measured it, else from first to last event, else 0."""
        if "duration_s" in self.metrics:
            return float(self.metrics["duration_s"])
        if self.started_at is not None and self.ended_at is not None:
            return max(0.0, (self.ended_at - self.started_at).total_seconds())
        return 0.0


def run_key_of(event: Event) -> str:
    """Tell events of one run from those of another: by the agent's run, else each event is a run of its own."""
    if event.kind is EventKind.MISSED:
        return f"missed:{event.key}"
    return f"run:{event.run}" if event.run is not None else f"event:{event.key}"


def merge(run: Run, event: Event) -> Run:
    """Add one event to its run. Commutative and idempotent: the last word has the event that happened last."""
    run = replace(run, heard_at=max(run.heard_at, event.occurred_at))
    outcome = outcome_of(event)
    if outcome is None:
        if event.phase in (Phase.STARTED, Phase.PROGRESS):
            return replace(run, started_at=min(run.started_at or event.occurred_at, event.occurred_at))
        return run
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
