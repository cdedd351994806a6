"""What becomes of a message when an attempt at it has ended. Pure: message, outcome, now and chance in; the message as it stays out."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from app.deliver.backoff import wait_after
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.message import Message, MessageState

# A server that takes mail and then never says so would otherwise send the same mail to its reader for three days.
MOST_UNKNOWN = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """`after` is the message if it stays with its transport; `should_move` says that the recipient's next transport comes first."""

    after: Message
    should_move: bool
    why: str


def judge(held: Message, outcome: Outcome, attempts: int, unknown_before: int, now: datetime, chance: float) -> Verdict:
    """Judge a leased message after its `attempts`-th attempt; `unknown_before` of the earlier ones ended unknown. Raises IllegalMove."""
    message = replace(held, attempts=attempts)
    words = f"{outcome.code} {outcome.text}".partition("\n")[
        0
    ].strip()  # evidence stands below, and stays with the attempt
    match outcome:
        case Sent():
            return Verdict(message.to(MessageState.SENT, now, why=words), should_move=False, why=words)
        case Permanent():
            return Verdict(message.to(MessageState.DEAD, now, why=words), should_move=True, why=words)
        case Temporary():
            due = now + wait_after(attempts, chance, outcome.retry_after)
            verdict = _tried_again(message, MessageState.QUEUED, due, now, words)
            return replace(verdict, should_move=verdict.should_move or outcome.is_hopeless_here)
        case Unknown():
            words = f"may have been sent: {words}"
            message = replace(message, maybe_sent=True)
            if outcome.is_hopeless_here:
                return Verdict(message.to(MessageState.DEAD, now, why=words), should_move=True, why=words)
            if unknown_before + 1 >= MOST_UNKNOWN:
                why = f"{unknown_before + 1} attempts without an answer; {words}"
                return Verdict(message.to(MessageState.DEAD, now, why=why), should_move=True, why=why)
            return _tried_again(message, MessageState.UNKNOWN, now + wait_after(attempts, chance), now, words)
        case _:
            assert_never(outcome)


def is_late_here(message: Message, now: datetime) -> bool:
    """Say whether it is time to try the recipient's next transport: an alert must be heard, a summary can wait."""
    return now >= message.give_up_at or (message.is_alert and now >= message.move_on_at)


def _tried_again(message: Message, to: MessageState, due: datetime, now: datetime, words: str) -> Verdict:
    """Wait for another try, or die of age. The last try is at the very end, however long the wait would be."""
    if now >= message.give_up_at:
        why = f"given up after {message.attempts} attempts; {words}"
        return Verdict(message.to(MessageState.DEAD, now, why=why), should_move=True, why=why)
    after = message.to(to, now, why=words, due_at=min(due, message.give_up_at))
    return Verdict(after, should_move=is_late_here(message, now), why=words)
