"""What relays do with messages: lease, begin, renew, report results. Also moves messages for which no relay is fit.

A relay's receipts also tell whether its host can send: they pause it, open its circuit breaker and close it (domain/relay.py), in
the transaction that settles them. What an open breaker keeps from the relay is returned to the queue in the same transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from app.context import AppContext
from app.core.errors import NotAllowed
from app.core.log import log
from app.deliver import lease
from app.deliver.failover import move_on, next_way
from app.deliver.report import report_given_up
from app.deliver.settle import settle
from app.domain import relay as rules
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.lease import Claim, Leased
from app.domain.message import Message, MessageState
from app.domain.relay import RELAY_HOLDER, Relay, jam_of, unfit
from app.store import outbox
from app.store import relays as stored_relays
from app.store.outbox import EndedAttempt
from app.store.transactions import ReadTx, WriteTx
from programs.protocol.relay import (
    BAD_RECIPIENT,
    HANDED_OVER,
    HOPELESS,
    LEASED_BYTES_MOST,
    LOST_CHARACTERS,
    MIME_MOST,
    PAUSING,
    QUEUED,
    SENT,
    STUCK,
    UNKNOWN,
    RelayReceipt,
)

TRANSPORT = "mapi"
LEASE_FOR = timedelta(seconds=90)  # renewed while the relay works; a relay may be restarted within this time
_WAITING = (MessageState.QUEUED, MessageState.UNKNOWN)
_BATCH = 5  # in one transaction, so that others can write in between
_CONSIDERED = (
    100  # due messages from which a lease is chosen, so that large ones at the front do not hold up the others
)


@dataclass(frozen=True, slots=True)
class ReceiptResult:
    """What a receipt changed. `text` describes it for people; with `is_final`, the relay need not send the receipt again."""

    text: str
    is_final: bool


def holder_of(relay: Relay) -> str:
    """Return the name under which a relay holds leases."""
    return f"{RELAY_HOLDER}{relay.id}"


async def take_leases(
    tx: WriteTx, relay_id: str, most: int, holding: Collection[Claim], now: datetime
) -> tuple[Relay, list[Leased]]:
    """Return the relay, and up to `most` messages that it may have now. Leases that it does not know of are released first."""
    relay = await find_relay(tx, relay_id, for_change=True)  # two requests at once must not take a probe each
    lost = [claim for claim in await outbox.unbegun_of(tx, holder_of(relay)) if claim not in holding]
    await lease.give_back(tx, lost)
    chosen = within_bytes(await _due_for(tx, relay, now), most, LEASED_BYTES_MOST)
    if not chosen:
        return relay, []
    until = now + LEASE_FOR
    leased = await outbox.lease(tx, TRANSPORT, most, now, holder_of(relay), until, ids=chosen, relay_id=relay.id)
    if relay.broken_at is not None:
        await stored_relays.RELAYS.save_state(tx, relay, rules.probing(relay, now))
    return relay, [replace(one, has_other_way=await _has_other_way(tx, one.claim.message_id, now)) for one in leased]


async def _has_other_way(tx: WriteTx, message_id: str, now: datetime) -> bool:
    """Return whether a message that this relay cannot send well could go by another transport instead."""
    message = await outbox.find_message(tx, message_id)
    return message is not None and not message.maybe_sent and await next_way(tx, message, now) is not None


def within_bytes(due: Sequence[tuple[str, int]], most: int, bytes_most: int) -> list[str]:
    """Return the ids of at most `most` of these messages, given with their sizes, that have at most `bytes_most` bytes together.

    One that does not fit any more is left for the next lease and does not hold up the smaller ones behind it.
    """
    chosen: list[str] = []
    for message_id, size in due:
        if len(chosen) < most and size <= bytes_most:
            chosen.append(message_id)
            bytes_most -= size
    return chosen


async def has_due_messages(context: AppContext, relay_id: str) -> bool:
    """Return whether a message is due that the relay could lease now."""
    async with context.database.read() as tx:
        relay = await stored_relays.RELAYS.find(tx, relay_id)
        return relay is not None and bool(await _due_for(tx, relay, context.clock()))


async def _due_for(tx: ReadTx, relay: Relay, now: datetime) -> list[tuple[str, int]]:
    """Return the due messages that the relay may have now, and their sizes: one while its breaker is open, and only if a probe is due."""
    if not rules.may_send(relay, now) or jam_of(relay, await stored_relays.sending_since(tx, holder_of(relay)), now):
        return []
    fit = [one for one in await stored_relays.all_relays(tx) if unfit(one, None, now) is None]
    if relay.broken_at is None:
        return await stored_relays.due_for(tx, relay, fit, MIME_MOST, _CONSIDERED, now)
    has_other_probes = relay.test_address is not None or now - relay.broken_at < rules.ANY_IS_PROBE_AFTER
    return await stored_relays.due_for(tx, relay, fit, MIME_MOST, 1, now, only_without_other_way=has_other_probes)


async def start_attempts(tx: WriteTx, relay_id: str, claims: Sequence[Claim], now: datetime) -> list[Claim]:
    """Write that attempts start, and return the claims that may be sent; none while the relay is paused.

    A lease from before its breaker opened was given back then, so that its claim is refused.
    """
    relay = await find_relay(tx, relay_id)
    if relay.paused_at is not None:
        return []
    begun = await lease.begin(tx, await _own(tx, relay, claims), now)
    return [claim for claim in claims if claim.message_id in begun]


async def renew(tx: WriteTx, relay_id: str, claims: Sequence[Claim], now: datetime) -> list[Claim]:
    """Prolong leases of this relay, and return those that it still holds."""
    relay = await find_relay(tx, relay_id)
    held = await lease.renew(tx, await _own(tx, relay, claims), now + LEASE_FOR)
    return [claim for claim in claims if claim.message_id in held]


async def _own(tx: WriteTx, relay: Relay, claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims that are or were this relay's: with another relay's token, one relay could settle what it never sent."""
    own = await outbox.claims_of(tx, holder_of(relay), claims)
    if len(own) < len(set(claims)):
        log.warning(
            "a relay named leases that it never had",
            relay=relay.name,
            messages=[one.message_id for one in claims if one not in own][:10],
        )
    return [claim for claim in claims if claim in own]


