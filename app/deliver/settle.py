"""The door by which every attempt's end comes in, from our worker and from a relay alike: late, twice, in any order.

It decides by the token who may speak: the present holder always; a former one only to say that the message was sent, which is
a fact and is never undone.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.base.ids import new_id
from app.base.log import log
from app.deliver.failover import move_on
from app.deliver.late import settle_late
from app.deliver.tell import tell
from app.deliver.verdict import judge
from app.domain.lease import Attempt, Claim, Held
from app.domain.message import Message, MessageState
from app.domain.outcome import Outcome, Unknown, name_of
from app.store import attempts, outbox
from app.store.unit import Unit


@dataclass(frozen=True, slots=True)
class Receipt:
    """How the attempt under a claim ended."""

    claim: Claim
    outcome: Outcome


async def settle(unit: Unit, message_id: str, token: str, outcome: Outcome, now: datetime) -> str:
    """Settle one attempt and say in words what came of it."""
    receipt = Receipt(Claim(message_id, token), outcome)
    held = await outbox.lock(unit, [message_id])
    return (await settle_all(unit, [receipt], held, now))[0]


async def settle_all(
    unit: Unit, receipts: Sequence[Receipt], held: Mapping[str, Held], now: datetime, *, at_once: bool = False
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
            said.append(await settle_late(unit, one.message, receipt.claim.token, receipt.outcome, now))
        else:
            attempt_id, number = await _attempt_of(unit, one, now)
            ended.append((attempt_id, now, name_of(receipt.outcome), receipt.outcome.code[:40], receipt.outcome.text))
            after = await _after(unit, one.message, receipt.outcome, number, now)
            changed.append(replace(after, due_at=now) if at_once else after)
            said.append(f"{after.state}: {after.why}")
    await attempts.end_attempts(unit, ended)
    await outbox.save(unit, changed)
    return said


async def _after(unit: Unit, message: Message, outcome: Outcome, number: int, now: datetime) -> Message:
    """Judge, and fail over where the verdict says so."""
    unknown_before = await attempts.count_unknown(unit, message.id) if isinstance(outcome, Unknown) else 0
    verdict = judge(message, outcome, number, unknown_before, now, random.random())  # noqa: S311  (jitter, no secret)
    after = verdict.after
    if verdict.should_move:
        after = await move_on(unit, replace(after, state=message.state), now, verdict.why) or after
    unit.after_commit(lambda: tell(after, name_of(outcome), now))
    return after


async def _attempt_of(unit: Unit, held: Held, now: datetime) -> tuple[str, int]:
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
    await attempts.insert_attempts(unit, [missed])
    return missed.id, missed.number
