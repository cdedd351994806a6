"""What a request proves about its sender's clock, and how the times in it are corrected."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.intake.clocks import move_back_leads
from app.intake.validate import validate_event
from app.store.intake import NewEvent

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def validated(**event: Any) -> NewEvent:
    return validate_event(event, "cus_1", "agt_1", "sql01", NOW, 1024)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "occurred_at", "sent_at", "expected", "flags", "offset_s"),
    [
        ("a right clock", "11:00", "12:00", "11:00", [], None),
        ("on its way for a minute", "11:00", "11:59", "11:00", [], None),
        ("9 h behind", "02:00", "03:00", "11:00", ["clock_corrected"], 9 * 3600),
        ("3 h ahead", "14:00", "15:00", "11:00", ["clock_corrected"], -3 * 3600),
        ("behind, and the report waited for two hours", "01:00", "03:00", "10:00", ["clock_corrected"], 9 * 3600),
        ("the report waited, the clock is right", "01:00", "12:00", "01:00", [], None),
        ("nothing proves whether it waited", "03:00", None, "03:00", [], None),
    ],
)
def test_the_time_at_which_it_was_sent_corrects_the_time_of_an_event(
    name: str, occurred_at: str, sent_at: str | None, expected: str, flags: list[str], offset_s: int | None
) -> None:
    def day(text: str) -> str:
        return f"2026-11-23T{text}:00+00:00"

    row = validated(occurred_at=day(occurred_at), sent_at=None if sent_at is None else day(sent_at))
    assert (row.occurred_at.isoformat(), json.loads(row.flags or "[]")) == (day(expected), flags), name
    extra = json.loads(row.extra or "{}")
    assert (extra.get("sent_at"), extra.get("clock_offset_s")) == (None if sent_at is None else day(sent_at), offset_s)


@pytest.mark.parametrize("year", [1, 1970, 2000, 2099, 9999])
def test_a_clock_that_lost_its_battery_is_corrected_too(year: int) -> None:
    sent_at = datetime(year, 6, 1, 12, 0, tzinfo=UTC)
    row = validated(occurred_at=(sent_at - timedelta(minutes=5)).isoformat(), sent_at=sent_at.isoformat())
    assert (row.occurred_at, row.flags) == (NOW - timedelta(minutes=5), '["clock_corrected"]')


def test_a_time_of_sending_that_is_no_time_costs_nothing() -> None:
    row = validated(outcome="failure", sent_at="soon")
    assert (row.outcome, row.occurred_at, row.flags) == ("failure", NOW, '["sent_at_ignored"]')


def test_a_sender_cannot_prove_its_time_by_extra() -> None:
    row = validated(extra={"sent_at": NOW.isoformat(), "clock_offset_s": 7, "site": "a"})
    assert json.loads(row.extra or "") == {"site": "a"}


def test_the_same_event_sent_again_has_the_same_key() -> None:
    first, again = (
        validated(
            job="db", outcome="failure", occurred_at="2026-11-23T02:00:00Z", sent_at=f"2026-11-23T03:0{minute}:00Z"
        )
        for minute in (0, 9)
    )
    assert first.key == again.key
    assert first.occurred_at != again.occurred_at


@given(st.lists(st.integers(-3600, 24 * 3600), min_size=1, max_size=6))
def test_a_clock_that_is_ahead_never_dates_an_event_after_its_receipt_and_keeps_the_order(leads: list[int]) -> None:
    rows = [validated(occurred_at=(NOW + timedelta(seconds=lead)).isoformat()) for lead in leads]
    moved = move_back_leads(rows, ["sql01"] * len(rows))
    assert all(row.occurred_at <= NOW for row in moved)
    distances = {later.occurred_at - earlier.occurred_at for later, earlier in zip(moved, rows, strict=True)}
    assert len(distances) == 1, "all are moved by the same time"


def test_only_the_agent_whose_clock_is_ahead_is_moved() -> None:
    rows = [validated(occurred_at=(NOW + timedelta(hours=hours)).isoformat()) for hours in (2, -1, -1)]
    moved = move_back_leads(rows, ["fast", "fast", "right"])
    assert [row.occurred_at - NOW for row in moved] == [timedelta(hours=hours) for hours in (0, -3, -1)]
    assert [row.flags for row in moved] == ['["clock_ahead"]', '["clock_ahead"]', None]
    assert json.loads(moved[0].extra or "") == {"clock_offset_s": -7200}
