"""What relays do with messages: lease, begin, renew, report results. Also moves messages for which no relay is fit.

A relay is paused by what its own receipts report, in the transaction that settles them.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from app.context import AppContext
from app.core.errors import NotAllowed
from app.core.log import log
from app.deliver import lease
from app.deliver.failover import move_on
from app.deliver.report import report_given_up
from app.deliver.settle import settle
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.lease import Claim, Leased
from app.domain.relay import Relay, unfit
from app.store import outbox
from app.store import relays as stored_relays
from app.store.transactions import WriteTx
from programs.protocol.relay import HOPELESS, PAUSING, QUEUED, SENT, STUCK, UNKNOWN, RelayReceipt

TRANSPORT = "mapi"
LEASE_FOR = timedelta(seconds=90)  # renewed while the relay works; a relay may be restarted within this time
_BATCH = 200
_LONGEST_TEXT = 3500


@dataclass(frozen=True, slots=True)
class ReceiptResult:
    """What a receipt changed. `text` describes it for people; with `is_final`, the relay need not send the receipt again."""

    text: str
    is_final: bool


def holder_of(relay: Relay) -> str:
    """Return the name under which a relay holds leases."""
    return f"relay:{relay.id}"


async def take_leases(
    tx: WriteTx, relay_id: str, most: int, holding: Collection[Claim], now: datetime
) -> tuple[Relay, list[Leased]]:
    """Return the relay, and up to `most` messages for it unless it is paused. Leases that it does not know of are given back first."""
    relay = await find_relay(tx, relay_id)
    lost = [claim for claim in await outbox.unbegun_of(tx, holder_of(relay)) if claim not in holding]
    await lease.give_back(tx, lost)
    if relay.paused_at is not None or most == 0:
        return relay, []
    leased = await outbox.lease(tx, TRANSPORT, most, now, holder_of(relay), now + LEASE_FOR, relay)
    return relay, leased


async def has_due_messages(context: AppContext, relay_id: str) -> bool:
    """Return whether a message is due that the relay could lease now."""
    async with context.database.read() as tx:
        relay = await stored_relays.RELAYS.find(tx, relay_id)
        if relay is None or relay.paused_at is not None:
            return False
        return await stored_relays.is_due_for(tx, relay, context.clock())


async def start_attempts(tx: WriteTx, relay_id: str, claims: Sequence[Claim], now: datetime) -> list[Claim]:
    """Write that attempts start, and return the claims that may be sent; none while the relay is paused."""
    relay = await find_relay(tx, relay_id)
    if relay.paused_at is not None:
        return []
    begun = await lease.begin(tx, claims, now)
    return [claim for claim in claims if claim.message_id in begun]


async def renew(tx: WriteTx, claims: Sequence[Claim], now: datetime) -> list[Claim]:
    """Prolong leases, and return those that are still held."""
    held = await lease.renew(tx, claims, now + LEASE_FOR)
    return [claim for claim in claims if claim.message_id in held]


async def take_receipt(tx: WriteTx, relay_id: str, receipt: RelayReceipt, now: datetime) -> ReceiptResult:
    """Settle one receipt. If the attempt has not ended yet, prolong the lease: only this relay can learn the result."""
    relay = await find_relay(tx, relay_id)
    claim, outcome = Claim(receipt.id, receipt.token), outcome_of(receipt)
    if outcome is None:
        held = await lease.renew(tx, [claim], now + LEASE_FOR)
        text = "the attempt has not ended yet" if held else "the lease was lost; keep looking for the result anyway"
        return ReceiptResult(text, is_final=False)
    text = await settle(tx, claim.message_id, claim.token, outcome, now)
    changed = relay
    # A window that appears after the submission also pauses the relay, whatever happened to the message.
    pauses = receipt.outcome in PAUSING or receipt.evidence.get("cause") in PAUSING
    if pauses and relay.paused_at is None:
        why = f"{receipt.outcome}: {receipt.reason}"[:1000]
        changed = replace(changed, paused_at=now, paused_why=why, doctor_asked_at=now)
        log.error("a relay is paused because of its receipt", relay=relay.name, why=why)
    if receipt.outcome == STUCK:
        changed = replace(changed, stuck_at=now, stuck_why=receipt.reason[:1000])
    elif isinstance(outcome, Sent) and relay.stuck_at is not None:
        changed = replace(changed, stuck_at=None, stuck_why=None)
    await stored_relays.RELAYS.save_state(tx, relay, changed)
    return ReceiptResult(text, is_final=True)


def outcome_of(receipt: RelayReceipt) -> Outcome | None:
    """Return the outcome that a receipt reports, by the table in docs/mapi.md.

    None: the attempt has not ended. The relay will report again, and nobody else may touch the message until then.
    """
    evidence = json.dumps(dict(receipt.evidence), sort_keys=True, default=str) if receipt.evidence else ""
    code, text = f"mapi {receipt.outcome}", f"{receipt.reason}\n{evidence}".strip()[:_LONGEST_TEXT]
    if receipt.outcome == QUEUED or (receipt.outcome == UNKNOWN and receipt.evidence.get("looked") is False):
        return None
    if receipt.outcome == SENT:
        return Sent(code, text)
    if receipt.outcome in HOPELESS:
        return Permanent(code, text)
    if receipt.outcome == UNKNOWN or (receipt.outcome == STUCK and receipt.evidence.get("aborted") is not True):
        # Not found in the mailbox, or still in the Outbox: sending it again by MAPI could send it twice.
        return Unknown(code, text, is_hopeless_here=True)
    return Temporary(code, text, is_hopeless_here=receipt.outcome in (STUCK, *PAUSING))


async def find_relay(tx: WriteTx, relay_id: str) -> Relay:
    """Return the relay that a key belongs to. Raises NotAllowed if it was deleted."""
    relay = await stored_relays.RELAYS.find(tx, relay_id)
    if relay is None:
        raise NotAllowed("this relay was deleted")
    return relay


async def tick(context: AppContext) -> bool:
    """Move messages that wait for relays that are not fit to the recipients' next transports; True if there may be more."""
    now = context.clock()
    async with context.database.write() as tx:
        relays = await stored_relays.all_relays(tx)
        reasons = {relay.id: unfit(relay, await stored_relays.oldest_for(tx, relay), now) for relay in relays}
        fit = [relay for relay in relays if reasons[relay.id] is None]
        if fit:
            not_fit = [relay.id for relay in relays if reasons[relay.id] is not None]
            await stored_relays.set_free(tx, not_fit, list(reasons))
        locked = await outbox.lock(tx, await stored_relays.stranded(tx, fit, _BATCH))
        changed = []
        for held in locked.values():
            message = held.message
            why = (
                reasons.get(message.relay_id or "")
                or "; ".join(sorted(filter(None, reasons.values())))
                or "no relay sends for it"
            )
            after = await move_on(tx, message, now, why)
            # There is no other transport: not checked again, or it would take a place in every batch.
            changed.append(after or replace(message, move_on_at=message.give_up_at, why=f"waits: {why}"))
        await outbox.save(tx, changed)
        for message in changed:
            tx.after_commit(partial(report_given_up, message))
        if changed:
            tx.after_commit(lambda: context.wakeups.wake("messages"))
    return len(changed) >= _BATCH
