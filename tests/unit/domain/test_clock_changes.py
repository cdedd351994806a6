"""Nights on which clocks change: however a scheduler treats them, its runs are neither missed nor late."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.calendar import Frequency, Recurrence, next_time
from app.domain.expectation import Expectation, last_overdue_slot, next_slot, overdue_time, slot_after
from tests.support.examples import examples

ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Santiago",  # clocks change at midnight
    "Asia/Beirut",
    "Australia/Lord_Howe",  # by half an hour
    "Antarctica/Troll",  # by two hours
    "Africa/Casablanca",
    "Pacific/Auckland",
    "Asia/Tokyo",  # never
)
GRACE, YEAR = timedelta(minutes=40), 2026
BERLIN, DAY, HOUR = ZoneInfo("Europe/Berlin"), timedelta(days=1), timedelta(hours=1)
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


def changes(zone: str) -> list[date]:
    """Return the local dates of the year on which the clocks of a zone change."""
    noons = [datetime(YEAR, 1, 2, 12, tzinfo=ZoneInfo(zone)) + DAY * number for number in range(360)]
    return [noon.date() for noon in noons if noon.utcoffset() != (noon - DAY).utcoffset()]


def runs_of(zone: str, day: date, at: time, spring: str, autumn: str) -> Iterator[datetime]:
    """Return when a scheduler runs a job of this time of day on a date, in UTC."""
    first = datetime.combine(day, at, ZoneInfo(zone))
    second = first.replace(fold=1)
    gap = second.utcoffset() - first.utcoffset()  # type: ignore[operator]
    if gap > timedelta(0):  # the time does not exist
        if spring == "right after":  # Debian's cron, cronie: at the first minute that exists
            while first.astimezone(UTC).astimezone(first.tzinfo) != first:
                first += timedelta(minutes=1)
            yield first
        elif spring == "an hour later":  # Windows, and programs that count from midnight
            yield first.astimezone(UTC)
        return  # systemd, Kubernetes: not at all
    yield from ([first, second] if gap and autumn == "both" else [second] if autumn == "second" else [first])


def missed_nights(expectation: Expectation, came: list[datetime]) -> list[datetime]:
    """Return the slots that are missed, as folding and the clock would find them, if these runs come."""
    missed, last_slot = [], None
    settled, awaited = next_slot(expectation, came[0], None, came[0])
    for moment in came[1:]:
        if overdue_time(expectation, awaited) < moment:
            missed.append(awaited)
            last_slot = awaited
        settled, awaited = next_slot(
            expectation, moment, max(filter(None, (settled, last_slot)), default=None), came[0]
        )
    return missed


@settings(max_examples=examples(600), deadline=None)
@given(
    st.sampled_from(ZONES),
    st.times().map(lambda at: at.replace(second=0, microsecond=0))
    | st.builds(time, st.integers(0, 3), st.sampled_from([0, 1, 30, 59])),
    st.sampled_from(["not at all", "right after", "an hour later"]),
    st.sampled_from(["first", "second", "both"]),
    st.timedeltas(timedelta(0), timedelta(minutes=39)),
)
def test_a_nightly_run_is_never_missed_because_clocks_changed(
    zone: str, at: time, spring: str, autumn: str, delay: timedelta
) -> None:
    cron = Expectation(GRACE, cron=f"{at.minute} {at.hour} * * *", time_zone=zone)
    for change in changes(zone):
        days = [change + DAY * number for number in range(-4, 5)]
        came = [run.astimezone(UTC) + delay for day in days for run in runs_of(zone, day, at, spring, autumn)]
        assert missed_nights(cron, sorted(came)) == []


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(ZONES), st.integers(0, 23), st.integers(0, 59), st.integers(-4, 3))
def test_a_night_without_any_run_is_missed_unless_its_time_did_not_exist(
    zone: str, hour: int, minute: int, left_out: int
) -> None:
    expectation = Expectation(GRACE, cron=f"{minute} {hour} * * *", time_zone=zone)
    for change in changes(zone):
        days = [change + DAY * number for number in range(-6, 6) if number not in (left_out, left_out + 1)]
        came = [
            run.astimezone(UTC) for day in days for run in runs_of(zone, day, time(hour, minute), "not at all", "first")
        ]
        assert missed_nights(expectation, sorted(came)) != []


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(ZONES), st.integers(0, 59), st.booleans())
def test_an_hourly_run_is_never_missed_because_clocks_changed(zone: str, minute: int, skips_second: bool) -> None:
    expectation = Expectation(timedelta(minutes=10), cron=f"{minute} * * * *", time_zone=zone)
    for change in changes(zone):
        start = datetime.combine(change, time(0, 0), UTC) - DAY
        hours = (start + HOUR * number for number in range(72))
        locals_ = [hour.astimezone(ZoneInfo(zone)) for hour in hours]
        came = [
            run.astimezone(UTC)
            for run in (local.replace(minute=0) + timedelta(minutes=minute) for local in locals_)
            if not (skips_second and run.fold)
        ]
        if zone != "Australia/Lord_Howe":  # its half hours leave no whole hour between two runs
            assert missed_nights(expectation, sorted(set(came))) == []


@pytest.mark.parametrize(
    ("cron", "moment", "slot", "overdue"),
    [
        # the night before, the night itself, the night after; the grace is 40 minutes
        ("30 2 * * *", "2026-03-27 12:00", "2026-03-28 01:30", "2026-03-28 02:10"),
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-30 00:30", "2026-03-30 01:10"),
        ("0 3 * * *", "2026-03-28 12:00", "2026-03-29 01:00", "2026-03-29 01:40"),
        ("30 2 * * *", "2026-10-24 12:00", "2026-10-25 00:30", "2026-10-25 02:10"),
        ("0 3 * * *", "2026-10-24 12:00", "2026-10-25 02:00", "2026-10-25 02:40"),
        # 2:10 for the second time: the slot of this night is over
        ("30 2 * * *", "2026-10-25 02:10 again", "2026-10-26 01:30", "2026-10-26 02:10"),
        ("30 2 * * *; 0 12 * * *", "2026-10-25 02:10 again", "2026-10-25 11:00", "2026-10-25 11:40"),
    ],
)
def test_slots_around_the_nights_on_which_clocks_change(cron: str, moment: str, slot: str, overdue: str) -> None:
    expectation = Expectation(GRACE, cron=cron, time_zone="Europe/Berlin")
    local = datetime.fromisoformat(moment.removesuffix(" again")).replace(tzinfo=BERLIN, fold=int("again" in moment))
    found = slot_after(expectation, local.astimezone(UTC))
    assert f"{found:%Y-%m-%d %H:%M}" == slot
    assert f"{overdue_time(expectation, found):%Y-%m-%d %H:%M}" == overdue


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(["30 2 * * *", "55 * * * *", "*/20 * * * *", "10 1,2,3 * * *; 40 2 * * 0"]),
    st.sampled_from(ZONES),
    st.integers(0, 365 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
    | st.sampled_from([SPRING, AUTUMN]).flatmap(lambda day: st.times().map(lambda at: datetime.combine(day, at, UTC))),
)
def test_the_newest_overdue_slot_is_the_newest_whose_time_is_over(cron: str, zone: str, moment: datetime) -> None:
    expectation = Expectation(GRACE, cron=cron, time_zone=zone)
    slot, newest = moment - DAY * 3, None
    while (slot := slot_after(expectation, slot)) <= moment:
        if overdue_time(expectation, slot) <= moment:
            newest = slot if newest is None else max(newest, slot)
    assert last_overdue_slot(expectation, moment) == newest


@pytest.mark.parametrize(
    ("cron", "zone", "moment", "slot"),
    [
        # the slot right before the hours that come twice is over, while those of these hours may still come
        ("55 * * * *", "Antarctica/Troll", "2026-10-25T00:35", "2026-10-24T22:55"),
        ("*/20 * * * *", "Europe/Berlin", "2026-10-25T00:20", "2026-10-24T23:40"),
    ],
)
def test_no_overdue_slot_right_before_the_repeated_hours_is_skipped(
    cron: str, zone: str, moment: str, slot: str
) -> None:
    expectation = Expectation(GRACE, cron=cron, time_zone=zone)
    found = last_overdue_slot(expectation, datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(slot).replace(tzinfo=UTC)


@pytest.mark.parametrize(("zone", "missed"), [("Europe/Berlin", 0), ("UTC", 1)])
def test_a_run_each_24_hours_may_come_after_25_where_its_zone_puts_the_clocks_back(zone: str, missed: int) -> None:
    local = [datetime.combine(AUTUMN + DAY * number, time(4, 0), BERLIN) for number in range(-3, 4)]
    came = [run.astimezone(UTC) for run in local]
    assert len(missed_nights(Expectation(GRACE, period=DAY, time_zone=zone), came)) == missed


def test_a_summary_is_due_after_the_moment_also_where_its_hour_comes_twice() -> None:
    daily = Recurrence(Frequency.DAY, 2, 30, time_zone="Europe/Berlin")
    second = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN).astimezone(UTC)
    assert next_time(daily, second) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
