"""A learned cadence fits the job that it was learned from: its regular runs are never reported missed, and it is when the job stops."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.cadence import MAX_RUNS, RunTimes, propose
from app.domain.expectation import Expectation, next_slot
from tests.support.examples import examples

BERLIN = "Europe/Berlin"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
CRONS = st.one_of(
    st.builds("{} {} * * *".format, st.integers(0, 59), st.integers(0, 23)),
    st.builds(
        "{} {} * * {}".format,
        st.integers(0, 59),
        st.integers(0, 23),
        st.sampled_from(["1-5", "2-6", "1-6", "1,3,5", "0", "6", "2", "0,3"]),
    ),
    st.builds("{} {} {} * *".format, st.integers(0, 59), st.integers(0, 23), st.integers(1, 28)),
    st.builds("{} * * * *".format, st.integers(0, 59)),
    st.builds(
        "{} {} * * {}".format,
        st.integers(0, 59),
        st.sampled_from(["*/2", "*/3", "*/4", "*/6", "*/8", "*/12", "1-23/2", "6,14,22", "8-18"]),
        st.sampled_from(["*", "1-5"]),
    ),
)


def slots_of(cron: str, zone: str, since: datetime, count: int) -> list[datetime]:
    """Return the first slots after `since`, in UTC."""
    slots = CronSim(cron, since.astimezone(ZoneInfo(zone)))
    return [next(slots).astimezone(UTC) for _ in range(count)]


def seen_at(moments: Sequence[datetime], lasts: timedelta | None = None) -> list[RunTimes]:
    """Return the times of runs that began at these moments, all with the same duration, if any."""
    return [RunTimes(moment, moment, lasts) for moment in moments]


def is_missed(proposed: Expectation, last: datetime, then: datetime) -> bool:
    """Return whether a job that came at `last` and comes again at `then` would be reported missed in between."""
    _, slot = next_slot(proposed, last, None, last)
    return slot + proposed.grace < then


def learned(moments: Sequence[datetime], *zones: str) -> Expectation | None:
    return propose(seen_at(moments[-MAX_RUNS:]), (*zones, "UTC"))


def check(moments: Sequence[datetime], first: int, zone: str, longest_gap: timedelta) -> None:
    """Learn again with each run from the `first` on: the next run is never reported missed, and the end of the job is, in time."""
    for count in range(first, len(moments)):
        proposed = learned(moments[:count], zone)
        if proposed is not None:
            last, then = moments[count - 1], moments[count]
            assert not is_missed(proposed, last, then), f"{proposed} after {last} calls {then} missed"
            assert is_missed(proposed, last, last + 2 * longest_gap + 4 * DAY), f"{proposed} would not notice the end"


@settings(max_examples=examples(60), deadline=None)
@given(CRONS, st.sampled_from([BERLIN, "UTC", "America/St_Johns"]), MOMENTS, st.integers(0, 2**32), st.integers(0, 100))
def test_no_regular_run_is_reported_missed_and_the_end_of_the_job_is(
    cron: str, zone: str, since: datetime, chance: int, wander: int
) -> None:
    slots = slots_of(cron, zone, since, 22)
    gaps = [later - one for one, later in pairwise(slots)]
    draw = Random(chance)
    most = min(min(gaps) / 12, HOUR) * wander / 100
    moments = [slot + most * draw.random() for slot in slots]
    check(moments, 5, zone, max(gaps))


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(5 * 60, 20 * 86_400), MOMENTS, st.integers(0, 2**32))
def test_a_timer_without_a_time_of_day_is_expected_by_its_period(period_s: int, since: datetime, chance: int) -> None:
    draw = Random(chance)
    moments = [since]
    for _ in range(30):
        moments.append(moments[-1] + timedelta(seconds=period_s * (1 + 0.05 * draw.random())))
    check(moments, 5, BERLIN, timedelta(seconds=period_s * 1.05))


WEEKLY_TIMERS = {  # hours by which each run came later or earlier than exactly a week after the one before
    "whose last run came late": [1, 0, 4, 7, 7],
    "whose first runs wander": [1, 4, -1, 7, 5],
    "that came early at last": [-2, 2, -2, 4, -2, 1, 3, 4, 1, 2],
    "of somewhat less than a week": [2, -1, 2, -2, -5, -1],
}


@pytest.mark.parametrize("name", WEEKLY_TIMERS)
def test_a_weekly_timer_that_drifts_is_expected_by_its_period(name: str) -> None:
    """For five weeks it may keep to a time of day by chance; as a cron, its next run would be reported missed, although it came."""
    moments = [datetime(2026, 1, 28, 7, 25, tzinfo=UTC)]
    for hours in WEEKLY_TIMERS[name]:
        moments.append(moments[-1] + timedelta(days=7, hours=hours))
    check(moments, 5, BERLIN, timedelta(days=7, hours=8))
    found = learned(moments, BERLIN)
    assert found is not None
    assert found.cron is None


@pytest.mark.parametrize("late", [timedelta(0), timedelta(minutes=90)])
def test_a_weekly_job_at_a_time_of_day_stays_a_cron_if_it_varies_by_minutes(late: timedelta) -> None:
    moments = slots_of("0 4 * * 0", BERLIN, daily(1)[0], 12)
    found = learned([slot + late * (number * 5 % 7 / 7) for number, slot in enumerate(moments)], BERLIN)
    assert found is not None
    assert found.cron is not None


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.datetimes(datetime(2026, 1, 1), datetime(2026, 3, 1), timezones=st.just(UTC)), max_size=40))  # noqa: DTZ001
def test_any_runs_lead_to_a_valid_proposal_or_none(moments: list[datetime]) -> None:
    proposed = learned(sorted(moments), BERLIN)
    if proposed is not None:
        assert (proposed.cron is None) != (proposed.period is None)
        assert proposed.grace > timedelta(0)
        _, slot = next_slot(proposed, max(moments), None, max(moments))
        assert max(moments) < slot < max(moments) + 370 * DAY


def daily(count: int, at: str = "2026-11-02T02:00:03+01:00", step: timedelta = DAY) -> list[datetime]:
    first = datetime.fromisoformat(at)
    return [(first + step * number).astimezone(UTC) for number in range(count)]


NAMED: dict[str, tuple[list[datetime], str | None]] = {
    "daily, after five runs": (daily(5), "0 2 * * *"),
    "daily, its scheduler two seconds early": (daily(9, "2026-11-02T02:59:58+01:00"), "0 3 * * *"),
    "on working days": (slots_of("30 22 * * 1-5", BERLIN, daily(1)[0], 12), "30 22 * * 1-5"),
    "weekly": (slots_of("0 4 * * 0", BERLIN, daily(1)[0], 5), "0 4 * * 0"),
    "monthly": (slots_of("15 1 1 * *", BERLIN, daily(1)[0], 5), "15 1 1 * *"),
    "hourly": (slots_of("5 * * * *", BERLIN, daily(1)[0], 5), "5 * * * *"),
    "every six hours": (slots_of("0 */6 * * *", BERLIN, daily(1)[0], 5), "0 */6 * * *"),
    "three times a day": (slots_of("0 6,12,22 * * *", BERLIN, daily(1)[0], 30), "0 6,12,22 * * *"),
    "hourly in office hours": (slots_of("0 8-18 * * 1-5", BERLIN, daily(1)[0], 150), "0 8-18 * * 1-5"),
    "over both changes of the clock": (
        slots_of("0 2 * * *", BERLIN, datetime(2026, 3, 20, tzinfo=UTC), 20),
        "0 2 * * *",
    ),
    "one run late": ([*daily(6), daily(7)[6] + 7 * HOUR, *daily(15)[7:]], "0 2 * * *"),
    "one run not at all": ([*daily(6), *daily(15)[7:]], "0 2 * * *"),
    "away for nine days": ([*daily(9), *daily(20)[18:]], "0 2 * * *"),
    "each with a retry": (sorted(daily(7) + [one + timedelta(minutes=10) for one in daily(7)]), "0 2 * * *"),
    "with runs by hand": (sorted([*daily(14), daily(5)[4] + 9 * HOUR, daily(9)[8] + 13 * HOUR]), "0 2 * * *"),
    "a line tried five times": (daily(5, step=timedelta(minutes=1)), None),
    "by hand, whenever": ([daily(30)[day] + day * day % 17 * HOUR for day in (0, 2, 3, 9, 10, 17, 21, 22, 29)], None),
    "four runs": (daily(4), None),
}


@pytest.mark.parametrize("name", NAMED)
def test_the_schedules_that_people_set_are_learned(name: str) -> None:
    moments, cron = NAMED[name]
    proposed = learned(moments, BERLIN)
    assert (proposed.cron if proposed else None) == cron
    if proposed is not None:
        assert proposed.time_zone == BERLIN


def test_a_job_by_utc_is_learned_in_utc_once_the_clock_changes() -> None:
    moments = slots_of("0 2 * * *", "UTC", datetime(2026, 10, 15, tzinfo=UTC), 25)
    found = learned(moments, BERLIN)
    assert found is not None
    assert (found.cron, found.time_zone) == ("0 2 * * *", "UTC")


def test_a_job_that_reports_only_ends_is_expected_by_the_time_of_its_end() -> None:
    ends = [one + timedelta(minutes=90 + 7 * (number % 4)) for number, one in enumerate(daily(10))]
    found = propose([RunTimes(end - timedelta(minutes=90), end) for end in ends], (BERLIN,))
    assert found is not None
    assert not is_missed(found, ends[-1], ends[-1] + DAY)
    assert is_missed(found, ends[-1], ends[-1] + DAY + 6 * HOUR)


def test_how_long_a_run_may_take_is_learned_from_runs_that_reported_both_ends() -> None:
    found = propose(seen_at(daily(8), lasts=timedelta(minutes=50)), (BERLIN,))
    assert found is not None
    assert found.longest == timedelta(minutes=150)


@pytest.mark.parametrize(("runs_a_day", "grace"), [(94, timedelta(minutes=10)), (40, 3 * DAY + timedelta(minutes=10))])
def test_a_frequent_job_that_never_rests_is_reported_at_once(runs_a_day: int, grace: timedelta) -> None:
    moments = daily(MAX_RUNS, step=timedelta(minutes=15))
    found = propose(seen_at(moments), (BERLIN,), [runs_a_day] * 7)
    assert found is not None
    assert (found.period, found.grace) == (timedelta(minutes=15), grace)
