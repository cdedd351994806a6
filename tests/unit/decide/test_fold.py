"""What the events of one job make of its runs, its counters and its day. Which order they come in is tested in test_fold_order.py."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from app.decide.fold import GIVEN_UP_AFTER, fold_job
from app.domain.event import Event, EventKind, Phase, RunOutcome, Severity
from app.domain.expectation import Expectation
from app.domain.job import Job, JobState
from tests.support.decide_cases import NOW, ago, event, job, later

SUCCESS, WARNING, FAILURE = RunOutcome.SUCCESS, RunOutcome.WARNING, RunOutcome.FAILURE
CANCELLED, MISSED = RunOutcome.CANCELLED, RunOutcome.MISSED
NIGHTLY = Expectation(grace=timedelta(hours=1), cron="0 2 * * *")
DAILY_PERIOD = Expectation(grace=timedelta(hours=1), period=timedelta(days=1))


def ended(outcome: RunOutcome, minutes: int = 0) -> Event:
    kind = EventKind.MISSED if outcome is MISSED else EventKind.REPORT
    at = later(minutes=minutes)
    return event(id=f"evt_{minutes}", key=f"{minutes}", occurred_at=at, kind=kind, outcome=outcome)


def started(run: str | None = None, minutes: int = 0) -> Event:
    return event(
        id=f"evt_s{minutes}", key=f"s{minutes}", occurred_at=later(minutes=minutes), phase=Phase.STARTED, run=run
    )


@pytest.mark.parametrize(
    ("outcomes", "state", "failures", "warnings", "missed"),
    [
        ([SUCCESS], "ok", 0, 0, 0),
        ([FAILURE], "failed", 1, 0, 0),
        ([FAILURE, FAILURE], "failed", 2, 0, 0),
        ([FAILURE, SUCCESS], "ok", 0, 0, 0),
        ([WARNING], "warning", 0, 1, 0),
        ([FAILURE, WARNING], "warning", 0, 1, 0),  # it stored something
        ([WARNING, FAILURE], "failed", 1, 1, 0),
        ([WARNING, SUCCESS], "ok", 0, 0, 0),
        ([MISSED], "missed", 0, 0, 1),
        ([MISSED, MISSED], "missed", 0, 0, 2),
        ([FAILURE, MISSED], "missed", 1, 0, 1),
        ([MISSED, FAILURE], "failed", 1, 0, 0),
        ([MISSED, SUCCESS], "ok", 0, 0, 0),
        ([FAILURE, CANCELLED], "failed", 1, 0, 0),
        ([MISSED, CANCELLED], "missed", 0, 0, 0),  # it came, though it stored nothing
        ([CANCELLED], "new", 0, 0, 0),
    ],
)
def test_the_state_and_the_counters_of_a_job(
    outcomes: Sequence[RunOutcome], state: str, failures: int, warnings: int, missed: int
) -> None:
    events = [ended(outcome, minutes) for minutes, outcome in enumerate(outcomes)]
    after = fold_job(job(), {}, events, "UTC").after
    assert after.state == JobState(state)
    assert (after.failures_in_row, after.warnings_in_row, after.missed_in_row) == (failures, warnings, missed)


@pytest.mark.parametrize(
    ("name", "events", "outcomes"),
    [
        ("a start", [started("1")], [None]),
        ("a start and its end", [started("1"), event(run="1", outcome=SUCCESS)], [SUCCESS]),
        (
            "two runs",
            [event(run="1", outcome=SUCCESS), event(id="evt_2", key="2", run="2", outcome=FAILURE)],
            [SUCCESS, FAILURE],
        ),
        ("`finished` without an outcome", [event(phase=Phase.FINISHED)], [SUCCESS]),
        ("`finished` of severity warning", [event(phase=Phase.FINISHED, severity=Severity.WARNING)], [WARNING]),
        ("`finished` of severity error", [event(phase=Phase.FINISHED, severity=Severity.ERROR)], [FAILURE]),
        ("a plain message", [event(message="hello")], []),
        ("a plain message of severity error", [event(severity=Severity.ERROR)], [FAILURE]),
        ("progress", [event(phase=Phase.PROGRESS)], [None]),
        ("an overrun event of the clock", [event(kind=EventKind.OVERRUN, severity=Severity.ERROR)], []),
    ],
)
def test_the_runs_that_events_make(name: str, events: list[Event], outcomes: list[RunOutcome | None]) -> None:
    assert [run.outcome for run in fold_job(job(), {}, events, "UTC").runs] == outcomes, name


@pytest.mark.parametrize(
    ("zone", "ended_at", "day"),
    [
        ("UTC", "2026-03-04T23:30", "2026-03-04"),
        ("Europe/Berlin", "2026-03-04T23:30", "2026-03-05"),
        ("America/New_York", "2026-03-05T03:30", "2026-03-04"),
    ],
)
def test_a_run_counts_on_the_day_of_its_customer(zone: str, ended_at: str, day: str) -> None:
    at = datetime.fromisoformat(ended_at).replace(tzinfo=UTC)
    report = event(occurred_at=at, outcome=SUCCESS, metrics={"bytes_stored": 7.0, "duration_s": 60.0})
    sums = fold_job(job(), {}, [report], zone).sums
    assert sums == {
        date.fromisoformat(day): {"successes": 1, "bytes_processed": 0, "bytes_stored": 7, "duration_s": 60}
    }


def test_a_run_that_ends_otherwise_than_stored_is_first_subtracted_from_its_day() -> None:
    stored = fold_job(job(), {}, [event(run="1", outcome=SUCCESS)], "UTC").runs[0]
    correction = event(id="evt_2", key="key-2", run="1", occurred_at=later(minutes=1), outcome=FAILURE)
    folded = fold_job(job(), {"run:1": stored}, [correction], "UTC")
    sums = folded.sums[NOW.date()]
    assert (sums["successes"], sums["failures"]) == (-1, 1)
    assert folded.is_late, "the job's counters are counted again"


@pytest.mark.parametrize(
    ("name", "state", "reported_at", "next_due"),
    [
        ("a run meets its slot", job(expectation=NIGHTLY), "2026-03-04T02:10", "2026-03-05T02:00"),
        ("a run comes slightly early", job(expectation=NIGHTLY), "2026-03-04T01:56", "2026-03-05T02:00"),
        ("a run comes much too early", job(expectation=NIGHTLY), "2026-03-04T00:30", "2026-03-04T02:00"),
        ("a period counts from the run", job(expectation=DAILY_PERIOD), "2026-03-04T05:30", "2026-03-05T05:30"),
        (
            "a late report moves nothing back",
            job(expectation=NIGHTLY, next_due_at=later(hours=18)),
            "2026-03-02T02:10",
            "2026-03-05T02:00",
        ),
        ("nothing is expected", job(), "2026-03-04T02:10", None),
    ],
)
def test_the_slot_that_is_expected_next(name: str, state: Job, reported_at: str, next_due: str | None) -> None:
    at = datetime.fromisoformat(reported_at).replace(tzinfo=UTC)
    after = fold_job(state, {}, [event(occurred_at=at, received_at=at, outcome=SUCCESS)], "UTC").after
    expected = None if next_due is None else datetime.fromisoformat(next_due).replace(tzinfo=UTC)
    assert after.next_due_at == expected, name


@pytest.mark.parametrize(
    ("state", "is_given_up"),
    [
        (job(expectation=NIGHTLY), False),  # set by an administrator
        (job(proposed_expectation=NIGHTLY, learned_at=ago(days=1)), True),
        (job(told_expectation=DAILY_PERIOD, told_at=ago(days=9)), True),
    ],
)
def test_a_job_that_nobody_set_is_no_longer_expected_after_five_missed_slots(state: Job, is_given_up: bool) -> None:
    state = replace(state, missed_in_row=GIVEN_UP_AFTER - 1, last_finished_at=ago(days=1), next_due_at=NOW)
    after = fold_job(state, {}, [ended(MISSED)], "UTC").after
    assert (after.next_due_at is None) is is_given_up


@pytest.mark.parametrize(
    ("name", "state", "learn_in"),
    [
        ("a new job: at once", job(), timedelta(0)),
        ("a job of a day: after three hours", job(created_at=ago(days=1), learned_at=NOW), timedelta(hours=3)),
        ("a very new job: after 15 minutes", job(created_at=NOW, learned_at=NOW), timedelta(minutes=15)),
        ("a job of a year: after a week", job(created_at=ago(days=365), learned_at=NOW), timedelta(days=7)),
        ("set by an administrator: never", job(expectation=NIGHTLY), None),
        ("announced by its tool: never", job(told_expectation=DAILY_PERIOD, told_at=ago(days=1)), None),
        ("dismissed by an administrator: never", job(dismissed_at=NOW), None),
    ],
)
def test_when_the_cadence_of_a_job_is_learned(name: str, state: Job, learn_in: timedelta | None) -> None:
    learn_at = fold_job(state, {}, [ended(SUCCESS)], "UTC").after.learn_at
    assert learn_at == (None if learn_in is None else NOW + learn_in), name
