"""Ends the silences that were made "until it is fixed", once nothing of what they mute is open any more.

What was fixed shows by an alert that an event closes, and by a job or agent that is well again although somebody closed its alert by
hand before: otherwise such a silence would mute the next failure, too.
"""

from collections.abc import Sequence
from datetime import datetime

from app.core.ids import new_id
from app.domain.agent import Agent
from app.domain.follow_up import FollowUp, FollowUpKind
from app.domain.job import Job, JobState
from app.domain.matcher import all_match
from app.domain.route import Silence
from app.store.alerts import has_open_alert
from app.store.edits import insert_follow_up
from app.store.routing import end_silence
from app.store.transactions import WriteTx


async def end_fixed(
    tx: WriteTx, silences: Sequence[Silence], fixed: Sequence[tuple[Agent, Job | None]], now: datetime
) -> None:
    """End the silences of these jobs, or of these agents where there is no job, unless something else that they mute is open.

    One that names a job waits for this job only, one that names an agent waits for all that is open of it. A silence stays where an
    alert is closed by hand: that fixes nothing.
    """
    waiting = [silence for silence in silences if silence.until_fixed]
    for silence in waiting:
        names_job = any(matcher.field == "job" for matcher in silence.matchers)
        for agent, job in fixed:
            names = {"agent": agent.name, "job": "" if job is None else job.name}
            if silence.customer_id != agent.customer_id or not all_match(silence.matchers, names):
                continue
            if await has_open_alert(tx, agent.customer_id, agent.id, job.id if job is not None and names_job else None):
                continue
            if await end_silence(tx, silence.id, now):
                await insert_follow_up(tx, FollowUp(new_id("fup"), FollowUpKind.MUTED, silence.id, now, ""))
            break


def is_well_again(before: Job, after: Job) -> bool:
    """Return whether a job was in trouble and is no more."""
    was_worse = before.state is JobState.WARNING and after.state is JobState.OK
    return was_worse or (_is_in_trouble(before) and not _is_in_trouble(after))


def _is_in_trouble(job: Job) -> bool:
    is_unproven = job.unclear_at is not None or job.overrun_since is not None
    return is_unproven or job.late_failure_at is not None or job.state in (JobState.FAILED, JobState.MISSED)
