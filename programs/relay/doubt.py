"""Settles what a kill left open, by what a look into Outbox and Sent Items found. Pure."""

from __future__ import annotations

from programs.relay.outcomes import Outcome, Verdict

NEVER_SUBMITTED = "never_submitted"  # in evidence: it lay in the Outbox as a draft, and is gone from there now
_LOOK_FAILED = "; the look for it failed: "
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
    why = doubt.reason.partition(_LOOK_FAILED)[0]  # the last look's words are enough: they come each minute, for days
    if looked.outcome in _FACTS:
        return Verdict(looked.outcome, f"{why}; then {looked.reason}", evidence)
    if looked.evidence.get(NEVER_SUBMITTED):
        return Verdict(doubt.cause or Outcome.TRANSIENT, f"{why}; it was never submitted", evidence)
    if looked.outcome == Outcome.UNKNOWN and looked.evidence.get("looked") is True:
        return Verdict(Outcome.UNKNOWN, f"{why}; {looked.reason}", evidence, cause=doubt.cause)
    return Verdict(
        Outcome.UNKNOWN, f"{why}{_LOOK_FAILED}{looked.reason}", {**evidence, "looked": False}, cause=doubt.cause
    )
