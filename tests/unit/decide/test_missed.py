"""What the clock makes of a job whose slot and grace have passed. It is Wednesday, 8:00 UTC; every event until then is folded."""

from datetime import timedelta

import pytest

from app.decide.missed import is_catching_up, judge_slot
from app.domain.event import HABIT, Severity
from app.domain.expectation import Expectation
from app.domain.job import Job
from app.store.heartbeats import Listening
from tests.support.decide_cases import NOW, ago, job, later

HOUR = timedelta(hours=1)
NIGHTLY = Expectation(grace=HOUR, cron="0 2 * * *")
DAILY_PERIOD = Expectation(grace=HOUR, period=timedelta(days=1))
SHORT = Expectation(grace=HOUR, cron="0 2 * * *", longest=timedelta(hours=3))
AT_2, AT_3 = ago(hours=6), ago(hours=5)  # this night's slot, and when it became overdue
YESTERDAY = ago(hours=30)  # 2:00 of the day before


def due(**fields: object) -> Job:
    """Return a job whose slot of 2:00 is overdue, and which reported 30 hours ago."""
    return job(**{"next_due_at": AT_2, "overdue_at": AT_3, "last_came_at": YESTERDAY, **fields})


@pytest.mark.parametrize(
    ("name", "state", "missed", "next_due", "message"),
    [
        (
            "set by an administrator",
            due(expectation=NIGHTLY),
            AT_2,
            later(hours=18),
            "expected 2026-03-04 02:00 UTC and did not come; last report 2026-03-03 02:00 UTC",
        ),
        (
            "it never reported",
            due(expectation=NIGHTLY, last_came_at=None),
            AT_2,
            later(hours=18),
            "expected 2026-03-04 02:00 UTC and did not come; no report so far",
        ),
        (
            "a period",
            due(expectation=DAILY_PERIOD),
            AT_2,
            later(hours=18),
            "expected 2026-03-04 02:00 UTC and did not come; last report 2026-03-03 02:00 UTC",
        ),
        (
            "announced by its tool",
            due(told_expectation=DAILY_PERIOD, told_at=YESTERDAY),
            AT_2,
            later(hours=18),
            "expected 2026-03-04 02:00 UTC, as its tool announced, and did not come; last report 2026-03-03 02:00 UTC",
        ),
        (
            "learned from its runs",
            due(proposed_expectation=NIGHTLY, learned_at=ago(hours=29)),
            AT_2,
            later(hours=18),
            (
                "expected 2026-03-04 02:00 UTC (learned from its runs: daily at 02:00 (UTC); not confirmed) and did not come; "
                "last report 2026-03-03 02:00 UTC"
            ),
        ),
        (
            "several slots since an outage of ours: only the newest is reported",
            due(expectation=NIGHTLY, next_due_at=ago(days=3, hours=6), last_came_at=ago(days=4)),
            AT_2,
            later(hours=18),
            "expected 2026-03-04 02:00 UTC and did not come; last report 2026-02-28 08:00 UTC",
        ),
        (
            "a run that has been under way for longer than a run may take",
            due(expectation=SHORT, running_since=ago(hours=4)),
            AT_2,
            later(hours=18),
            "expected 2026-03-04 02:00 UTC and did not come; last report 2026-03-03 02:00 UTC",
        ),
    ],
)
def test_a_slot_that_was_missed(name: str, state: Job, missed: object, next_due: object, message: str) -> None:
    after, event = judge_slot(state, NOW, NOW)
    assert event is not None, name
    assert (event.occurred_at, event.message) == (missed, message)
    assert (after.last_due_at, after.next_due_at, after.overdue_at) == (missed, next_due, later(hours=19))


@pytest.mark.parametrize(
    ("name", "state", "overdue_at"),
    [
        ("nothing is expected any more", due(), None),
        ("no slot is expected", due(expectation=NIGHTLY, next_due_at=None), None),
        ("dismissed by an administrator", due(proposed_expectation=NIGHTLY, dismissed_at=ago(days=1)), None),
        (
            "a run is under way and may still take time",
            due(expectation=SHORT, running_since=ago(hours=2)),
            later(hours=1),
        ),
        (
            "learned, but not from its newest run",
            due(proposed_expectation=NIGHTLY, learned_at=ago(days=9)),
            later(minutes=1),
        ),
        ("learned, but never looked at", due(proposed_expectation=NIGHTLY), later(minutes=1)),
    ],
)
def test_a_slot_that_is_not_called_missed_yet(name: str, state: Job, overdue_at: object) -> None:
    after, event = judge_slot(state, NOW, NOW)
    assert (event, after.overdue_at) == (None, overdue_at), name


def test_a_stale_proposal_is_learned_again_before_an_alert_opens() -> None:
    after, _ = judge_slot(due(proposed_expectation=NIGHTLY, learned_at=ago(days=9)), NOW, NOW)
    assert after.learn_at == NOW


@pytest.mark.parametrize(
    ("state", "severity", "habit"),
    [
        (due(expectation=NIGHTLY), Severity.ERROR, None),
        (due(told_expectation=DAILY_PERIOD, told_at=YESTERDAY), Severity.ERROR, None),
        (due(proposed_expectation=NIGHTLY, learned_at=NOW), Severity.WARNING, "daily at 02:00 (UTC)"),
    ],
)
def test_only_a_learned_expectation_that_nobody_confirmed_is_a_warning(
    state: Job, severity: Severity, habit: str | None
) -> None:
    _, event = judge_slot(state, NOW, NOW)
    assert event is not None
    assert (event.severity, event.extra.get(HABIT)) == (severity, habit)


@pytest.mark.parametrize(
    ("updated_s_ago", "gap_ended_min_ago", "is_waiting"),
    [
        (5, None, False),  # there never was a gap
        (60, None, False),
        (61, None, True),  # a gap whose end is not noted yet
        (5, 1, True),  # agents still have time to send again
        (5, 4.9, True),
        (5, 5, False),
    ],
)
def test_after_an_outage_of_ours_agents_first_have_time_to_send_again(
    updated_s_ago: float, gap_ended_min_ago: float | None, is_waiting: bool
) -> None:
    since = None if gap_ended_min_ago is None else ago(minutes=gap_ended_min_ago)
    assert is_catching_up(Listening(ago(seconds=updated_s_ago), since), NOW) is is_waiting
