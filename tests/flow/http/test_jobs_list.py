"""The list of jobs shows those in trouble first, and each job once on whatever pages. On both databases."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.store.fleet import JobSearch, search_jobs
from tests.support.context import SystemUnderTest, open_system

_OUTCOMES = {
    "good-1": "success",
    "warned": "warning",
    "failed-1": "failure",
    "new": None,
    "unclear": "unclear",
    "good-2": "success",
    "failed-2": "failure",
    "good-3": "success",
}


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        for name, outcome in _OUTCOMES.items():
            await system.receive(job=name, **({"outcome": outcome} if outcome else {"phase": "started"}))
            await system.decide()
            system.pass_time(minutes=1)
        hidden = system.time[0]
        await system.receive(job="hidden", outcome="success", occurred_at=hidden + timedelta(hours=2))
        await system.decide()
        system.pass_time(hours=1)
        await system.receive(job="hidden", outcome="failure", occurred_at=hidden)
        await system.decide()
        yield system


async def walk(system: SystemUnderTest, search: JobSearch, limit: int) -> list[str]:
    """Return the names on all pages; none but the first may be empty."""
    names: list[str] = []
    after = ""
    while True:
        async with system.context.database.read() as tx:
            page = await search_jobs(tx, search, None, limit, system.time[0], after)
        assert page.items or not names
        names += [one.job.name for one in page.items]
        if page.next is None:
            return names
        after = page.next


async def test_jobs_in_trouble_come_first_the_worst_first_then_the_others_by_their_creation(
    system: SystemUnderTest,
) -> None:
    trouble = ["failed-1", "failed-2", "hidden", "unclear", "warned"]
    for limit in range(1, 12):
        assert await walk(system, JobSearch(), limit) == [*trouble, "good-1", "new", "good-2", "good-3"], limit


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ("failed", ["failed-1", "failed-2", "hidden"]),
        ("ok", ["good-1", "good-2", "good-3"]),
        ("new", ["new"]),
        ("warning", ["warned"]),
        ("missed", []),
    ],
)
async def test_a_state_is_asked_for(system: SystemUnderTest, state: str, names: list[str]) -> None:
    for limit in (1, 2, 3, 20):
        assert await walk(system, JobSearch(state=state), limit) == names


@pytest.mark.parametrize("after", ["x", "9.1.job_x", "0.99999999999999999.job_" + "0" * 28, "'; --"])
async def test_a_place_that_was_made_up_is_no_error(system: SystemUnderTest, after: str) -> None:
    async with system.context.database.read() as tx:
        await search_jobs(tx, JobSearch(), None, 5, system.time[0], after)
