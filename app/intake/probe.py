"""Puts the probe into the pipeline: read and validated as the body of a request, and stored after a turn of the group commit."""

from datetime import datetime

from app.context import AppContext
from app.core.ids import new_id
from app.domain.probe import AGENT, CUSTOMER, JOB, Probe
from app.intake.body import BodyFormat, RequestBody
from app.intake.commit import GroupCommit
from app.intake.parse import parse_events
from app.intake.validate import validate_event
from app.store.heartbeats import insert_probe

_BODY = b'{"agent": "%s", "job": "%s", "outcome": "failure", "message": "a probe of the pipeline"}'


async def store_probe(context: AppContext, commits: GroupCommit, passed_at: datetime | None) -> Probe:
    """Store a new probe; `passed_at`: when one came to its end last. Raises Unavailable, Overloaded.

    It takes its turn in the queue of the group commit, so that it is not stored where reports are not.
    """
    body = _BODY % (AGENT.encode(), JOB.encode())
    settings, now = context.settings, context.clock()
    parsed = parse_events(
        RequestBody(body, BodyFormat.JSON, is_single=True), max_events=1, max_event_size=settings.event_limit
    )
    [(_, event)] = parsed.events
    validate_event(event, CUSTOMER, AGENT, AGENT, now, settings.log_limit)
    await commits.store([], {}, len(body))
    probe = Probe(new_id("prb"), body, context.clock(), passed_at=passed_at)
    async with context.database.write() as tx:
        await insert_probe(tx, probe)
        tx.after_commit(lambda: context.wakeups.wake("events"))
    return probe
