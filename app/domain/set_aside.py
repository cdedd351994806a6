"""Reports of trouble that could not be decided on, because of a bug or of a row that another version wrote, and how that is reported. Pure.

Nothing opens an alert for such a failure. So it is reported as an event of a job of our own.
"""

from dataclasses import dataclass
from datetime import datetime

from app.domain.dedupe import set_aside_key
from app.domain.event import Event
from app.domain.service_event import service_event

JOB = "reports that cannot be processed"
_CAUSE_MOST = 200


@dataclass(frozen=True, slots=True)
class SetAside:
    """How many reports of trouble were set aside and have no newer run of their job; the first one, with its agent, its job and the error."""

    reports: int
    event_id: str = ""
    agent: str = ""
    job: str = ""
    error: str = ""


def set_aside_event(found: SetAside, *, customer_id: str, agent_id: str, well_since: datetime, now: datetime) -> Event:
    """Return the event that reports them, or the end of the trouble if there are none. `well_since`: see service_event.py."""
    if found.reports:
        message = (
            f"{found.reports} reports of failures, warnings or missed runs could not be processed and opened no alert. The first one is "
            f"{found.event_id} (GET /v1/events/{found.event_id}) about {found.job} on {found.agent}: {found.error[:_CAUSE_MOST]}. "
            "Look at that job. Once the cause is repaired, have them processed again (docs/operate.md)"
        )
    else:
        message = "all reports of trouble are processed"
    key = set_aside_key(well_since, is_well=not found.reports)
    return service_event((customer_id, agent_id), key, JOB, message, now, is_well=not found.reports)
