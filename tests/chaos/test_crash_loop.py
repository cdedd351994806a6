"""Programs that crash every few seconds still get work done: their lives mail what waits, none of it twice without a record."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from app.core.clock import now
from tests.chaos.storm import Storm, storm_over
from tests.support.context import open_system

FAILURES, ROUTINE = 294, 1_000
LIFE_S = 2.5  # after the server answers
MOST_LIVES = 40
pytestmark = pytest.mark.slow


async def leave_work(storm: Storm) -> None:
    """Leave failures whose notices wait, and routine events that wait behind them."""
    async with open_system(storm.url, storm.folder, **storm.mail_settings()) as system:
        system.time[0] = now()
        for number in range(FAILURES):
            await system.receive(agent=f"host-{number % 20}", job=f"broken-{number}", outcome="failure")
        await system.decide()
        for number in range(ROUTINE):
            await system.receive(agent=f"host-{number % 20}", job=f"routine-{number % 100}", outcome="success")


async def live(storm: Storm) -> None:
    """Start the programs, and kill them `LIFE_S` after the server answers."""
    storm.start()
    await storm.answers()
    await asyncio.sleep(LIFE_S)
    for program in storm.programs:
        program.kill()


async def test_lives_of_seconds_mail_all_that_waits(database_url: str, tmp_path: Path) -> None:
    with storm_over(database_url, tmp_path) as storm:
        await storm.prepare(0)
        await leave_work(storm)
        mailed = [0]
        while mailed[-1] < FAILURES and len(mailed) <= MOST_LIVES:
            await live(storm)
            mailed.append(len(storm.postbox.copies()))
        print(mailed)  # noqa: T201  (shown with -s)
        assert mailed[-1] == FAILURES, mailed
        assert storm.postbox.failures() == {f"broken-{number}" for number in range(FAILURES)}
        storm.start()
        await storm.settle()
        await no_copy_without_a_record(storm)
        await storm.stop()


async def no_copy_without_a_record(storm: Storm) -> None:
    """Each further copy of a mail has an attempt of which nobody could know whether it was sent."""
    unknown = Counter(await storm.aftermath.unknown_attempts())
    assert {one: copies for one, copies in storm.postbox.copies().items() if copies > 1 + unknown[one]} == {}
