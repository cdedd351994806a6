"""A new expectation begins now: it never calls a time missed that lies before it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.admin.editing import Editor
from app.admin.jobs import _slots
from app.core.errors import BadInput
from app.domain.record import Record

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BY = Editor("ann", NOW, lambda _stage: None)
BEFORE = st.one_of(st.none(), st.timedeltas(min_value=timedelta(days=-800), max_value=timedelta(hours=24)))


def stored(**given: object) -> dict[str, object]:
    return {"cron": None, "period_s": None, "time_zone": "UTC", "grace_s": 0, "longest_s": None} | given


def job_that_came(ago: timedelta | None) -> Record:
    return Record("job_1", 1, {"last_came_at": None if ago is None else NOW + ago})


@given(BEFORE, st.sampled_from(["0 2 * * *", "*/5 * * * *", "30 4 1 * *"]), st.integers(0, 86400))
def test_a_cron_is_awaited_in_the_future(ago: timedelta | None, cron: str, grace_s: int) -> None:
    slots = _slots(stored(cron=cron, grace_s=grace_s, time_zone="Europe/Berlin"), job_that_came(ago), BY)
    assert slots["next_due_at"] > NOW
    assert slots["overdue_at"] == slots["next_due_at"] + timedelta(seconds=grace_s)


@given(BEFORE, st.integers(60, 10**8))
def test_a_period_is_awaited_in_the_future(ago: timedelta | None, period_s: int) -> None:
    slots = _slots(stored(period_s=period_s), job_that_came(ago), BY)
    assert slots["next_due_at"] >= NOW + timedelta(seconds=period_s)


def test_nothing_is_awaited_without_an_expectation() -> None:
    assert set(_slots(None, job_that_came(timedelta(0)), BY).values()) == {None}


def test_a_cron_that_never_comes_is_refused() -> None:
    with pytest.raises(BadInput):
        _slots(stored(cron="0 0 30 2 *"), None, BY)
