"""What a relay's receipt means for a message, by the table in docs/mapi.md. Pure.

None: the attempt has not ended; the relay knows more later, and nobody else may touch the message until then.
"""

import json
from dataclasses import dataclass

from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from programs.protocol.relay import HOPELESS, PAUSING, QUEUED, SENT, STUCK, UNKNOWN, RelayReceipt

_SHOWN_MOST = 3500


@dataclass(frozen=True, slots=True)
class Meaning:
    """What becomes of the message, and what the relay's administrators must know: that it is to pause, that its Outbox is stuck."""

    outcome: Outcome | None
    pauses: bool = False
    is_stuck: bool = False


def meaning_of(receipt: RelayReceipt) -> Meaning:
    """Read a receipt. A window that showed after the submission pauses too, whatever became of the message."""
    pauses = receipt.outcome in PAUSING or receipt.evidence.get("cause") in PAUSING
    return Meaning(_outcome_of(receipt), pauses=pauses, is_stuck=receipt.outcome == STUCK)


def _outcome_of(receipt: RelayReceipt) -> Outcome | None:
    code, words, evidence = f"mapi {receipt.outcome}", _words(receipt), receipt.evidence
    if receipt.outcome == QUEUED or (receipt.outcome == UNKNOWN and evidence.get("looked") is False):
        return None
    if receipt.outcome == SENT:
        return Sent(code, words)
    if receipt.outcome in HOPELESS:
        return Permanent(code, words)
    if receipt.outcome == UNKNOWN or (receipt.outcome == STUCK and evidence.get("aborted") is not True):
        return Unknown(code, words, is_hopeless_here=True)  # looked for in vain, or still there: never again that way
    return Temporary(code, words, is_hopeless_here=receipt.outcome in (STUCK, *PAUSING))


def _words(receipt: RelayReceipt) -> str:
    """Give the reason, and below it the evidence, as the attempt keeps them."""
    evidence = json.dumps(dict(receipt.evidence), sort_keys=True, default=str) if receipt.evidence else ""
    return f"{receipt.reason}\n{evidence}".strip()[:_SHOWN_MOST]
