"""`kill -9` of PostgreSQL under load while our programs run: they reconnect by themselves, and nothing is lost or sent twice without a record of it."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.storm import Storm, storm_over
from tests.support.migrated import migrate
from tests.support.postgres import Cluster

FEW, MANY = 1, 8
pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.mark.parametrize("rounds", [FEW, pytest.param(MANY, id="many")])
async def test_nothing_is_lost_or_sent_twice_when_postgres_is_killed(rounds: int, tmp_path: Path):
    with Cluster(fsync=True) as cluster:
        url = cluster.create_database("storm")
        migrate(url)
        with storm_over(url, tmp_path) as storm:
            await storm.prepare(rounds)
            storm.start()
            await storm.under_load(partial(_kill, cluster, storm, rounds), faults=False)
            assert not [program.end_of_log() for program in storm.programs if program.ended_by_itself]
            await storm.settle()
            await storm.aftermath.check()
            assert await storm.aftermath.workers_alive() == 2, "a worker did not come back by itself"
            print(f"{rounds} rounds: {storm.score()}")  # noqa: T201  (shown with -s)
            await storm.stop()


async def _kill(cluster: Cluster, storm: Storm, rounds: int) -> None:
    for _ in range(rounds):
        await storm.answered()
        await asyncio.sleep(storm.dice.uniform(1.0, 4.0))
        await asyncio.to_thread(cluster.kill)
        await asyncio.sleep(storm.dice.uniform(0.0, 3.0))
        await asyncio.to_thread(cluster.start)
