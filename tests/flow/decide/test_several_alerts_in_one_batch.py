"""Several alerts in one batch of events: they are decided together, in one transaction, and not one by one after an error."""

from pathlib import Path

from sqlalchemy import update

from app.decide.judge import judge_events
from app.store.events import claim_new_events
from app.store.tables import alerts, notices
from tests.support.context import live_in

JOBS = ("files", "mail", "sql")


async def test_alerts_that_close_in_one_batch_each_send_a_recovery(database_url: str, tmp_path: Path) -> None:
    async with live_in(database_url, tmp_path) as lived:
        for job in JOBS:
            await lived.receive(job=job, phase="finished", outcome="failure")
        await lived.decide()
        async with lived.context.database.write() as tx:
            await tx.connection.execute(update(notices).values(state="worded"))
        lived.pass_time(minutes=30)
        for job in JOBS:
            await lived.receive(job=job, phase="finished", outcome="success")
        async with lived.context.database.write() as tx:
            await judge_events(tx, await claim_new_events(tx, len(JOBS)), lived.context.clock())
        assert [row.closed_reason is not None for row in await lived.rows(alerts)] == [True] * len(JOBS)
        assert len(await lived.rows(notices, notices.c.what == "recovered", notices.c.state == "waiting")) == len(JOBS)
