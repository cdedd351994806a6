"""Receipts of those who no longer hold the lease: relays that were cut off, workers that were paused, answers that come twice.

That a message was sent is a fact whenever it comes. Anything else comes too late: it is written beside the attempt and moves nothing.
"""

from dataclasses import replace
from datetime import datetime

from app.core.log import log
from app.deliver.tell import tell
from app.domain.attempt import Attempt, Outcome, Sent, outcome_name
from app.domain.message import Message, MessageState
from app.store import attempts, outbox
from app.store.transactions import WriteTx

_LONGEST = 4096  # a relay that repeats itself for ever must not grow a row for ever


async def settle_late(tx: WriteTx, message: Message, token: str, outcome: Outcome, now: datetime) -> str:
    """Take a receipt under an outdated token; `message` is locked. Say in words what came of it."""
    attempt = await attempts.attempt_under(tx, message.id, token)
    if attempt is None:
        log.warning("receipt under a token that began no attempt", message=message.id, outcome=outcome_name(outcome))
        return "refused: no attempt was begun under this token"
    if not isinstance(outcome, Sent):
        return await _refuse(tx, message, attempt, outcome, now)
    await _write(tx, attempt, outcome, now)
    if message.state is MessageState.SENT:
        return "sent: known already"
    after = replace(message, attempts=max(message.attempts, attempt.number)).to(
        MessageState.SENT, now, why=f"sent after all: {outcome.code} {outcome.text}".strip()
    )
    await outbox.save(tx, [after])
    await _spare_successors(tx, message, now)
    tx.after_commit(lambda: tell(after, "sent", now))
    return f"sent: the message was {message.state}, and it is a fact that it was sent"


async def _refuse(tx: WriteTx, message: Message, attempt: Attempt, outcome: Outcome, now: datetime) -> str:
    """Keep what was said, move nothing: another may be sending it this moment."""
    log.warning(
        "late receipt refused",
        message=message.id,
        state=message.state,
        outcome=outcome_name(outcome),
        code=outcome.code,
        text=outcome.text,
    )
    if attempt.ended_at is None:
        await attempts.end_attempts(tx, [(attempt.id, now, outcome_name(outcome), outcome.code[:40], outcome.text)])
    elif attempt.outcome != "sent" and attempt.outcome != outcome_name(outcome):
        text = _with(attempt.text, f"said too late to count: {outcome_name(outcome)} {outcome.code} {outcome.text}")
        await attempts.end_attempts(
            tx, [(attempt.id, attempt.ended_at, attempt.outcome or "unknown", attempt.code or "", text)]
        )
    return f"refused: the lease was lost, and the message is {message.state} meanwhile"


async def _write(tx: WriteTx, attempt: Attempt, outcome: Sent, now: datetime) -> None:
    """Complete the attempt; what had been taken for its end stays readable."""
    if attempt.outcome == "sent":
        return
    text = outcome.text
    if attempt.ended_at is not None:
        text = _with(text, f"before, it was taken for {attempt.outcome}: {attempt.code or ''} {attempt.text or ''}")
    await attempts.end_attempts(tx, [(attempt.id, now, "sent", outcome.code[:40], text)])


def _with(text: str | None, more: str) -> str:
    return f"{text or ''}\n{more}".strip()[:_LONGEST]


async def _spare_successors(tx: WriteTx, message: Message, now: datetime) -> None:
    """Stop those that were to carry the same words by another way and have not left: they would be a second mail."""
    follow = message.moved_to
    while follow is not None:
        held = (await outbox.lock(tx, [follow])).get(follow)
        if held is None:
            return
        if held.message.state not in (MessageState.LEASED, MessageState.SENT):
            why = f"its predecessor {message.id} was sent by {message.transport} after all"
            await outbox.save(tx, [held.message.to(MessageState.SENT, now, why=why)])
        follow = held.message.moved_to
