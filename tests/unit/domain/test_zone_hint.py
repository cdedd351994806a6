"""A job that comes whole hours off its expected time each day gets the hint that its time zone may be wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.event import RunOutcome
from app.domain.expectation import Expectation
from app.domain.run import Run
from app.domain.zone_hint import zone_hint

BERLIN = Expectation(timedelta(hours=1), cron="0 2 * * *", time_zone="Europe/Berlin")


def runs_at(*times: str) -> list[Run]:
    """Return runs that started at these times of the days of May 2026, one a day (UTC), each after a missed one."""
    found = []
    for day, at in enumerate(times, start=4):
        began = datetime.fromisoformat(f"2026-05-{day:02}T{at}:00").replace(tzinfo=UTC)
        slot = began - timedelta(hours=2)
        found.append(Run(f"run_m{day}", "cus_1", "job_1", "", slot, slot, slot, RunOutcome.MISSED))
        ended = began + timedelta(hours=1)
        found.append(Run(f"run_{day}", "cus_1", "job_1", "", ended, began, ended, RunOutcome.SUCCESS))
    return found


@pytest.mark.parametrize(
    ("expectation", "times", "hint"),
    [
        (BERLIN, ["02:00", "02:04", "02:01"], "came 2 hours after the expected time"),
        (BERLIN, ["00:00", "02:04", "02:01", "02:00"], "came 2 hours after the expected time"),
        (BERLIN, ["18:00", "18:00", "18:00"], "came 6 hours before the expected time"),
        (BERLIN, ["23:01", "23:00", "23:02"], "came 1 hour before the expected time"),
        (Expectation(timedelta(hours=1), cron="30 2 * * *", time_zone="UTC"), ["00:31"] * 3, "came 2 hours before"),
        (BERLIN, ["00:00", "00:10", "00:05"], None),  # it is on time
        (BERLIN, ["00:50", "00:55", "00:58"], None),  # late, but within its grace
        (BERLIN, ["02:00", "02:00"], None),  # too few days
        (BERLIN, ["02:00", "03:00", "02:00"], None),  # not the same each day
        (BERLIN, ["02:40", "02:41", "02:42"], None),  # not whole hours
        (BERLIN, ["00:00", "02:00", "02:00"], None),
        (Expectation(timedelta(hours=1), cron="0 * * * *"), ["02:30", "02:30", "02:30"], None),
        (Expectation(timedelta(hours=1), period=timedelta(days=1)), ["02:00", "02:00", "02:00"], None),
        (None, ["02:00", "02:00", "02:00"], None),
    ],
)
def test_the_hint(expectation: Expectation | None, times: list[str], hint: str | None) -> None:
    found = zone_hint(expectation, runs_at(*times))
    assert (found is None) == (hint is None)
    assert hint is None or hint in str(found)


def test_the_hint_names_the_time_zone() -> None:
    assert zone_hint(BERLIN, runs_at("02:00", "02:00", "02:00")) == (
        "Its last 3 runs came 2 hours after the expected time. Check the time zone of its expectation (Europe/Berlin): the"
        " scheduler that starts the job may use a different one."
    )
