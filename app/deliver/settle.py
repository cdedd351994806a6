"""The door by which every attempt's end comes in, from our worker and from a relay alike: late, twice, in any order.

It decides by the token who may speak: the present holder always; a former one only to say that the message was sent, which is
a fact and is never undone.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.core.ids import new_id
from app.core.log import log
from app.deliver.failover import move_on
from app.deliver.late import settle_late
from app.deliver.tell import tell
from app.deliver.verdict import judge
from app.domain.attempt import Attempt, Outcome, Unknown, outcome_name
from app.domain.lease import Claim, Held
from app.domain.message import Message, MessageState
from app.store import attempts, outbox
from app.store.transactions import WriteTx


@dataclass(frozen=True, slots=True)
class Receipt:
    """How the attempt under a claim ended."""

    claim: Claim
    outcome: Outcome


async def settle(tx: WriteTx, message_id: str, token: str, outcome: Outcome, now: datetime) -> str:
    """Settle one attempt and say in words what came of it."""
    receipt = Receipt(Claim(message_id, token), outcome)
    held = await outbox.lock(tx, [message_id])
    return (await settle_all(tx, [receipt], held, now))[0]


async def settle_all(
    tx: WriteTx, receipts: Sequence[Receipt], held: Mapping[str, Held], now: datetime, *, at_once: bool = False
) -> list[str]:
    """Settle attempts at different messages, which are locked in `held`; say for each in words what came of it.

    `at_once`: what is tried again is due now; the fault was not the other side's.
    """
    said: list[str] = []
    changed: list[Message] = []
    ended: list[tuple[str, datetime, str, str, str]] = []
    for receipt in receipts:
        one = held.get(receipt.claim.message_id)
        if one is None:
            log.warning("receipt for no message of ours", message=receipt.claim.message_id)
            said.append("refused: there is no such message")
        elif one.message.state is not MessageState.LEASED or one.message.lease_token != receipt.claim.token:
            said.append(await settle_late(tx, one.message, receipt.claim.token, receipt.outcome, now))
        else:
            attempt_id, number = await _attempt_of(tx, one, now)
            ended.append(
                (attempt_id, now, outcome_name(receipt.outcome), receipt.outcome.code[:40], receipt.outcome.text)
            )
            after = await _after(tx, one.message, receipt.outcome, number, now)
            changed.append(replace(after, due_at=now) if at_once else after)
            said.append(f"{after.state}: {after.why}")
    await attempts.end_attempts(tx, ended)
    await outbox.save(tx, changed)
    return said


async def _after(tx: WriteTx, message: Message, outcome: Outcome, number: int, now: datetime) -> Message:
    """Judge, and fail over where the verdict says so."""
    unknown_before = await attempts.count_unknown(tx, message.id) if isinstance(outcome, Unknown) else 0
    verdict = judge(message, outcome, number, unknown_before, now, random.random())  # noqa: S311  (jitter, no secret)
    after = verdict.after
    if verdict.should_move:
        # `move_on` starts from the leased message: from a state such as dead there is no legal move to the next transport.
        tried = replace(message, attempts=after.attempts, maybe_sent=after.maybe_sent, due_at=after.due_at)
        after = await move_on(tx, tried, now, verdict.why) or after
    tx.after_commit(lambda: tell(after, outcome_name(outcome), now))
    return after


async def _attempt_of(tx: WriteTx, held: Held, now: datetime) -> tuple[str, int]:
    """Give the attempt's id and number. A receipt for one that was never begun writes it now: it was made all the same."""
    if held.attempt_id is not None and held.number is not None:
        return held.attempt_id, held.number
    message = held.message
    missed = Attempt(
        id=new_id("att"),
        message_id=message.id,
        number=message.attempts + 1,
        holder=message.lease_holder or "",
        token=message.lease_token or "",
        started_at=now,
    )
    await attempts.insert_attempts(tx, [missed])
    return missed.id, missed.number
