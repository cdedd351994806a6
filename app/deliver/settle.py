"""Settles attempts, of our worker and of relays alike. Results may come late, twice and in any order.

The lease token decides what a result may change. The current holder may report anything. A former holder (a relay that was cut
off, a worker that was suspended, an answer that comes twice) may only report that the message was sent, because that is a fact
whenever it comes and is never undone. Any other late result is written next to the attempt and changes nothing.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from app.core.ids import new_id
from app.core.log import log
from app.deliver.after_attempt import decide_after_attempt, why_of
from app.deliver.failover import move_on
from app.deliver.report import report_attempt, report_sent
from app.domain.attempt import Attempt, Outcome, Sent, Unknown, outcome_name
from app.domain.lease import Claim, Held
from app.domain.message import Message, MessageState
from app.store import outbox, outbox_at_once
from app.store.outbox import EndedAttempt
from app.store.transactions import ReadTx, WriteTx

_LONGEST_TEXT = 4096  # a relay that repeats a result for ever must not grow a row for ever


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The outcome of the attempt under a claim."""

    claim: Claim
    outcome: Outcome


async def settle(tx: WriteTx, message_id: str, token: str, outcome: Outcome, now: datetime) -> str:
    """Settle one attempt and return in words what happened to the message."""
    return (await settle_results(tx, [AttemptResult(Claim(message_id, token), outcome)], now))[0]


async def settle_results(tx: WriteTx, results: Sequence[AttemptResult], now: datetime) -> list[str]:
    """Settle attempts; return for each in words what happened."""
    ids = {result.claim.message_id for result in results}
    if len(ids) < len(
        results
    ):  # one lost its lease and ended together with the next one: each must see what the other changed
        return [effect for result in results for effect in await settle_results(tx, [result], now)]
    locked = await outbox.lock(tx, ids)
    return await settle_all(tx, results, locked, now)


async def settle_sent(tx: ReadTx, results: Sequence[AttemptResult], now: datetime) -> list[AttemptResult]:
    """Settle, on PostgreSQL and in one statement, those of different messages that were sent; return the results that must be settled otherwise.

    It sets what `Message.to` does. A message that is not leased any more under the token of its claim stays as it is here.
    """
    sent = [result for result in results if isinstance(result.outcome, Sent)]
    given = [(one.claim.message_id, one.claim.token, why_of(one.outcome), _ended("", now, one.outcome)) for one in sent]
    settled = await outbox_at_once.settle_sent(tx, given, now) if given else []
    done = {one.id for one in settled}
    if isinstance(tx, WriteTx):
        tx.after_commit(partial(report_sent, settled, now))
    else:
        report_sent(settled, now)
    return [result for result in results if result.claim.message_id not in done]


async def settle_all(
    tx: WriteTx, results: Sequence[AttemptResult], locked: Mapping[str, Held], now: datetime, *, at_once: bool = False
) -> list[str]:
    """Settle attempts at different messages, which are locked already; return for each in words what happened.

    With `at_once`, messages that are sent again are due now: the receiving side was not at fault.
    """
    effects: list[str] = []
    changed: list[Message] = []
    ended: list[EndedAttempt] = []
    sent: list[Message] = []
    for result in results:
        held, outcome = locked.get(result.claim.message_id), result.outcome
        if held is None:
            log.warning("result for an unknown message", message=result.claim.message_id)
            effects.append("refused: there is no such message")
        elif held.message.state is not MessageState.LEASED or held.message.lease_token != result.claim.token:
            effects.append(await _settle_late(tx, held.message, result.claim.token, outcome, now))
        else:
            attempt_id, number = await _find_or_write_attempt(tx, held, now)
            ended.append(_ended(attempt_id, now, outcome))
            after = await _change_message(tx, held.message, outcome, number, now)
            changed.append(replace(after, due_at=now) if at_once else after)
            effects.append(f"{after.state}: {after.why}")
            if isinstance(outcome, Sent):
                sent.append(after)
            else:
                tx.after_commit(partial(report_attempt, after, outcome_name(outcome), now))
    await outbox.end_attempts(tx, ended)
    await outbox.save(tx, changed)
    if sent:
        tx.after_commit(partial(report_sent, sent, now))
    return effects


