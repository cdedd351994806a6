"""`kill -9` of server and worker at random moments under load: nothing that was accepted is lost or sent twice without a record of it."""

from functools import partial
from pathlib import Path

import pytest

from tests.chaos.storm import ROUNDS, storm_over

FEW = 3
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rounds", [FEW, pytest.param(ROUNDS, id="many")])
async def test_nothing_is_lost_or_sent_twice_when_processes_are_killed(database_url: str, rounds: int, tmp_path: Path):
    with storm_over(database_url, tmp_path) as storm:
        await storm.prepare(rounds)
        await storm.under_load(partial(storm.kill_some, rounds), faults=True)
        await storm.let_time_pass()
        await storm.settle()
        await storm.aftermath.check()
        print(f"{rounds} rounds: {storm.score()}")  # noqa: T201  (shown with -s)
        await storm.stop()
