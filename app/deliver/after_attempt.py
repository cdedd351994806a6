"""Decides what happens to a message after an attempt: sent, tried again later, moved to the next transport, or given up.

Pure: the time and the random number are passed in.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.message import Message, MessageState

# A server that accepts mail and never confirms it would otherwise send the same mail to its reader for three days.
MOST_UNKNOWN = 8
_WAITS_S = (30, 60, 120, 300, 600, 1200, 1800, 3600)
_LONGEST_WAIT = timedelta(hours=1)
_JITTER = 0.2  # messages that failed together must not all come back at the same moment


@dataclass(frozen=True, slots=True)
class AfterAttempt:
    """`message` is the message if it stays with its transport; with `should_move`, the recipient's next transport is tried first."""

    message: Message
    should_move: bool
    why: str


def decide_after_attempt(
    leased: Message, outcome: Outcome, attempts: int, unknown_before: int, now: datetime, chance: float
) -> AfterAttempt:
    """Decide for a leased message after its `attempts`-th attempt, of which `unknown_before` ended unknown. Raises IllegalMove."""
    message = replace(leased, attempts=attempts)
    why = why_of(outcome)
    match outcome:
        case Sent():
            return AfterAttempt(message.to(MessageState.SENT, now, why=why), should_move=False, why=why)
        case Permanent():
            return AfterAttempt(message.to(MessageState.DEAD, now, why=why), should_move=True, why=why)
        case Temporary():
            due = now + wait_after(attempts, chance, outcome.retry_after)
            decided = _try_again(message, MessageState.QUEUED, due, now, why)
            return replace(decided, should_move=decided.should_move or outcome.is_hopeless_here)
        case Unknown():
            why = f"may have been sent: {why}"
            message = replace(message, maybe_sent=True)
            if not outcome.is_hopeless_here:
                if unknown_before + 1 < MOST_UNKNOWN:
                    return _try_again(message, MessageState.UNKNOWN, now + wait_after(attempts, chance), now, why)
                why = f"{unknown_before + 1} attempts without an answer; {why}"
            return AfterAttempt(message.to(MessageState.DEAD, now, why=why), should_move=True, why=why)
        case _:
            assert_never(outcome)


def why_of(outcome: Outcome) -> str:
    """Return the words of the other side: the first line only, as the evidence is in the lines below it and stays with the attempt."""
    return f"{outcome.code} {outcome.text}".partition("\n")[0].strip()


def wait_after(failures: int, chance: float, retry_after: timedelta | None = None) -> timedelta:
    """Return the wait after the `failures`-th failure (from 1). `chance` is from 0 to 1; `retry_after` is what the server asked for.

    At most an hour, whatever the server asks for: a server must not be able to hold an alert back for days.
    """
    step = _WAITS_S[min(max(failures, 1), len(_WAITS_S)) - 1]
    wait = timedelta(seconds=step * (1 + _JITTER * (2 * chance - 1)))
    return min(max(wait, retry_after or timedelta(0)), _LONGEST_WAIT)


def _try_again(message: Message, state: MessageState, due: datetime, now: datetime, why: str) -> AfterAttempt:
    """Wait for another attempt, or end as dead if the message is too old. The last attempt is at `give_up_at`, even if the wait is longer."""
    if now >= message.give_up_at:
        why = f"given up after {message.attempts} attempts; {why}"
        return AfterAttempt(message.to(MessageState.DEAD, now, why=why), should_move=True, why=why)
    after = message.to(state, now, why=why, due_at=min(due, message.give_up_at))
    # An alert must not wait for its transport when there is another one; a summary can.
    is_overdue = message.is_alert and now >= message.move_on_at
    return AfterAttempt(after, should_move=is_overdue, why=why)
