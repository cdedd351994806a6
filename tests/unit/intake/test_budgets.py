"""Budgets of a key: what is refused, what is taken all the same, and how long to wait."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.budget import Budget, KeyLimits, is_routine
from app.intake.budgets import METERS_MOST, Bucket, KeyBudgets, SenderKey
from app.store.intake import NewEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
DAY = int(NOON // 86_400)
LIMITS = KeyLimits(events_a_minute=60, new_agents_an_hour=2, new_jobs_an_hour=2, bytes_a_day=10_000, mails_a_minute=5)


def a_key(limits: KeyLimits = LIMITS, key_id: str = "key_1", **more: int) -> SenderKey:
    return SenderKey(key_id, "Acme", "abcd…", "cus_1", limits, **more)


def event(outcome: str | None = "success", severity: str = "info", log: str | None = None) -> NewEvent:
    at = datetime.fromtimestamp(NOON, UTC)
    return NewEvent(
        "evt", "cus_1", "agt_1", "k", "nightly", None, "backup", None, outcome, severity, at, at, None, log, None, None, None, None
    )  # fmt: skip


def admit(budgets: KeyBudgets, key: SenderKey, *events: NewEvent, size: int = 10, at: float = NOON) -> set[int]:
    """Return the indexes that are refused."""
    refusal = budgets.admit(key, events, ["sql01"] * len(events), size, at)
    return set() if refusal is None else set(refusal.indexes)


@pytest.mark.parametrize(
    ("outcome", "severity", "expected"),
    [
        ("success", "info", True),
        (None, "info", True),  # a start, progress, a heartbeat
        ("success", "warning", False),
        (None, "error", False),
        (None, "warning", False),
        ("failure", "error", False),
        ("failure", "info", False),
        ("warning", "warning", False),
        ("unclear", "warning", False),
        ("cancelled", "info", False),
    ],
)
def test_only_what_says_nothing_bad_may_be_refused(outcome: str | None, severity: str, expected: bool) -> None:
    assert is_routine(outcome, severity) is expected


def test_beyond_the_events_of_a_minute_the_first_routine_is_kept_and_every_failure() -> None:
    budgets, key = KeyBudgets(), a_key()
    assert admit(budgets, key, *[event()] * 58) == set()
    mixed = [event(), event("failure", "error"), event(), event(), event("unclear", "warning"), event()]
    assert admit(budgets, key, *mixed) == {0, 2, 3, 5}  # the two failures took what was left
    assert admit(budgets, key, event("failure", "error")) == set()


def test_what_was_refused_fits_after_the_seconds_in_the_answer() -> None:
    budgets, key = KeyBudgets(), a_key()
    admit(budgets, key, *[event()] * 60)
    refusal = budgets.admit(key, [event()] * 5, ["sql01"] * 5, 10, NOON)
    assert refusal is not None
    assert refusal.answer is not None
    assert (refusal.answer.code, refusal.answer.retry_after) == ("budget_events_a_minute", 5)
    assert admit(budgets, key, *[event()] * 5, at=NOON + refusal.answer.retry_after) == set()


def test_the_debt_of_a_flood_of_failures_is_over_a_minute_after_it() -> None:
    budgets, key = KeyBudgets(), a_key()
    assert admit(budgets, key, *[event("failure", "error")] * 10_000) == set()
    assert admit(budgets, key, event(), at=NOON + 59) == {0}
    assert admit(budgets, key, event(), at=NOON + 62) == set()


def test_beyond_the_bytes_of_the_day_a_failure_keeps_the_ends_of_its_log() -> None:
    budgets, key = KeyBudgets(), a_key()
    assert admit(budgets, key, event(), size=9_999) == set()
    refusal = budgets.admit(key, [event(), event("failure", "error", "x")], ["a", "a"], 100, NOON)
    assert refusal is not None
    assert refusal.answer is not None
    assert (refusal.answer.code, refusal.answer.retry_after) == ("budget_bytes_a_day", 12 * 3600)
    assert refusal.indexes == {0}
    assert refusal.cuts_logs
    assert admit(budgets, key, event(), size=100, at=NOON + 12 * 3600) == set()


def test_the_bytes_that_another_process_counted_count_here_too() -> None:
    budgets, key = KeyBudgets(), a_key()
    assert admit(budgets, key, event(), size=4_000) == set()
    meter = budgets.meters["key_1"]
    later = a_key(day=DAY, day_bytes=6_000)  # the database knows of others' bytes and of none of ours
    assert admit(budgets, later, event(), size=100) == {0}
    meter.note_written(4_000)
    assert meter.unwritten == 0


def test_after_a_restart_the_bytes_of_the_day_are_still_used() -> None:
    assert admit(KeyBudgets(), a_key(day=DAY, day_bytes=10_000), event()) == {0}
    assert admit(KeyBudgets(), a_key(day=DAY - 1, day_bytes=10_000), event()) == set()


def test_a_limit_that_is_raised_holds_at_once() -> None:
    budgets = KeyBudgets()
    admit(budgets, a_key(), *[event()] * 60)
    raised = a_key(KeyLimits(1_000, 2, 2, 10_000, 5))
    assert admit(budgets, raised, *[event()] * 900) == set()


def test_keys_that_were_used_once_are_forgotten_before_they_fill_the_memory() -> None:
    budgets = KeyBudgets()
    for number in range(METERS_MOST + 10):
        admit(budgets, a_key(key_id=f"key_{number}"), event())
    assert len(budgets.meters) == METERS_MOST


def test_the_names_of_refused_agents_are_counted_up_to_a_bound() -> None:
    budgets, key = KeyBudgets(), a_key()
    budgets.admit(key, [event()] * 500, [f"made-up-{n}" for n in range(500)], 10, NOON)
    refused = budgets.meters["key_1"].refused[Budget.EVENTS]
    assert refused.events == 440
    assert len(refused.by_agent) <= 20


@given(st.lists(st.tuples(st.floats(-100, 100), st.integers(1, 50)), max_size=60))
def test_no_order_of_times_allows_more_than_the_limit_and_what_flows_in(steps: list[tuple[float, int]]) -> None:
    """Also when the clock is set back."""
    bucket, now, forward, taken = Bucket(60, 60.0, NOON), NOON, 0.0, 0
    for step, wanted in steps:
        now += step
        forward += max(0.0, step)
        taken += wanted if bucket.take(wanted, now) else 0
        assert taken <= 60 + forward + 1e-6
