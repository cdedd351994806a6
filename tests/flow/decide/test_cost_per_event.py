"""What deciding on an event costs does not depend on how many runs its job has, in whatever order their times are, and is never long."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.decide import tick as decide
from app.store.tables import events, runs
from tests.support.context import SystemUnderTest, open_system
from tests.support.cpu_noise import CPU_NOISE
from tests.support.histories import SHAPES, receive_at, times_of, write_history
from tests.support.write_hold import measured_holds

FEW, MANY = 100, 10_000
NEW = 60
LONGEST_HOLD_S = 0.1 * CPU_NOISE


async def cpu_of_deciding(system: SystemUnderTest, job: str, shape: str, *, named: bool) -> float:
    """Return the least CPU time, of this process and of PostgreSQL's, of deciding on some new events of the job."""
    costs = []
    for outcome in ("success", "failure", "success"):
        await receive_at(system, job, times_of(shape, system, NEW), named=named, outcome=outcome)
        with measured_holds() as holds:
            while await decide.tick(system.context):
                pass
        costs.append(sum(hold.cpu_s for hold in holds.seen))
    return min(costs)


@pytest.mark.parametrize("named", [False, True], ids=["without run keys", "with run keys"])
async def test_an_event_of_a_job_with_many_runs_costs_what_one_of_few_does(
    database_url: str, tmp_path: Path, named: bool
) -> None:
    async with open_system(database_url, tmp_path) as system:
        for job, number in (("few", FEW), ("many", MANY)):
            await write_history(system, job, number, named=named, same_time=number // 2)
        for shape in SHAPES:
            few = await cpu_of_deciding(system, "few", shape, named=named)
            many = await cpu_of_deciding(system, "many", shape, named=named)
            print(f"{shape}: {few / NEW * 1e6:.0f} us an event with {FEW} runs, {many / NEW * 1e6:.0f} with {MANY}")  # noqa: T201  (shown with -s)
            assert many < 5 * few, f"{shape}: {many:.3f} s against {few:.3f} s"
        [aside] = [await system.rows(events, events.c.state != "folded")]
        assert not aside


async def test_no_transaction_of_a_backlog_holds_the_writer_for_long(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        for part in range(2):  # the first prepares the statements, which costs once in a process
            for number in range(part * 100, 100 + part * 200):  # each opens an alert of its own
                await system.receive(agent=f"host{number % 40}", job=f"job{number}", outcome="failure")
            await receive_at(system, "busy", [system.time[0]] * (50 + part * 750), named=False)
            with measured_holds() as holds:
                while await decide.tick(system.context):
                    pass
        print(f"longest hold: {holds.longest_s * 1000:.0f} ms")  # noqa: T201  (shown with -s)
        # PostgreSQL has more than one writer, and plans each statement again while its statistics are young.
        assert holds.longest_s < (LONGEST_HOLD_S if system.context.database.is_sqlite else 2 * LONGEST_HOLD_S)
        assert not await system.rows(events, events.c.state == "new")


async def test_an_end_after_thousands_of_starts_holds_the_writer_for_a_moment_only(
    database_url: str, tmp_path: Path
) -> None:
    async with open_system(database_url, tmp_path) as system:
        await write_history(system, "starts", 3_500, named=False, same_time=0)
        await system.receive(job="starts", phase="started", occurred_at=system.time[0])
        await system.decide()
        async with system.context.database.write() as tx:
            began = {"started_at": system.time[0] - timedelta(hours=1), "ended_at": None, "outcome": None}
            await tx.connection.execute(runs.update().where(runs.c.run_key.startswith("event:starts-")).values(began))
        system.pass_time(minutes=1)
        await system.receive(job="starts", phase="finished", outcome="success")
        with measured_holds() as holds:
            while await decide.tick(system.context):
                pass
        assert holds.longest_s < LONGEST_HOLD_S
        assert not await system.rows(runs, runs.c.outcome.is_(None))
        [end] = await system.rows(runs, runs.c.ended_at == system.time[0])
        assert end.ended_at - end.started_at == timedelta(minutes=1)
