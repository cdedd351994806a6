"""The relays' side of the two doors: what they lease, begin, renew and hand in; and what becomes of messages when none is fit.

A relay is paused by what its own receipts say, in the transaction that settles them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from app.context import AppContext
from app.core.errors import NotAllowed
from app.core.log import log
from app.deliver import lease
from app.deliver.failover import move_on
from app.deliver.relay_outcome import Meaning, meaning_of
from app.deliver.settle import settle
from app.deliver.tell import tell_end
from app.domain.attempt import Sent
from app.domain.lease import Claim, Leased
from app.domain.relay import Relay, unfit
from app.store import outbox
from app.store import relays as rows
from app.store.transactions import WriteTx
from programs.protocol.relay import RelayReceipt

TRANSPORT = "mapi"
LEASE_FOR = timedelta(seconds=90)  # renewed while the relay works; it may be restarted within this
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Taken:
    """What a receipt came to, in words; `is_final`: it need not be handed in again."""

    said: str
    is_final: bool


def holder_of(relay: Relay) -> str:
    """Name a relay as the holder of leases."""
    return f"relay:{relay.id}"


async def take_leases(
    tx: WriteTx, relay_id: str, most: int, holding: Collection[Claim], now: datetime
) -> tuple[Relay, list[Leased]]:
    """Give the relay, and messages for it unless it is paused; what it holds without knowing so goes back first."""
    relay = await known(tx, relay_id)
    lost = [claim for claim in await outbox.unbegun_of(tx, holder_of(relay)) if claim not in holding]
    await lease.give_back(tx, lost)
    if relay.paused_at is not None or most == 0:
        return relay, []
    leased = await outbox.lease(tx, TRANSPORT, most, now, holder_of(relay), now + LEASE_FOR, relay)
    return relay, leased


async def is_due(context: AppContext, relay_id: str) -> bool:
    """Say whether anything waits for a relay that it may have now."""
    async with context.database.read() as tx:
        relay = await rows.find_relay(tx, relay_id)
        return relay is not None and relay.paused_at is None and await rows.is_due_for(tx, relay, context.clock())


async def start_attempts(tx: WriteTx, relay_id: str, claims: Sequence[Claim], now: datetime) -> list[Claim]:
    """Write that attempts start, and give those that may. None while the relay is paused."""
    relay = await known(tx, relay_id)
    if relay.paused_at is not None:
        return []
    begun = await lease.begin(tx, claims, now)
    return [claim for claim in claims if claim.message_id in begun]


async def renew(tx: WriteTx, claims: Sequence[Claim], now: datetime) -> list[Claim]:
    """Prolong leases, and give those that are still held."""
    held = await lease.renew(tx, claims, now + LEASE_FOR)
    return [claim for claim in claims if claim.message_id in held]


async def hand_in(tx: WriteTx, relay_id: str, receipt: RelayReceipt, now: datetime) -> Taken:
    """Settle one receipt."""
    relay = await known(tx, relay_id)
    claim, meaning = Claim(receipt.id, receipt.token), meaning_of(receipt)
    if meaning.outcome is None:
        held = await lease.renew(tx, [claim], now + LEASE_FOR)
        return Taken("waits for more" if held else "the lease was lost; look further all the same", is_final=False)
    said = await settle(tx, claim.message_id, claim.token, meaning.outcome, now)
    await _note(tx, relay, receipt, meaning, now)
    return Taken(said, is_final=True)


async def _note(tx: WriteTx, relay: Relay, receipt: RelayReceipt, meaning: Meaning, now: datetime) -> None:
    values: dict[str, Any] = {}
    if meaning.pauses and relay.paused_at is None:
        why = f"{receipt.outcome}: {receipt.reason}"[:1000]
        values = {"paused_at": now, "paused_why": why, "doctor_asked_at": now}
        log.error("a relay is paused by what it met", relay=relay.name, why=why)
    if meaning.is_stuck:
        values |= {"stuck_at": now, "stuck_why": receipt.reason[:1000]}
    elif isinstance(meaning.outcome, Sent) and relay.stuck_at is not None:
        values |= {"stuck_at": None, "stuck_why": None}
    if values:
        await rows.note_relay(tx, relay.id, values)


async def known(tx: WriteTx, relay_id: str) -> Relay:
    """Give the relay of a key. Raises NotAllowed if it was deleted meanwhile."""
    relay = await rows.find_relay(tx, relay_id)
    if relay is None:
        raise NotAllowed("this relay was deleted")
    return relay


async def tick(context: AppContext) -> bool:
    """Move what waits for relays that are not fit to the recipients' next transports; True if there may be more."""
    now = context.clock()
    async with context.database.write() as tx:
        moved = await _move_stranded(tx, now)
        if moved:
            tx.after_commit(lambda: context.wakeups.wake("messages"))
    return moved >= _BATCH


async def _move_stranded(tx: WriteTx, now: datetime) -> int:
    whole = await rows.all_relays(tx)
    reasons = {relay.id: unfit(relay, await rows.oldest_for(tx, relay), now) for relay in whole}
    fit = [relay for relay in whole if reasons[relay.id] is None]
    if fit:
        await rows.set_free(tx, [relay.id for relay in whole if reasons[relay.id] is not None], list(reasons))
    held = await outbox.lock(tx, await rows.stranded(tx, fit, _BATCH))
    changed = []
    for one in held.values():
        message = one.message
        why = (
            reasons.get(message.relay_id or "")
            or "; ".join(sorted(filter(None, reasons.values())))
            or "no relay sends for it"
        )
        after = await move_on(tx, message, now, why)
        # Nowhere to go after all: not looked at again, or it would stand before others each time.
        changed.append(after or replace(message, move_on_at=message.give_up_at, why=f"waits: {why}"))
    await outbox.save(tx, changed)
    for message in changed:
        tx.after_commit(partial(tell_end, message))
    return len(changed)
