"""A job that is expected at 02:30 in Berlin, in the nights in which the clocks change there: the real worker, with a clock that the test moves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import worker
from app.core.periodic import Idle, keep_ticking
from app.decide import missed
from app.store import heartbeats
from tests.support.api import Api, serving

STEP, GRACE = timedelta(minutes=30), timedelta(minutes=30)
NIGHT_FROM, NIGHT_TO = 23, 4  # hours in UTC; the day between two nights passes in one step
STAGES = ("heartbeat", "missed", "decide", "compose")
AUTUMN, SPRING = datetime(2026, 10, 25, tzinfo=UTC), datetime(2027, 3, 28, tzinfo=UTC)


def at(day: datetime, days: int, time: str) -> datetime:
    """A time in UTC, `days` after the day of the change."""
    hour, minute = map(int, time.split(":"))
    return day + timedelta(days=days, hours=hour, minutes=minute)


@dataclass(frozen=True)
class Night:
    """When the job reports a success, all in UTC, and when its alert must open: between the two times, or never."""

    what: str
    change: datetime
    runs: tuple[tuple[int, str], ...]
    alert: tuple[tuple[int, str], tuple[int, str]] | None = None


NIGHTS = (
    # 25 October 2026: 02:30 comes at 00:30 and at 01:30 UTC.
    Night("it runs at the first 02:30 only", AUTUMN, ((0, "00:30"), (1, "01:30"))),
    Night("it runs at the second 02:30 only", AUTUMN, ((0, "01:30"), (1, "01:30"))),
    Night("it runs at both", AUTUMN, ((0, "00:30"), (0, "01:30"), (1, "01:30"))),
    Night("it does not run in the night that has two", AUTUMN, ((1, "01:30"),), ((0, "02:00"), (0, "02:30"))),
    Night("it does not run the night after", AUTUMN, ((0, "00:30"),), ((1, "02:00"), (1, "02:30"))),
    # 28 March 2027: there is no 02:30; 02:00 is 03:00, at 01:00 UTC.
    Night("it does not run in the night without 02:30", SPRING, ((1, "00:30"),)),
    Night("it runs right after the hour that is left out", SPRING, ((0, "01:00"), (1, "00:30"))),
    Night("it does not run the night after it, either", SPRING, (), ((1, "01:00"), (1, "01:30"))),
    Night("it runs early and then not the night after", SPRING, ((0, "00:30"),), ((1, "01:00"), (1, "01:30"))),
)


class Clock:
    """The time of the service, and how often each stage of its worker has run."""

    def __init__(self, start: datetime) -> None:
        self.time = start
        self.ticks: Counter[str] = Counter()

    def __call__(self) -> datetime:
        return self.time

    async def keep_ticking(
        self, tick: Callable[[], Awaitable[bool | Idle]], *, name: str, every: float, **more: Any
    ) -> None:
        """Run a stage as the worker does, but without long pauses."""

        async def counted() -> bool:
            result = await tick()
            self.ticks[name] += 1
            return bool(result)  # no long wait: only the test moves the clock

        await keep_ticking(counted, name=name, every=0.005 if name in STAGES else every, **more)

    async def move(self, to: datetime) -> None:
        """Set the time, and wait until each stage has seen it and what the one before it made of it."""
        self.time = to
        for stage in STAGES:
            seen = self.ticks[stage]
            async with asyncio.timeout(60):
                while self.ticks[stage] < seen + 2:  # noqa: ASYNC110  (the first of the two may have begun before)
                    await asyncio.sleep(0.005)


@asynccontextmanager
async def nightly_job(
    database_url: str, folder: Path, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Api, Clock]]:
    """A service whose job ran the night before the change."""
    clock = Clock(start)
    monkeypatch.setattr(worker, "keep_ticking", clock.keep_ticking)
    for module in (heartbeats, missed):  # the time jumps by more than a minute, and that is no outage
        monkeypatch.setattr(module, "GAP", timedelta(days=1))
    async with serving(database_url, folder, work=worker.run, clock=clock, admin_email="ann@example.org") as api:
        await report(api, clock)
        await clock.move(start)
        (job,) = await api.items("/v1/jobs")
        expectation = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "grace_s": int(GRACE.total_seconds())}
        await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": expectation})
        yield api, clock


async def report(api: Api, clock: Clock) -> None:
    await api.report({"agent": "nas", "job": "nightly", "outcome": "success", "occurred_at": clock().isoformat()})


@pytest.mark.slow
@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: night.what)
async def test_one_alert_for_a_run_that_is_missed_and_none_for_any_other(
    sqlite_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, night: Night
):
    before = "00:30" if night.change is AUTUMN else "01:30"
    start, end = at(night.change, -1, before), at(night.change, 1, "03:00")
    runs = [at(night.change, *run) for run in night.runs]
    opened: list[datetime] = []
    async with nightly_job(sqlite_database_url, tmp_path, start, monkeypatch) as (api, clock):
        while clock.time < end:
            await clock.move(next_step(clock.time))
            if clock.time in runs:
                await report(api, clock)
            if not opened and await missed_alerts(api):
                opened.append(clock.time)
        alerts = await missed_alerts(api)
        mails = [one for one in await api.items("/v1/messages") if "nightly" in one["subject"]]
    assert len(alerts) == (night.alert is not None)
    recovered = bool(opened) and any(run > opened[0] for run in runs)
    assert len(mails) == len(alerts) + recovered
    if night.alert is not None:
        earliest, latest = (at(night.change, *time) for time in night.alert)
        assert earliest <= opened[0] <= latest


def next_step(time: datetime) -> datetime:
    """Return the time of the next look: each half hour of a night."""
    is_day = NIGHT_TO <= time.hour < NIGHT_FROM
    return time.replace(hour=NIGHT_FROM, minute=0) if is_day else time + STEP


async def missed_alerts(api: Api) -> list[dict[str, Any]]:
    """Return the alerts about the job; that its agent is silent is another alert."""
    return [alert for alert in await api.items("/v1/alerts") if alert["kind"] == "missed"]
