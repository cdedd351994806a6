"""Picks up what others dropped: leases that ran out, messages that are too old, alerts that wait too long for their transport."""

from dataclasses import replace
from datetime import datetime

from app.context import AppContext
from app.deliver.failover import move_on
from app.deliver.settle import Receipt, settle_all
from app.deliver.tell import tell_end
from app.domain.attempt import Unknown
from app.domain.lease import Claim
from app.domain.message import Message, MessageState
from app.store import outbox
from app.store.transactions import WriteTx

_BATCH = 200
_CUT_OFF = Unknown("lost", "the worker died or was cut off")


async def tick(context: AppContext, *, of_holders: str | None = None) -> bool:
    """Sweep a batch of each; True if there may be more."""
    now = context.clock()
    async with context.database.write() as tx:
        swept = await sweep(tx, now, of_holders=of_holders) + await hurry(tx, now)
        if swept:
            tx.after_commit(lambda: context.wakeups.wake("messages"))
    return swept >= _BATCH


async def sweep(tx: WriteTx, now: datetime, *, of_holders: str | None = None) -> int:
    """Take back leases that ran out: begun ones may have been sent, and are tried again at once; the others never left.

    With `of_holders`, also those of every holder whose name begins so, however long they would still last.
    """
    ids = await outbox.lapsed(tx, now, _BATCH, of_holders=of_holders)
    held = await outbox.lock(tx, ids)
    begun = {id_: one for id_, one in held.items() if one.attempt_id is not None}
    receipts = [Receipt(Claim(id_, one.message.lease_token or ""), _CUT_OFF) for id_, one in begun.items()]
    await settle_all(tx, receipts, begun, now, at_once=True)
    await outbox.save(tx, [one.message.to(MessageState.QUEUED, now) for id_, one in held.items() if id_ not in begun])
    return len(held)


async def hurry(tx: WriteTx, now: datetime) -> int:
    """Move on or give up what waits too long, also where nobody serves its transport and so nothing is ever attempted."""
    held = await outbox.lock(tx, await outbox.overdue(tx, now, _BATCH))
    changed = []
    for one in held.values():
        message = one.message
        why = _why(message, now)
        after = await move_on(tx, message, now, why)
        if after is None and now >= message.give_up_at:
            after = message.to(MessageState.DEAD, now, why=f"given up: {why}")
        # Nowhere to go after all: not looked at again until it is too old, or it would stand before others at every sweep.
        changed.append(after or replace(message, move_on_at=message.give_up_at))
    await outbox.save(tx, changed)
    tx.after_commit(lambda: _tell_all(changed))
    return len(changed)


def _tell_all(changed: list[Message]) -> None:
    for message in changed:
        tell_end(message)


def _why(message: Message, now: datetime) -> str:
    """Say for how long it waited, and the last attempt's words: "not sent" alone tells nobody what to mend."""
    seconds = int((now - message.created_at).total_seconds())
    waited = f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"  # noqa: PLR2004  (a minute)
    tried = "1 attempt" if message.attempts == 1 else f"{message.attempts} attempts"
    last_words = f": {message.why}" if message.attempts and message.why else ""
    return f"not sent within {waited}, after {tried}{last_words}"
