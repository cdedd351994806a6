"""Settles what a kill left open, by what a look into Outbox and Sent Items found. Pure."""

from __future__ import annotations

from app.relay.outcomes import Outcome, Verdict

NEVER_SUBMITTED = "never_submitted"  # in evidence: it lay in the Outbox as a draft, and is gone from there now
_FACTS = (Outcome.SENT, Outcome.QUEUED, Outcome.STUCK)


def after_restart() -> Verdict:
    """Give the doubt about a message that the relay was busy with when it died."""
    return Verdict(Outcome.UNKNOWN, "the relay ended while it sent this", {"looked": False}, cause=Outcome.TRANSIENT)


def settle_doubt(doubt: Verdict, looked: Verdict) -> Verdict:
    """Join a doubt with what the look found.

    Found: that. Never submitted: what the child was killed for, and sending again is safe. In neither folder: still unknown, and
    nothing more can be learnt. The look itself failed: still unknown, to be looked for again.
    """
    evidence = {**doubt.evidence, **looked.evidence, "looked": True}
    if looked.outcome in _FACTS:
        return Verdict(looked.outcome, f"{doubt.reason}; then {looked.reason}", evidence)
    if looked.evidence.get(NEVER_SUBMITTED):
        return Verdict(doubt.cause or Outcome.TRANSIENT, f"{doubt.reason}; it was never submitted", evidence)
    if looked.outcome == Outcome.UNKNOWN and looked.evidence.get("looked") is True:
        return Verdict(Outcome.UNKNOWN, f"{doubt.reason}; {looked.reason}", evidence, cause=doubt.cause)
    reason = f"{doubt.reason}; the look for it failed: {looked.reason}"
    return Verdict(Outcome.UNKNOWN, reason, {**evidence, "looked": False}, cause=doubt.cause)
