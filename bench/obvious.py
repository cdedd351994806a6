"""The simplest service for the task: FastAPI, one SQLAlchemy object and one commit per request. Our intake is compared with it.

Same table, same durability, and no step more than needed: it neither looks up agents nor checks keys in the database.
`python -m bench.obvious [orm|nothing]`; `nothing` reads, checks and answers the same, and stores nothing.
"""

import sys
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import registry
from sqlalchemy.pool import AsyncAdaptedQueuePool

from app.core.settings import load_settings
from app.store.tables import events
from bench.load import ENROL_KEY

settings = load_settings()
stores_nothing = sys.argv[1:] == ["nothing"]
# More connections than one would only make SQLite wait for locks; PostgreSQL takes more commits in one go with more of them.
engine = create_async_engine(
    settings.database,
    poolclass=AsyncAdaptedQueuePool,
    pool_size=1 if settings.is_sqlite else 20,
    max_overflow=0,
    pool_timeout=60,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Stored:
    """An event as an object of the ORM."""


registry().map_imperatively(Stored, events)


class EventIn(BaseModel):
    """An event as it comes in."""

    key: str
    agent: str
    job: str | None = None
    run: str | None = None
    activity: str = "backup"
    phase: str | None = None
    outcome: str | None = None
    severity: str = "info"
    occurred_at: datetime
    message: str | None = None
    metrics: dict[str, float] = {}
    labels: dict[str, str] = {}


@event.listens_for(engine.sync_engine, "connect")
def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401
    if settings.is_sqlite:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()


@app.post("/v1/events", status_code=202)
async def post_event(event: EventIn, authorization: Annotated[str, Header()]) -> dict[str, int]:
    """Store one event."""
    if authorization != f"Bearer {ENROL_KEY}":
        raise HTTPException(401)
    if stores_nothing:
        return {"accepted": 1}
    row = Stored()
    for name, value in event.model_dump(exclude={"agent"}).items():
        setattr(row, name, value)
    row.id, row.customer_id, row.agent_id = uuid.uuid4().hex, "cus_obvious", event.agent  # type: ignore[attr-defined]
    row.received_at, row.state, row.kind = datetime.now(UTC), "new", "report"  # type: ignore[attr-defined]
    session: AsyncSession
    async with sessions() as session:
        session.add(row)
        await session.commit()
    return {"accepted": 1}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=settings.port, access_log=False, log_level="warning")
