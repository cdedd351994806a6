"""Decide when an agent counts as silent. The expectations of its jobs count first, because a weekly backup reports nothing for six days.

Pure.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.agent import Agent
from app.domain.event import Activity
from app.domain.expectation import MAX_EARLY
from app.domain.job import Job

NEW_FOR = timedelta(days=14)  # how long a job without an expectation may just be too new for one to be learned


def silent_later(agent: Agent, jobs: Sequence[Job]) -> datetime | None:
    """Return when to ask again about an agent whose limit has passed, or None: it is silent now.

    An agent whose jobs have expectations is not silent while none of these jobs has been due since its last report. A limit that an
    administrator set for the agent applies at once. So does the limit of the rule if a new job has no expectation yet, because
    nothing else watches that job.
    """
    heard_at = agent.last_heard_at
    if agent.silent_after is not None or heard_at is None:
        return None
    expected = [job for job in jobs if job.active_expectation is not None]
    if any(_is_too_new(job, heard_at) for job in jobs):
        return None
    if any(job.last_due_at is not None and job.last_due_at > heard_at + MAX_EARLY for job in expected):
        return None  # a run was due since, and did not come
    return min((job.overdue_at for job in expected if job.overdue_at is not None), default=None)


def _is_too_new(job: Job, heard_at: datetime) -> bool:
    is_watched = job.active_expectation is not None or job.dismissed_at is not None
    return not is_watched and job.activity is not Activity.RESTORE and job.created_at > heard_at - NEW_FOR