async def take_receipt(tx: WriteTx, relay_id: str, receipt: RelayReceipt, now: datetime) -> ReceiptResult:
    """Settle one receipt. If the attempt has not ended yet, prolong the lease: only this relay can learn the result."""
    relay = await find_relay(tx, relay_id, for_change=True)
    claim, outcome = Claim(receipt.id, receipt.token), outcome_of(receipt)
    if not await _own(tx, relay, [claim]):
        return ReceiptResult("refused: this relay never had this lease", is_final=True)
    attempt = await outbox.attempt_under(tx, claim.message_id, claim.token)
    if outcome is None:
        held = await lease.renew(tx, [claim], now + LEASE_FOR)
        if held and attempt is not None and attempt.ended_at is None:
            so_far = f"not ended yet: {receipt.reason}"
            state = EndedAttempt(attempt.id, None, None, f"mapi {receipt.outcome}", so_far, receipt.evidence or None)
            await outbox.end_attempts(tx, [state])
        text = "the attempt has not ended yet" if held else "the lease was lost; keep looking for the result anyway"
        return ReceiptResult(text, is_final=False)
    text = await settle(tx, claim.message_id, claim.token, outcome, now)
    started_at = attempt.started_at if attempt else now
    is_old = relay.broken_at is not None and started_at < relay.broken_at
    if receipt.outcome == STUCK and await stored_relays.has_sent_after(tx, holder_of(relay), started_at):
        is_old = True
    changed = _after_receipt(relay, receipt, text, now, is_old=is_old)
    if receipt.outcome == BAD_RECIPIENT:
        message = await outbox.find_message(tx, receipt.id)
        if message is not None and (message.recipient_id, message.address) == (relay.id, relay.test_address):
            changed = replace(changed, test_address=None)  # or each probe would go to an address that can prove nothing
    if rules.keeps_from_sending(changed) and not rules.keeps_from_sending(relay):
        log.error(
            "a relay gets no messages because of its receipt",
            relay=relay.name,
            why=changed.paused_why or changed.broken_why,
        )
        await lease.give_back(tx, await outbox.unbegun_of(tx, holder_of(relay)))
    await stored_relays.RELAYS.save_state(tx, relay, changed)
    return ReceiptResult(text, is_final=True)


def _after_receipt(relay: Relay, receipt: RelayReceipt, text: str, now: datetime, *, is_old: bool) -> Relay:
    """Return the relay after a receipt, whose settlement ended in `text`. A receipt that came before changes nothing again.

    Nor does a failure that is old, from before the breaker opened or a later message left: it shows nothing of now, and each would
    make the wait for a probe grow.
    """
    # A window that appears after the submission also pauses the relay, whatever happened to the message.
    outcomes = frozenset(
        {receipt.outcome, *(cause for cause in [receipt.evidence.get("cause")] if isinstance(cause, str))}
    )
    is_repeated = text.startswith(("refused", "sent: known already"))
    has_left = receipt.outcome in (SENT, HANDED_OVER)
    if has_left and not is_repeated:
        relay = rules.after_sent(relay)
    if has_left or is_old:  # what failed after a message had left did not keep it from doing so
        outcomes &= {rules.NEEDS_UI}
    if is_repeated and rules.keeps_from_sending(relay):
        return relay
    return rules.after_failure(relay, outcomes, receipt.reason, now)


