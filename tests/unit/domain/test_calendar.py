"""When summaries are due, and which period one tells that is asked for between two."""

from datetime import UTC, datetime

import pytest

from app.domain.calendar import Frequency, Recurrence, next_time, previous_time, whole_period_until

DAILY = Recurrence(Frequency.DAY, 7)
BERLIN = Recurrence(Frequency.DAY, 7, time_zone="Europe/Berlin")
WEEKLY = Recurrence(Frequency.WEEK, 8, weekday=7)
MONTHLY = Recurrence(Frequency.MONTH, 6, month_day=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_seven_in_the_morning_stays_seven_when_the_clocks_change() -> None:
    assert next_time(BERLIN, at("2026-03-28T12:00")) == at("2026-03-29T05:00"), "summer begins: 7:00 is 5:00 UTC"
    assert next_time(BERLIN, at("2026-10-24T12:00")) == at("2026-10-25T06:00"), "summer ends: 7:00 is 6:00 UTC"
    assert previous_time(BERLIN, at("2026-10-25T06:00")) == at("2026-10-24T05:00")


@pytest.mark.parametrize(
    ("recurrence", "asked_at", "start"),
    [
        (DAILY, "2026-11-24T07:05", "2026-11-23T07:05"),
        (DAILY, "2026-11-24T06:55", "2026-11-23T06:55"),
        (WEEKLY, "2026-11-24T09:00", "2026-11-17T09:00"),
        (MONTHLY, "2026-11-24T09:00", "2026-10-24T09:00"),
    ],
)
def test_a_period_asked_for_has_its_full_length(recurrence: Recurrence, asked_at: str, start: str) -> None:
    assert whole_period_until(recurrence, at(asked_at)) == at(start)
