"""A furnished house on a real, migrated database, with a clock that tests set; events go in as an agent's rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from app.admin.first_start import first_start
from app.context import AppContext
from app.core.ids import new_id
from app.core.secret import Secret
from app.core.settings import load_settings
from app.core.wakeups import Wakeups
from app.decide import learn, missed, summaries
from app.decide import tick as decide
from app.store.engine import open_engines
from app.store.tables import agents, bodies, customers, events, messages
from app.store.transactions import Database

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class Lived:
    """A house, its time, and its first customer."""

    context: AppContext
    customer_id: str
    time: list[datetime]
    agent_ids: dict[str, str] = field(default_factory=dict)

    def pass_time(self, **much: float) -> datetime:
        """Let time go by, and give the new moment."""
        self.time[0] += timedelta(**much)
        return self.time[0]

    async def agent(self, name: str) -> str:
        """Give the id of an agent, made when it is new."""
        if name not in self.agent_ids:
            self.agent_ids[name] = new_id("agt")
            async with self.context.database.write() as tx:
                row = {
                    "id": self.agent_ids[name],
                    "customer_id": self.customer_id,
                    "name": name,
                    "labels": {},
                    "created_at": self.time[0],
                }
                await tx.connection.execute(insert(agents), [row])
        return self.agent_ids[name]

    async def receive(self, agent: str = "sql01", **said: Any) -> str:
        """Store an event as intake does, occurred now unless said otherwise; give its id."""
        event_id = new_id("evt")
        row = {
            "id": event_id,
            "customer_id": self.customer_id,
            "agent_id": await self.agent(agent),
            "key": event_id,
            "activity": "backup",
            "severity": "error" if said.get("outcome") == "failure" else "info",
            "occurred_at": self.time[0],
            "received_at": self.time[0],
            **said,
        }
        async with self.context.database.write() as tx:
            await tx.connection.execute(insert(events), [row])
        return event_id

    async def decide(self) -> None:
        """Run the deciding stages until nothing is left to decide."""
        await summaries.tick(self.context)
        await self._decide_once()
        while await learn.tick(self.context):
            pass
        await self._decide_once()

    async def _decide_once(self) -> None:
        while await missed.write_due_events(self.context) or await decide.tick(self.context):
            pass
        while await decide.tick(self.context):
            pass

    async def rows(self, table: Any, *conditions: Any) -> list[Any]:
        """Read rows of a table, oldest first."""
        async with self.context.database.read() as tx:
            return list((await tx.connection.execute(select(table).where(*conditions).order_by(table.c.id))).all())

    async def mails(self, *conditions: Any) -> list[Any]:
        """Read messages, oldest first, each with its finished bytes as `mail` and `webhook`."""
        wanted = select(messages, bodies.c.mail, bodies.c.webhook).join_from(messages, bodies)
        async with self.context.database.read() as tx:
            return list((await tx.connection.execute(wanted.where(*conditions).order_by(messages.c.id))).all())


@asynccontextmanager
async def live_in(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[Lived]:
    """Open a furnished house on a migrated database."""
    time = [START]
    loaded = load_settings(var_dir=folder, database_url=database_url, **settings)
    store = Database(open_engines(loaded))
    secret = Secret("s" * 32)
    context = AppContext(loaded, store, Wakeups(), secret, lambda: time[0])
    await first_start(store, loaded, secret, context.clock)
    async with store.read() as tx:
        customer_id = (await tx.connection.execute(select(customers.c.id))).scalar_one()
    try:
        yield Lived(context, customer_id, time)
    finally:
        await store.close()