def outcome_of(receipt: RelayReceipt) -> Outcome | None:
    """Return the outcome that a receipt reports, by the table in docs/mapi.md.

    None: the attempt has not ended. The relay will report again, and nobody else may touch the message until then.
    """
    code, text, evidence = f"mapi {receipt.outcome}", receipt.reason, receipt.evidence or None
    if receipt.outcome == QUEUED or (receipt.outcome == UNKNOWN and receipt.evidence.get("looked") is False):
        return None
    if receipt.outcome == SENT:
        return Sent(code, text, evidence)
    if receipt.outcome in HOPELESS:
        return Permanent(code, text, evidence)
    is_stuck = receipt.outcome == STUCK and receipt.evidence.get("aborted") is not True
    if is_stuck or receipt.outcome in (UNKNOWN, HANDED_OVER):
        # Still in the Outbox, not found, or taken by a spooler that proves nothing: sending it again by MAPI could send it twice.
        return Unknown(code, text, is_hopeless_here=True, evidence=evidence)
    return Temporary(
        code, text, is_hopeless_here=receipt.outcome in (STUCK, LOST_CHARACTERS, *PAUSING), evidence=evidence
    )


async def find_relay(tx: WriteTx, relay_id: str, *, for_change: bool = False) -> Relay:
    """Return the relay that a key belongs to. Raises NotAllowed if it was deleted."""
    relay = await stored_relays.RELAYS.find(tx, relay_id, for_change=for_change)
    if relay is None:
        raise NotAllowed("this relay was deleted")
    return relay


async def tick(context: AppContext) -> bool:
    """Move messages that wait for relays that are not fit to the recipients' next transports; True if there may be more."""
    now = context.clock()
    reasons, is_freed_all = await _free_from_unfit(context, now)
    fit_ids = [relay_id for relay_id, why in reasons.items() if why is None]
    async with context.database.read() as tx:  # many messages may wait to be looked at
        fit = [relay for relay in await stored_relays.all_relays(tx) if relay.id in fit_ids]
        stranded = await stored_relays.stranded(tx, fit, _BATCH) if is_freed_all else []
        too_large = await stored_relays.too_large(tx, MIME_MOST, _BATCH)
    if stranded or too_large:
        async with context.database.write() as tx:
            changed = await _move_stranded(tx, stranded, reasons, now) + await _move_too_large(tx, too_large, now)
            await outbox.save(tx, changed)
            for message in changed:
                tx.after_commit(partial(report_given_up, message))
            tx.after_commit(lambda: context.wakeups.wake("messages"))
    return not is_freed_all or _BATCH in (len(stranded), len(too_large))


async def _free_from_unfit(context: AppContext, now: datetime) -> tuple[dict[str, str | None], bool]:
    """Free messages from relays that are not fit, a batch, and return by relay why messages must not wait for it, and whether all are free.

    Messages that a relay holds while it sends a slow one are released, too.
    """
    reasons: dict[str, str | None] = {}
    jammed: list[Relay] = []
    async with context.database.read() as tx:
        for relay in await stored_relays.all_relays(tx):
            reasons[relay.id] = unfit(relay, await stored_relays.oldest_for(tx, relay), now)
            if reasons[relay.id] is None:
                sending_since = await stored_relays.sending_since(tx, holder_of(relay))
                reasons[relay.id] = jam_of(relay, sending_since, now)
                jammed += [relay] if reasons[relay.id] else []
        not_fit = [relay_id for relay_id, why in reasons.items() if why is not None]
        is_other_fit = len(not_fit) < len(reasons)
        bound = await stored_relays.bound_to(tx, not_fit, list(reasons), _BATCH) if is_other_fit else []
    if bound or jammed:
        async with context.database.write() as tx:
            for relay in jammed:
                await lease.give_back(tx, await outbox.unbegun_of(tx, holder_of(relay)))
            await stored_relays.set_free(tx, bound, now)
    return reasons, len(bound) < _BATCH


async def _move_stranded(
    tx: WriteTx, ids: Collection[str], reasons: Mapping[str, str | None], now: datetime
) -> list[Message]:
    changed = []
    for held in (await outbox.lock(tx, ids)).values():
        message = held.message
        if message.transport != TRANSPORT or message.state not in _WAITING:  # it was moved or leased meanwhile
            continue
        why = (
            reasons.get(message.relay_id or "")
            or "; ".join(sorted(filter(None, reasons.values())))
            or "no relay sends for it"
        )
        after = await move_on(tx, message, now, why)
        # There is no other transport: not checked again, or it would take a place in every batch.
        changed.append(after or replace(message, move_on_at=message.give_up_at, why=f"waits: {why}"))
    return changed


async def _move_too_large(tx: WriteTx, ids: Collection[str], now: datetime) -> list[Message]:
    """Move messages that no relay accepts to the next transport, or end them as dead: they would wait forever."""
    why = f"it has more than {MIME_MOST // 2**20} MiB, and a relay takes no more"
    waiting = [held.message for held in (await outbox.lock(tx, ids)).values() if held.message.state in _WAITING]
    moved = [(message, await move_on(tx, message, now, why)) for message in waiting if message.transport == TRANSPORT]
    return [after or message.to(MessageState.DEAD, now, why=f"given up: {why}") for message, after in moved]
