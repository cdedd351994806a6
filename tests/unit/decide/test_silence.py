"""Whether an agent counts as silent once its limit has passed. It is Wednesday, 8:00 UTC; it reported three days ago."""

from datetime import datetime, timedelta

import pytest

from app.decide.silence import silent_later
from app.domain.agent import Agent
from app.domain.event import Activity
from app.domain.expectation import Expectation
from app.domain.job import Job
from tests.support.decide_cases import ago, job, later

WEEKLY = Expectation(grace=timedelta(hours=1), cron="0 8 * * 0")
HEARD = ago(days=3)
AGENT = Agent("agt_1", "cus_1", "nas01", ago(days=90), last_heard_at=HEARD, silent_at=ago(days=1))
WATCHED = job(expectation=WEEKLY, last_due_at=HEARD, overdue_at=later(days=4))
MISSED = job(expectation=WEEKLY, last_due_at=ago(days=1), overdue_at=later(days=6))
NEW = job(created_at=ago(days=6))


@pytest.mark.parametrize(
    ("agent", "jobs", "asked_again"),
    [
        (AGENT, [WATCHED], later(days=4)),
        (AGENT, [WATCHED, job(expectation=WEEKLY, last_due_at=HEARD, overdue_at=later(days=2))], later(days=2)),
        (AGENT, [job(proposed_expectation=WEEKLY, last_due_at=HEARD, overdue_at=later(days=4))], later(days=4)),
        (
            AGENT,
            [job(expectation=WEEKLY, last_due_at=HEARD + timedelta(minutes=4), overdue_at=later(days=4))],
            later(days=4),
        ),
        (AGENT, [WATCHED, MISSED], None),
        (AGENT, [], None),
        (AGENT, [job()], None),  # nothing is expected of it, so the rule's limit decides
        (AGENT, [WATCHED, job()], later(days=4)),  # an old job without a cadence: it is started by hand
        (AGENT, [WATCHED, NEW], None),  # nothing else watches the new job
        (AGENT, [WATCHED, job(created_at=ago(days=6), dismissed_at=ago(days=5))], later(days=4)),
        (AGENT, [WATCHED, job(created_at=ago(days=6), activity=Activity.RESTORE)], later(days=4)),
        (
            Agent("agt_1", "cus_1", "nas01", ago(days=90), silent_after=timedelta(days=2), last_heard_at=HEARD),
            [WATCHED],
            None,
        ),
        (Agent("agt_1", "cus_1", "nas01", ago(days=90)), [WATCHED], None),
    ],
)
def test_an_agent_is_silent_only_if_something_was_due(
    agent: Agent, jobs: list[Job], asked_again: datetime | None
) -> None:
    assert silent_later(agent, jobs) == asked_again
