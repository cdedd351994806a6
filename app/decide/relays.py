"""The events that the clock writes about relays: a relay that is paused, silent or late fails as a backup does, and recovers as one.

So the same alerts, routes, silences and mails report it. The relay appears as an agent of the customer that it belongs to.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.periodic import Idle
from app.domain.event import Event
from app.domain.relay import Relay, agent_of, event_of, unfit
from app.store import relays
from app.store.events import insert_clock_events
from app.store.intake import find_or_create_agents
from app.store.transactions import WriteTx

_SAME_FOR = timedelta(minutes=15)


async def tick(context: AppContext) -> bool | Idle:
    """Write the events of relays whose state has changed. Return how long to wait if there is no relay."""
    now = context.clock()
    async with context.database.read() as tx:
        stored = await relays.all_relays(tx)
        changed = [
            relay.id for relay in stored if is_news(relay, unfit(relay, await relays.oldest_for(tx, relay), now), now)
        ]
    if changed:
        async with context.database.write() as tx:
            made = [event for relay_id in changed for event in await _note_change(tx, relay_id, now)]
            await insert_clock_events(tx, made)
            tx.after_commit(lambda: context.wakeups.wake("events"))
    return False if stored else Idle(context.wakeups.idle)


async def _note_change(tx: WriteTx, relay_id: str, now: datetime) -> list[Event]:
    """Note the relay's trouble and return the event that reports it, or nothing if another worker did so already."""
    relay = await relays.RELAYS.find(tx, relay_id, for_change=True)
    if relay is None:
        return []
    trouble = unfit(relay, await relays.oldest_for(tx, relay), now)
    if not is_news(relay, trouble, now):
        return []
    await relays.RELAYS.save_state(tx, relay, replace(relay, trouble=trouble, trouble_at=now))
    agent = agent_of(relay)
    agent_id = (await find_or_create_agents(tx, {agent}, now))[agent]
    return [event_of(relay, agent_id, trouble or "the relay is well", now, is_well=trouble is None)]


def is_news(relay: Relay, trouble: str | None, now: datetime) -> bool:
    """Return whether the trouble has begun, ended or changed; other words for it, such as another message that waits, count only after a while."""
    if (trouble is None) != (relay.trouble is None):
        return True
    return trouble != relay.trouble and now - (relay.trouble_at or now) > _SAME_FOR
