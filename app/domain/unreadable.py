"""Rows that cannot be read, because another version wrote them or they are damaged, and when that is reported. Pure.

Nothing is decided of such a row, and nobody would be notified of what it is about. So it is reported as an event of a job of our own.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.dedupe import unreadable_key
from app.domain.event import Event
from app.domain.service_event import service_event

JOB = "rows that cannot be read"
REPORTED_AFTER = timedelta(minutes=5)  # an upgrade of several workers, one after the other, takes less
_SHOWN = 3


def unreadable_event(
    found: Sequence[tuple[str, str]], *, customer_id: str, agent_id: str, well_since: datetime, now: datetime
) -> Event:
    """Return the event that reports these rows, each by its table and id, or the end of the trouble if there is none. `well_since`: see service_event.py."""
    if found:
        named = ", ".join(f"{row_id} in {table}" for table, row_id in found[:_SHOWN])
        message = (
            f"{len(found)} rows of the database cannot be read, because another version wrote them or they are damaged: nothing is decided "
            f"of them, and nobody is notified of what they are about: {named}{', …' if len(found) > _SHOWN else ''}. Run the newest version "
            "on all hosts; if that is so, change or delete these rows by the API (docs/operate.md). The log has the cause of each"
        )
    else:
        message = "all rows can be read again"
    key = unreadable_key(well_since, is_well=not found)
    return service_event((customer_id, agent_id), key, JOB, message, now, is_well=not found)
