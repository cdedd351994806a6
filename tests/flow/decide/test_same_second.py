"""Reports of one job with the same time, as senders that state whole seconds make them: a success hides no failure."""

from pathlib import Path

import pytest

from app.store.tables import alerts, jobs
from tests.support.context import SystemUnderTest, open_system

KEYS = [("a", "b"), ("b", "a")]  # of the success and of the failure: the order of keys must not decide


async def open_failures(system: SystemUnderTest) -> int:
    return len(await system.rows(alerts, alerts.c.kind == "failed", alerts.c.closed_at.is_(None)))


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("come", ["in one request", "in one batch", "one by one"])
@pytest.mark.parametrize("run", [None, "night"])
async def test_a_failure_that_came_after_a_success_of_the_same_second_is_reported(
    database_url: str, tmp_path: Path, keys: tuple[str, str], come: str, run: str | None
) -> None:
    async with open_system(database_url, tmp_path) as system:
        at = system.time[0]
        for key, outcome in zip(keys, ("success", "failure"), strict=True):
            if come != "in one request":
                system.pass_time(milliseconds=200)
            await system.receive(job="files", key=key, run=run, phase="finished", outcome=outcome, occurred_at=at)
            if come == "one by one":
                await system.decide()
        await system.decide()
        assert await open_failures(system) == 1
        system.pass_time(hours=24)
        await system.receive(job="files", phase="finished", outcome="success")
        await system.decide()
        assert await open_failures(system) == 0


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("decided_alone", [False, True])
async def test_of_one_run_that_ended_twice_in_the_same_second_the_worse_end_counts(
    database_url: str, tmp_path: Path, keys: tuple[str, str], decided_alone: bool
) -> None:
    async with open_system(database_url, tmp_path) as system:
        for key, outcome in zip(keys, ("failure", "success"), strict=True):
            await system.receive(job="files", key=key, run="night", phase="finished", outcome=outcome)
            if decided_alone:
                await system.decide()
        await system.decide()
        assert await open_failures(system) == 1
        [job] = await system.rows(jobs)
        assert job.state == "failed"


@pytest.mark.parametrize("come", ["in one request", "one by one"])
async def test_a_later_success_still_answers_a_failure_of_the_same_second_as_another_run(
    database_url: str, tmp_path: Path, come: str
) -> None:
    async with open_system(database_url, tmp_path) as system:
        at = system.time[0]
        for key, outcome, seconds in (("b", "success", 0), ("a", "failure", 0), ("c", "success", 1)):
            await system.receive(
                job="files", key=key, phase="finished", outcome=outcome, occurred_at=at.replace(second=seconds)
            )
            if come == "one by one":
                system.pass_time(milliseconds=600)
                await system.decide()
        await system.decide()
        assert await open_failures(system) == 0
