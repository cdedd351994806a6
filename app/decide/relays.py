"""The clock's events about relays: one that is paused, silent or behind fails as a backup does, and is well again as one.

So the same alerts, routes, silences and mails tell of it. The relay appears as an agent of the customer that it belongs to.
"""

from datetime import datetime, timedelta

from app.context import AppContext
from app.domain.event import Event
from app.domain.relay import Relay, agent_of, event_of, trouble_of
from app.store import inbox
from app.store import relays as rows
from app.store.intake import agents_by_name
from app.store.transactions import WriteTx

_SAME_FOR = timedelta(minutes=15)


async def tick(context: AppContext) -> bool:
    """Write what changed about relays."""
    now = context.clock()
    async with context.database.read() as tx:
        changed = [
            relay.id
            for relay in await rows.all_relays(tx)
            if _is_news(relay, trouble_of(relay, await rows.oldest_for(tx, relay), now), now)
        ]
    if changed:
        async with context.database.write() as tx:
            made = [event for relay_id in changed for event in await _told(tx, relay_id, now)]
            await inbox.insert_clock_events(tx, made)
            tx.after_commit(lambda: context.wakeups.wake("events"))
    return False


async def _told(tx: WriteTx, relay_id: str, now: datetime) -> list[Event]:
    """Note the relay's trouble, and give the event that tells of it unless another worker was quicker."""
    relay = await rows.find_relay(tx, relay_id, for_change=True)
    if relay is None:
        return []
    trouble = trouble_of(relay, await rows.oldest_for(tx, relay), now)
    if not _is_news(relay, trouble, now):
        return []
    await rows.note_relay(tx, relay.id, {"trouble": trouble, "trouble_at": now})
    return [await _event(tx, relay, trouble, now)]


def _is_news(relay: Relay, trouble: str | None, now: datetime) -> bool:
    """Other words for the same trouble, such as another message that waits, are none for a while."""
    if (trouble is None) != (relay.trouble is None):
        return True
    return trouble != relay.trouble and now - (relay.trouble_at or now) > _SAME_FOR


async def _event(tx: WriteTx, relay: Relay, trouble: str | None, now: datetime) -> Event:
    agent = agent_of(relay)
    agent_id = (await agents_by_name(tx, {agent}, now))[agent]
    return event_of(relay, agent_id, trouble or "the relay is well", now, is_well=trouble is None)
