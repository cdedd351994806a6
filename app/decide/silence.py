"""Decide when an agent counts as silent. The expectations of its jobs count first, because a weekly backup reports nothing for six days.

Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.decide.rules import rule_for
from app.domain.agent import Agent, AgentState
from app.domain.alert import AlertKind, Rule
from app.domain.event import Activity
from app.domain.expectation import MAX_EARLY
from app.domain.job import Job

NEW_FOR = timedelta(days=14)  # how long a job without an expectation may just be too new for one to be learned


@dataclass(frozen=True, slots=True)
class SilenceVerdict:
    """Whether an agent is silent now; if not, when to ask again. None: not before its next report, or an edit."""

    is_silent: bool
    ask_again: datetime | None = None


def silence_limit(agent: Agent, facts: Mapping[str, str], rules: Sequence[Rule]) -> timedelta | None:
    """Return after how much time without a report an agent counts as silent; None: never. Its own limit comes before the rules."""
    if agent.state is not AgentState.APPROVED:
        return None
    rule = rule_for(AlertKind.AGENT_SILENT, agent.customer_id, facts, rules)
    return agent.silent_after or (rule.silent_after if rule is not None and rule.enabled else None)


def judge_silence(agent: Agent, limit: timedelta | None, jobs: Sequence[Job], now: datetime) -> SilenceVerdict:
    """Judge an agent whose `silent_at` has passed, by its limit as it is now: it may have been edited since its last report."""
    if limit is None:
        return SilenceVerdict(is_silent=False)
    if agent.last_heard_at is not None and agent.last_heard_at + limit > now:
        return SilenceVerdict(is_silent=False, ask_again=agent.last_heard_at + limit)
    later = silent_later(agent, jobs)
    return SilenceVerdict(is_silent=later is None, ask_again=later)


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
