"""A trial write, so that a database that answers queries and cannot be written is not called ready."""

import asyncio
import time
from datetime import datetime

from app.core.errors import Unavailable
from app.store.heartbeats import write_trial
from app.store.transactions import Database

PROVEN_S = 15.0  # workers write every five seconds
AGAIN_S = 5.0
_BUSY_S = 60.0


async def check_writable(database: Database, now: datetime, patience_s: float) -> None:
    """Return if the database can be written. Raises CannotWrite, or Unavailable.

    Writes only if nothing was written for a while, and at most every five seconds, however many ask.
    """
    state, moment = database.writing, time.monotonic()
    if state.trouble is None and moment - state.written_at < PROVEN_S:
        return
    if state.trial is None or (state.trial.done() and moment - state.tried_at >= AGAIN_S):
        state.trial, state.tried_at = asyncio.create_task(_try(database, now)), moment
    await asyncio.wait([state.trial], timeout=patience_s)  # the trial goes on: the writer may just be busy
    if state.trial.done():
        state.trial.result()
    elif moment - state.written_at > _BUSY_S:
        raise Unavailable("the database answers, but could not be written for a minute; try again")


async def _try(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        await write_trial(tx, now)
    database.writing.note_written()
