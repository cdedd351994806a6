"""A new expectation begins now: it never counts an earlier time as missed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.admin.jobs import with_expectation
from app.core.errors import BadInput
from app.domain.event import Activity
from app.domain.expectation import Expectation
from app.domain.job import Job

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BEFORE = st.one_of(st.none(), st.timedeltas(min_value=timedelta(days=-800), max_value=timedelta(hours=24)))


def job_that_came(ago: timedelta | None) -> Job:
    came_at = None if ago is None else NOW + ago
    return Job("job_1", "cus_1", "agt_1", "nightly", Activity.BACKUP, created_at=NOW, last_came_at=came_at)


@given(BEFORE, st.sampled_from(["0 2 * * *", "*/5 * * * *", "30 4 1 * *"]), st.integers(0, 86400))
def test_a_cron_expectation_is_due_in_the_future(ago: timedelta | None, cron: str, grace_s: int) -> None:
    nightly = Expectation(grace=timedelta(seconds=grace_s), cron=cron, time_zone="Europe/Berlin")
    job = with_expectation(job_that_came(ago), nightly, NOW)
    assert job.next_due_at is not None
    assert job.next_due_at > NOW
    assert job.overdue_at == job.next_due_at + timedelta(seconds=grace_s)


@given(BEFORE, st.integers(60, 10**8))
def test_a_period_is_due_in_the_future(ago: timedelta | None, period_s: int) -> None:
    period = timedelta(seconds=period_s)
    job = with_expectation(job_that_came(ago), Expectation(grace=timedelta(0), period=period), NOW)
    assert job.next_due_at is not None
    assert job.next_due_at >= NOW + period


def test_nothing_is_due_without_an_expectation() -> None:
    job = with_expectation(job_that_came(timedelta(0)), None, NOW)
    assert (job.last_due_at, job.next_due_at, job.overdue_at) == (None, None, None)


def test_a_cron_that_never_matches_is_refused() -> None:
    with pytest.raises(BadInput):
        with_expectation(job_that_came(None), Expectation(grace=timedelta(0), cron="0 0 30 2 *"), NOW)