async def _change_message(tx: WriteTx, message: Message, outcome: Outcome, number: int, now: datetime) -> Message:
    """Decide what happens to the message, and move it to the next transport if that is the decision."""
    unknown_before = await outbox.count_unknown(tx, message.id) if isinstance(outcome, Unknown) else 0
    jitter = random.random()  # noqa: S311  (no secret)
    decided = decide_after_attempt(message, outcome, number, unknown_before, now, jitter)
    after = decided.message
    if decided.should_move:
        # `move_on` starts from the leased message: from a state such as dead there is no legal move to the next transport.
        tried = replace(message, attempts=after.attempts, maybe_sent=after.maybe_sent, due_at=after.due_at)
        after = await move_on(tx, tried, now, decided.why) or after
    return after


async def _find_or_write_attempt(tx: WriteTx, held: Held, now: datetime) -> tuple[str, int]:
    """Return the attempt's id and number. If the attempt was never begun here, write it now: it was made all the same."""
    if held.attempt_id is not None and held.number is not None:
        return held.attempt_id, held.number
    message = held.message
    attempt = Attempt(
        id=new_id("att"),
        message_id=message.id,
        number=message.attempts + 1,
        holder=message.lease_holder or "",
        token=message.lease_token or "",
        started_at=now,
    )
    await outbox.insert_attempts(tx, [attempt])
    return attempt.id, attempt.number


async def _settle_late(tx: WriteTx, message: Message, token: str, outcome: Outcome, now: datetime) -> str:
    """Settle a result under an outdated token; `message` is locked. Return in words what happened."""
    attempt = await outbox.attempt_under(tx, message.id, token)
    if attempt is None:
        log.warning("result under a token that began no attempt", message=message.id, outcome=outcome_name(outcome))
        return "refused: no attempt was begun under this token"
    if not isinstance(outcome, Sent):
        return await _keep_late_failure(tx, message, attempt, outcome, now)
    if attempt.outcome != "sent":
        text = outcome.text
        if attempt.ended_at is not None:
            text = _append(text, f"recorded before as {attempt.outcome}: {attempt.code or ''} {attempt.text or ''}")
        await outbox.end_attempts(tx, [_ended(attempt.id, now, outcome)._replace(text=text)])
    if message.state in (MessageState.SENT, MessageState.BOUNCED):  # what came back had been sent
        return "sent: known already"
    after = replace(message, attempts=max(message.attempts, attempt.number)).to(
        MessageState.SENT, now, why=f"sent after all: {outcome.code} {outcome.text}".strip()
    )
    await outbox.save(tx, [after])
    await _cancel_successors(tx, message, now)
    tx.after_commit(lambda: report_attempt(after, "sent", now))
    return f"sent: the message was {message.state}, but it has been sent"


async def _keep_late_failure(tx: WriteTx, message: Message, attempt: Attempt, outcome: Outcome, now: datetime) -> str:
    """Write the result down and leave the message alone: another holder may be sending it at this moment."""
    log.warning(
        "late result refused",
        message=message.id,
        state=message.state,
        outcome=outcome_name(outcome),
        code=outcome.code,
        text=outcome.text,
    )
    if attempt.ended_at is None:
        await outbox.end_attempts(tx, [_ended(attempt.id, now, outcome)])
    elif attempt.outcome != "sent" and attempt.outcome != outcome_name(outcome):
        text = _append(
            attempt.text, f"reported too late to count: {outcome_name(outcome)} {outcome.code} {outcome.text}"
        )
        kept = EndedAttempt(
            attempt.id,
            attempt.ended_at,
            attempt.outcome,
            attempt.code or "",
            text,
            attempt.evidence or outcome.evidence,
        )
        await outbox.end_attempts(tx, [kept])
    return f"refused: the lease was lost, and the message is {message.state} now"


def _ended(attempt_id: str, now: datetime, outcome: Outcome) -> EndedAttempt:
    return EndedAttempt(attempt_id, now, outcome_name(outcome), outcome.code[:40], outcome.text, outcome.evidence)


def _append(text: str | None, more: str) -> str:
    return f"{text or ''}\n{more}".strip()[:_LONGEST_TEXT]


async def _cancel_successors(tx: WriteTx, message: Message, now: datetime) -> None:
    """Settle the successors that are not leased yet, so that the recipient does not get the same text a second time."""
    next_id = message.moved_to
    while next_id is not None:
        held = (await outbox.lock(tx, [next_id])).get(next_id)
        if held is None:
            return
        if held.message.state not in (MessageState.LEASED, MessageState.SENT, MessageState.BOUNCED):
            why = f"its predecessor {message.id} was sent by {message.transport} after all"
            await outbox.save(tx, [held.message.to(MessageState.SENT, now, why=why)])
        next_id = held.message.moved_to
