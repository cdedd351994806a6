"""Several alerts in one batch of events: they are decided together, in one transaction, and not one by one after an error."""

from pathlib import Path

from sqlalchemy import update

from app.decide.judge import judge_events
from app.store.tables import alerts, notices
from app.store.waiting import ClaimTurns, claim_events
from tests.support.context import open_system

JOBS = ("files", "mail", "sql")


async def test_alerts_that_close_in_one_batch_each_send_a_recovery(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        for job in JOBS:
            await system.receive(job=job, phase="finished", outcome="failure")
        await system.decide()
        async with system.context.database.write() as tx:
            await tx.connection.execute(update(notices).values(state="worded"))
        system.pass_time(minutes=30)
        for job in JOBS:
            await system.receive(job=job, phase="finished", outcome="success")
        async with system.context.database.write() as tx:
            claim = await claim_events(tx, ClaimTurns(), len(JOBS))
            await judge_events(tx, claim.events, system.context.clock())
        assert [row.closed_reason is not None for row in await system.rows(alerts)] == [True] * len(JOBS)
        assert len(await system.rows(notices, notices.c.what == "recovered", notices.c.state == "waiting")) == len(JOBS)
