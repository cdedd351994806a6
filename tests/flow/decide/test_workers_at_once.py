"""Several workers decide on one backlog in PostgreSQL at once: none waits for another that waits for it."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import insert

from app.context import AppContext
from app.core.ids import new_id
from app.core.wakeups import Wakeups
from app.decide import tick as decide
from app.store.engine import open_engines
from app.store.tables import agents, events
from app.store.transactions import Database
from tests.support.context import SystemUnderTest, open_system

AGENTS, NIGHTS = 40, 60


async def fill(system: SystemUnderTest) -> list[str]:
    """Store reports of many agents, every third a failure, that wait to be decided on; return the ids of the agents."""
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
            "occurred_at": now,
            "received_at": now,
            "outcome": "failure" if (night + number) % 3 == 0 else "success",
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
        database = Database(open_engines(own.settings))
        other = AppContext(own.settings, database, Wakeups(), own.secret, own.clock)
        for context, last in ((own, ""), (other, ids[AGENTS // 2])):  # each has its turn elsewhere
            for turns in (context.claim_turns.trouble, context.claim_turns.routine):
                turns.agents[system.customer_id] = last
            context.claim_turns.has_begun = True
        try:
            with monkeypatch.context() as patched:
                patched.setattr("app.decide.tick.LONGEST_S", 1.0)  # several pieces, even on a busy machine
                async with asyncio.timeout(60):
                    both = await asyncio.gather(decide.tick(own), decide.tick(other), return_exceptions=True)
            assert [one for one in both if isinstance(one, BaseException)] == []
            async with asyncio.timeout(60):
                while await decide.tick(own):
                    pass
        finally:
            await database.close()
        assert not await system.rows(events, events.c.state != "folded")
