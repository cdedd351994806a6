"""Keeps what waits to be composed or sent from waiting longer because the clock of this host was put back.

A notice or a message is due at a time of the clock. If the clock is put back by an hour, what was due would wait for that hour.
Times that come from a calendar, such as those of expectations and summaries, are not changed: they follow the clock as it is now.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.log import log
from app.store.clock_steps import bring_forward, not_due_yet
from app.store.heartbeats import database_time, find_listening

LEAST = timedelta(seconds=10)  # a smaller step delays nothing for long, and NTP makes such steps
_TOGETHER = 200


def make_tick(monotonic: Callable[[], float] = time.monotonic) -> Callable[[AppContext], Awaitable[bool]]:
    """Return the stage. `monotonic`: seconds of a clock that nobody puts back."""
    last: tuple[datetime, float] | None = None

    async def tick(context: AppContext) -> bool:
        nonlocal last
        now, moment = context.clock(), monotonic()
        is_start = last is None
        back = timedelta()
        if last is not None:
            back = last[0] + timedelta(seconds=moment - last[1]) - now
        elif context.settings.is_sqlite:  # on PostgreSQL the last sign of life may be the one of another host
            async with context.database.read() as tx:
                heard = await find_listening(tx)
            back = timedelta() if heard is None else heard.at - now
        if back >= LEAST:
            await _bring_forward(context, back, now, is_start=is_start)
        last = now, moment  # not before: a step that could not be handled is seen again
        return False

    return tick


async def _bring_forward(context: AppContext, back: timedelta, now: datetime, *, is_start: bool) -> None:
    if not context.settings.is_sqlite:
        async with context.database.read() as tx:
            difference_s = (context.clock() - await database_time(tx)).total_seconds()
        if abs(difference_s) > LEAST.total_seconds():
            log.error(
                "the clock of this host was put back, and differs from the database's: run NTP on both",
                back_s=round(back.total_seconds()),
                difference_s=round(difference_s),
            )
            return
    async with context.database.read() as tx:
        rows = await not_due_yet(tx, now, of_the_future=is_start)
    for start in range(0, len(rows), _TOGETHER):
        async with context.database.write() as tx:
            await bring_forward(tx, rows[start : start + _TOGETHER], back, now)
            tx.after_commit(lambda: context.wakeups.wake("notices"))
            tx.after_commit(lambda: context.wakeups.wake("messages"))
    log.warning(
        "the clock was put back; what waits to be composed or sent is due as before",
        back_s=round(back.total_seconds()),
        rows=len(rows),
    )
