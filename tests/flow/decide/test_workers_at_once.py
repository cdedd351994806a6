"""Several workers decide on one backlog in PostgreSQL at once: none waits for another that waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from app.compose import tick as compose
from app.context import AppContext
from app.core.ids import new_id
from app.core.wakeups import Wakeups
from app.decide import tick as decide
from app.store.engine import open_engines
from app.store.tables import agents, alerts, events, groups, jobs
from app.store.tables_managed import routes
from app.store.transactions import Database
from tests.support.context import SystemUnderTest, open_system

AGENTS, NIGHTS = 40, 15
WAITING_FOR_LOCKS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


async def until_so_many_wait(system: SystemUnderTest, number: int) -> None:
    """Wait until so many connections wait for a lock."""
    waiting = 0
    while waiting < number:
        await asyncio.sleep(0.01)
        async with system.context.database.read() as tx:
            waiting = await tx.connection.scalar(WAITING_FOR_LOCKS)


async def decide_all(context: AppContext) -> None:
    """Decide until this worker finds nothing more."""
    while await decide.tick(context):
        pass


@asynccontextmanager
async def other_worker(system: SystemUnderTest) -> AsyncIterator[AppContext]:
    """Open the context of another process on the same database."""
    own = system.context
    database = Database(open_engines(own.settings))
    try:
        yield AppContext(own.settings, database, Wakeups(), own.secret, own.clock)
    finally:
        await database.close()


async def fill(system: SystemUnderTest) -> list[str]:
    """Store reports of many agents, some of them failures, that wait to be decided on; return the ids of the agents."""
    now = system.time[0]
    ids = sorted(new_id("agt") for _ in range(AGENTS))
    own = {"customer_id": system.customer_id}
    named = [{"id": id_, "name": f"a{n}", "labels": {}, "created_at": now, **own} for n, id_ in enumerate(ids)]
    same = {**own, "activity": "backup", "job": "db", "phase": "finished", "severity": "info"}
    rows = [
        {
            "id": new_id("evt"),
            "agent_id": agent_id,
            "key": new_id("evt"),
            "occurred_at": now - timedelta(days=NIGHTS - night),
            "received_at": now,
            "outcome": "failure" if (night + number) % 9 == 0 else "success",
            **same,
        }
        for night in range(NIGHTS)
        for number, agent_id in enumerate(ids)
    ]
    async with system.context.database.write() as tx:
        await tx.connection.execute(insert(agents), named)
        await tx.connection.execute(insert(events), rows)
    return ids


@pytest.mark.postgres
async def test_two_workers_never_wait_for_each_other(
    postgres_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_system(postgres_database_url, tmp_path) as system:
        ids = await fill(system)
        own = system.context
        async with other_worker(system) as other:
            for context, last in ((own, ""), (other, ids[AGENTS // 2])):  # each has its turn elsewhere
                for turns in (context.claim_turns.trouble, context.claim_turns.routine):
                    turns.agents[system.customer_id] = last
                context.claim_turns.has_begun = True
            monkeypatch.setattr("app.decide.tick.LONGEST_S", 1.0)  # several pieces, even on a busy machine
            async with asyncio.timeout(120):
                both = await asyncio.gather(decide_all(own), decide_all(other), return_exceptions=True)
            assert [one for one in both if isinstance(one, BaseException)] == []
            await decide_all(own)  # what the other had claimed when this one found nothing
        assert not await system.rows(events, events.c.state != "folded")


@pytest.mark.postgres
async def test_two_workers_lock_the_groups_of_closed_and_opened_alerts_in_one_order(
    postgres_database_url: str, tmp_path: Path
) -> None:
    async with open_system(postgres_database_url, tmp_path) as system, other_worker(system) as other:
        async with system.context.database.write() as tx:
            await tx.connection.execute(update(routes).values(group_by=["job"]))
        for agent, job in (("host-1", "x"), ("host-2", "y")):
            await system.receive(agent, job=job, outcome="failure")
        await system.decide()
        system.pass_time(minutes=2)
        while await compose.tick(system.context):
            pass
        async with (
            asyncio.timeout(60),
            asyncio.TaskGroup() as workers,
            system.context.database.write() as tx,  # it has both groups first, so that both workers come to wait for one
        ):
            await tx.connection.execute(select(groups).with_for_update())
            for number, closed, opened, context in ((1, "x", "y", system.context), (2, "y", "x", other)):
                await system.receive(f"host-{number}", job=closed, outcome="success")
                await system.receive(f"host-{number}", job=opened, outcome="failure")
                workers.create_task(decide.tick(context))
                await until_so_many_wait(system, number)
        opened = await system.rows(alerts, alerts.c.closed_at.is_(None))
        names = {row.id: row.name for row in await system.rows(jobs)}
        assert {(row.agent_id, names[row.job_id]) for row in opened} == {
            (system.agent_ids["host-1"], "y"),
            (system.agent_ids["host-2"], "x"),
        }
