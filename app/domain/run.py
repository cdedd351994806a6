"""A run: one execution of a job, merged from its events in any order of arrival. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from app.core.replacing import replace
from app.domain.dedupe import TAUGHT
from app.domain.event import TAUGHT_EVENT, TAUGHT_RUN, Event, EventKind, Phase, RunOutcome, Severity, outcome_of


@dataclass(frozen=True)  # without slots, so that it is copied quickly: see core/replacing.py
class Run:
    """One execution. `outcome` is None while it runs; `decided_by` is the key of the event that ended it.

    `day` is the day in whose roll-up it was counted, because the customer's time zone may change afterwards. A missed run has
    its slot as `started_at`, and as `ended_at` the earliest moment at which a run would have met it: its place in the history.
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
        """The duration in seconds: as the agent measured it, else from the first to the last event, else 0."""
        if "duration_s" in self.metrics:
            return float(self.metrics["duration_s"])
        if self.started_at is not None and self.ended_at is not None:
            return max(0.0, (self.ended_at - self.started_at).total_seconds())
        return 0.0


SINGLE_EVENT = (
    "event:"  # prefix of the key of a run that is one event, because its tool names no run; see domain/pairing.py
)
UNCLEAR_END = "unclear:"  # prefix of the key of an unclear end that names a run
NAMED = "run:"  # prefix of the key of a run that its agent names
EARLY_S = "early_s"  # metric of a missed event: by how many seconds a run may come before its slot


_BADNESS: Mapping[RunOutcome | None, int] = {
    outcome: place
    for place, outcome in enumerate((RunOutcome.SUCCESS, RunOutcome.CANCELLED, RunOutcome.WARNING, RunOutcome.FAILURE))
}


def run_key_of(event: Event) -> str:
    """Return the key that the events of one run share: the run that the agent names; else each event is a run, and starts and ends are paired.

    An unclear end is a run of its own even if it names one: it must not replace what another event proves of that run.
    """
    if event.kind is EventKind.MISSED:
        return f"missed:{event.key}"
    if event.kind is EventKind.TAUGHT:
        return str(event.extra[TAUGHT_RUN])
    if event.run is not None:
        return (UNCLEAR_END + event.key) if event.outcome is RunOutcome.UNCLEAR else NAMED + event.run
    # Progress is no start: a run that was paired with it would seem to have taken a moment only.
    return (
        f"progress:{event.key}"
        if event.phase is Phase.PROGRESS and outcome_of(event) is None
        else SINGLE_EVENT + event.key
    )


def run_keys_of(event: Event) -> tuple[str, ...]:
    """Return the keys of the runs that an event changes: its own, and for an unclear end the run that it names."""
    own = run_key_of(event)
    return (own, f"{NAMED}{event.run}") if own.startswith(UNCLEAR_END) else (own,)


def end_unclear(run: Run, at: datetime) -> Run:
    """Return the named run after an unclear end: it is not under way any more, and another event may still prove how it ended."""
    run = replace(run, heard_at=max(run.heard_at, at))
    is_open = run.outcome in (None, RunOutcome.OVERRUN)
    return replace(run, outcome=RunOutcome.SUPERSEDED, overrun_at=None) if is_open else run


def merge(run: Run, event: Event) -> Run:
    """Return the run with one event added. Commutative and idempotent.

    The event that happened last decides; at the same moment, what an administrator taught, else the worse outcome: many senders state
    whole seconds, and a success must not hide the failure that came right after it.
    """
    heard_at, outcome, ended_at = max(run.heard_at, event.occurred_at), outcome_of(event), event.occurred_at
    if outcome is None:
        if event.phase in (Phase.STARTED, Phase.PROGRESS):
            started_at = min(run.started_at or event.occurred_at, event.occurred_at)
            return replace(run, heard_at=heard_at, started_at=started_at)
        return replace(run, heard_at=heard_at)
    if event.kind is EventKind.MISSED:
        run = replace(run, started_at=event.occurred_at)
        ended_at -= timedelta(seconds=event.metrics.get(EARLY_S, 0))
    if run.ended_at is not None and (
        run.ended_at,
        (run.decided_by or "").startswith(TAUGHT),
        _BADNESS.get(run.outcome, 0),
        run.decided_by or "",
    ) >= (ended_at, event.kind is EventKind.TAUGHT, _BADNESS.get(outcome, 0), event.key):
        return replace(run, heard_at=heard_at)
    return replace(
        run,
        heard_at=heard_at,
        ended_at=ended_at,
        outcome=outcome,
        severity=event.severity,
        message=event.message,
        metrics=event.metrics,
        decided_by=event.key,
        event_id=str(event.extra.get(TAUGHT_EVENT, event.id)) if event.kind is EventKind.TAUGHT else event.id,
        overrun_at=None,
    )
