"""The events by which the service reports its own state as if it were a backup: trouble is a failure of a job of ours, its end a success. Pure.

So the same alerts, routes, silences and mails tell of it.
"""

from datetime import datetime

from app.core.ids import new_id
from app.domain.event import Activity, Event, EventKind, RunOutcome, Severity
from app.domain.job import Job

AGENT = "Tocsin"  # the agent whose jobs these are, except those about relays


def service_event(
    of: tuple[str, str],
    key: str,
    job: str,
    message: str,
    now: datetime,
    *,
    is_well: bool,
    kind: EventKind = EventKind.SERVICE,
    failed_as: Severity = Severity.ERROR,
    log: str | None = None,
) -> Event:
    """Return the event of one state. `of`: the ids of the customer and of the agent; `failed_as`: how bad trouble is."""
    customer_id, agent_id = of
    return Event(
        id=new_id("evt"),
        customer_id=customer_id,
        agent_id=agent_id,
        key=key,
        occurred_at=now,
        received_at=now,
        kind=kind,
        job=job,
        activity=Activity.OTHER,
        outcome=RunOutcome.SUCCESS if is_well else RunOutcome.FAILURE,
        severity=Severity.INFO if is_well else failed_as,
        message=message,
        log=log,
    )


def well_since(job: Job | None, now: datetime) -> datetime:
    """Return since when a state was not reported as trouble, to tell one trouble from the one before in the keys of events.

    Without a job, which was never there or which somebody deleted, it is the present hour: the events of a deleted job are still
    stored, and a key that never changes would keep the next trouble from being reported.
    """
    if job is None:
        return now.replace(minute=0, second=0, microsecond=0)
    return job.last_success_at or job.created_at
