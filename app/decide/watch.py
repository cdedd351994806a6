"""Lets the clock judge only what we would have heard of: after an outage of ours, agents first get time to send again.

Else the first minute after it would call all those runs missed that ended meanwhile and whose agents still wait to try again.
"""

from datetime import datetime, timedelta

from app.context import AppContext
from app.decide import missed
from app.store.listening import GAP, Listening, find_listening

RESEND = timedelta(minutes=5)  # agents wait a minute at most between two tries (docs/agents.md)


async def tick(context: AppContext) -> bool:
    """Judge what fell due, unless we were away until a moment ago."""
    async with context.database.read() as tx:
        known = await find_listening(tx)
    return False if known is not None and is_catching_up(known, context.clock()) else await missed.tick(context)


def is_catching_up(known: Listening, now: datetime) -> bool:
    """Say whether agents may still have to send what they could not: the gap ended just now, or nobody has noted its end yet."""
    return now - known.at > GAP or (known.since is not None and now - known.since < RESEND)
