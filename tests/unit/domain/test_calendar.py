"""When summaries are due, and which period one covers that an administrator asks for between two."""

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


@pytest.mark.parametrize(
    ("recurrence", "moment", "previous", "following"),
    [
        (DAILY, "2026-11-24T06:59", "2026-11-23T07:00", "2026-11-24T07:00"),
        (DAILY, "2026-11-24T07:00", "2026-11-23T07:00", "2026-11-25T07:00"),
        (DAILY, "2026-11-24T07:01", "2026-11-24T07:00", "2026-11-25T07:00"),
        (BERLIN, "2026-11-24T06:30", "2026-11-24T06:00", "2026-11-25T06:00"),
        (WEEKLY, "2026-11-24T09:00", "2026-11-22T08:00", "2026-11-29T08:00"),  # Sundays
        (MONTHLY, "2026-11-24T09:00", "2026-11-01T06:00", "2026-12-01T06:00"),
        (MONTHLY, "2026-12-31T09:00", "2026-12-01T06:00", "2027-01-01T06:00"),
    ],
)
def test_the_times_before_and_after_a_moment(
    recurrence: Recurrence, moment: str, previous: str, following: str
) -> None:
    assert previous_time(recurrence, at(moment)) == at(previous)
    assert next_time(recurrence, at(moment)) == at(following)


@pytest.mark.parametrize(
    ("recurrence", "cron"),
    [
        (DAILY, "0 7 * * *"),
        (Recurrence(Frequency.DAY, 7, 30), "30 7 * * *"),
        (Recurrence(Frequency.WEEK, 8, weekday=1), "0 8 * * 1"),
        (WEEKLY, "0 8 * * 0"),  # 7 is Sunday
        (Recurrence(Frequency.MONTH, 6, month_day=28), "0 6 28 * *"),
    ],
)
def test_a_recurrence_as_a_cron(recurrence: Recurrence, cron: str) -> None:
    assert recurrence.cron == cron
