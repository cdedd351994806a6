"""An `AppContext` on a real, migrated database, with a clock that tests set. Events are inserted as rows of an agent."""

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
from app.store import unreadable
from app.store.engine import open_engines
from app.store.tables import agents, bodies, customers, events, messages
from app.store.transactions import Database

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class SystemUnderTest:
    """The context, its time, and its first customer."""

    context: AppContext
    customer_id: str
    time: list[datetime]
    agent_ids: dict[str, str] = field(default_factory=dict)

    def pass_time(self, **duration: float) -> datetime:
        """Move the clock forward and return the new time."""
        self.time[0] += timedelta(**duration)
        return self.time[0]

    async def agent(self, name: str) -> str:
        """Return the id of an agent, which is created when it is new."""
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

    async def receive(self, agent: str = "sql01", **fields: Any) -> str:
        """Store an event as intake does and return its id. It occurred now unless `fields` says otherwise."""
        event_id = new_id("evt")
        row = {
            "id": event_id,
            "customer_id": self.customer_id,
            "agent_id": await self.agent(agent),
            "key": event_id,
            "activity": "backup",
            "severity": "error" if fields.get("outcome") == "failure" else "info",
            "occurred_at": self.time[0],
            "received_at": self.time[0],
            **fields,
        }
        async with self.context.database.write() as tx:
            await tx.connection.execute(insert(events), [row])
        return event_id

    async def decide(self) -> None:
        """Run all parts of the decide stage until nothing is left to decide."""
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
async def open_system(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[SystemUnderTest]:
    """Open an `AppContext` on a migrated database after its first start, and close it at the end."""
    time = [START]
    loaded = load_settings(var_dir=folder, database_url=database_url, **settings)
    database = Database(open_engines(loaded))
    secret = Secret("s" * 32)
    context = AppContext(loaded, database, Wakeups(), secret, lambda: time[0])
    await first_start(database, loaded, secret, context.clock)
    async with database.read() as tx:
        customer_id = (await tx.connection.execute(select(customers.c.id))).scalar_one()
    try:
        yield SystemUnderTest(context, customer_id, time)
    finally:
        unreadable.forget()  # counted in a process, and the next test of this one has another database
        await database.close()
