"""The outcomes of a message over MAPI, the tables from MAPI's codes to them, and how a doubtful one is settled. Pure; no Windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

EXAMINED = "examined"  # how a child in mode `doctor` ends; not an outcome of a message


class RelayOutcome(str, Enum):
    """The outcome of one message. docs/mapi.md says what the service does for each."""

    SENT = "sent"  # left the Outbox of a tight pair; the evidence says whether its copy was found
    HANDED_OVER = "handed_over"  # the MAPI spooler took it from the Outbox: nothing proves that it went further
    QUEUED = "queued"  # submitted, still in the Outbox: the relay waits and never sends it again
    STUCK = "stuck"  # in the Outbox at the deadline; AbortSubmit was tried, the evidence says whether it worked
    NEEDS_UI = "needs_ui"  # the client showed a window, or asked for one
    TIMEOUT = "timeout"  # killed at a deadline before it was submitted
    UNKNOWN = "unknown"  # killed at or after submit: looked for by search key, never sent again without a look
    LOST_CHARACTERS = "lost_characters"  # not submitted: this mailbox would turn characters into question marks
    BAD_RECIPIENT = "bad_recipient"
    BAD_MESSAGE = "bad_message"
    PROFILE_MISSING = "profile_missing"
    LOGON_FAILED = "logon_failed"
    INCOMPATIBLE_CLIENT = "incompatible_client"
    NOT_TIGHT = "not_tight"
    BITNESS = "bitness"
    TRANSIENT = "transient"

    def __str__(self) -> str:
        """Return the word itself, on every version of Python."""
        return str(self.value)


@dataclass(frozen=True)
class RelayVerdict:
    """How one child ended: the outcome, a sentence for people, and evidence that is JSON.

    `cause` is set when the outcome is `unknown`: the outcome that holds if a look shows that the message was never submitted.
    """

    outcome: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    cause: str | None = None

    def with_evidence(self, **more: Any) -> RelayVerdict:  # noqa: ANN401  (evidence is JSON)
        """Return the same verdict with more evidence; existing values stay."""
        return replace(self, evidence={**more, **self.evidence})

    def as_json(self) -> dict[str, Any]:
        """Return the values that the child prints and the spool keeps."""
        cause = None if self.cause is None else str(self.cause)
        return {"outcome": str(self.outcome), "reason": self.reason, "evidence": dict(self.evidence), "cause": cause}


class MapiError(Exception):
    """MAPI refused a call. `code` is an HRESULT as 32 bits without sign; `doing` names the step."""

    def __init__(self, code: int, doing: str) -> None:
        self.code = code & 0xFFFFFFFF
        self.doing = doing
        super().__init__(f"{doing}: 0x{self.code:08X}")


class Declined(Exception):
    """We refuse to continue, before anything was sent; the verdict says why."""

    def __init__(self, verdict: RelayVerdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


# Names as in Microsoft's mapicode.h without MAPI_E_; outcomes as in docs/mapi.md. A code that is not listed is `transient`: a retry
# with back-off and then the next transport is right for an unknown error. While logging on, NOT_FOUND means a missing profile, and a
# message that is SUBMITTED already is looked for in the Outbox and never sent again.
_CODES: Mapping[RelayOutcome, str] = {
    RelayOutcome.LOGON_FAILED: (
        "80070005 NO_ACCESS, 80040111 LOGON_FAILED, 8004011C UNCONFIGURED, 8004011D FAILONEPROVIDER, "
        "80040120 PASSWORD_CHANGE_REQUIRED, 80040121 PASSWORD_EXPIRED, 80040122 INVALID_WORKSTATION_ACCOUNT, "
        "80040123 INVALID_ACCESS_TIME, 80040124 ACCOUNT_DISABLED"
    ),
    RelayOutcome.PROFILE_MISSING: "80040204 PROFILE_DELETED",
    RelayOutcome.INCOMPATIBLE_CLIENT: (
        "80004002 INTERFACE_NOT_SUPPORTED, 80040102 NO_SUPPORT, 80040103 BAD_CHARWIDTH, "
        "80040106 UNKNOWN_FLAGS, 80040110 VERSION, 80040118 BAD_COLUMN, 8004011A COMPUTED, "
        "8004011E UNKNOWN_CPID, 8004011F UNKNOWN_LCID, 80040202 MISSING_REQUIRED_COLUMN"
    ),
    RelayOutcome.BAD_MESSAGE: (
        "80070057 INVALID_PARAMETER, 80040105 STRING_TOO_LONG, 80040117 TOO_COMPLEX, 80040301 BAD_VALUE, "
        "80040302 INVALID_TYPE, 80040303 TYPE_NO_SUPPORT, 80040304 UNEXPECTED_TYPE, 80040305 TOO_BIG, "
        "80040900 NAMED_PROP_QUOTA_EXCEEDED"
    ),
    RelayOutcome.BAD_RECIPIENT: "80040607 NO_RECIPIENTS, 80040700 AMBIGUOUS_RECIP",
    RelayOutcome.NEEDS_UI: "80040113 USER_CANCEL",
    RelayOutcome.UNKNOWN: "80040608 SUBMITTED",
    RelayOutcome.TRANSIENT: (
        "80004005 CALL_FAILED, 8007000E NOT_ENOUGH_MEMORY, 800706BA RPC_S_SERVER_UNAVAILABLE, "
        "80040107 INVALID_ENTRYID, 80040108 INVALID_OBJECT, 80040109 OBJECT_CHANGED, 8004010A OBJECT_DELETED, "
        "8004010B BUSY, 8004010D NOT_ENOUGH_DISK, 8004010E NOT_ENOUGH_RESOURCES, 8004010F NOT_FOUND, "
        "80040112 SESSION_LIMIT, 80040114 UNABLE_TO_ABORT, 80040115 NETWORK_ERROR, 80040116 DISK_ERROR, "
        "80040119 EXTENDED_ERROR, 8004011B CORRUPT_DATA, 80040126 OFFLINE, 80040200 END_OF_SESSION, "
        "80040201 UNKNOWN_ENTRYID, 80040400 UNABLE_TO_COMPLETE, 80040401 TIMEOUT, 80040500 WAIT, "
        "80040501 CANCEL, 80040600 CORRUPT_STORE, 80040601 NOT_IN_QUEUE, 80040605 NOT_INITIALIZED, "
        "8004060C STORE_FULL"
    ),
}
HRESULTS: Mapping[int, tuple[str, RelayOutcome]] = {
    int(code, 16): (name if name.startswith("RPC_") else f"MAPI_E_{name}", outcome)
    for outcome, listed in _CODES.items()
    for code, name in (entry.split(" ") for entry in listed.split(", "))
}
_NOT_FOUND = 0x8004010F
LOGON_STEPS = ("MAPILogonEx", "read the profile")  # steps in which "not found" means the profile was not found


def verdict_of_error(refused: MapiError) -> RelayVerdict:
    """Return what a code means for the message, at the step where it came."""
    name, outcome = HRESULTS.get(refused.code, ("", RelayOutcome.TRANSIENT))
    if refused.doing in LOGON_STEPS and refused.code == _NOT_FOUND:
        outcome = RelayOutcome.PROFILE_MISSING
    code = f"0x{refused.code:08X}"
    reason = f"{refused.doing}: {name or 'unlisted code'} ({code})"
    return RelayVerdict(outcome, reason, {"hresult": code, "name": name, "doing": refused.doing})


NEVER_SUBMITTED = "never_submitted"  # in evidence: it was a draft in the Outbox, and is removed now
_LOOK_FAILED = "; the look for it failed: "
_FACTS = (RelayOutcome.SENT, RelayOutcome.HANDED_OVER, RelayOutcome.QUEUED, RelayOutcome.STUCK)


def after_restart() -> RelayVerdict:
    """Return the verdict of a message that was being sent when the relay died: unknown."""
    return RelayVerdict(
        RelayOutcome.UNKNOWN, "the relay ended while it sent this", {"looked": False}, cause=RelayOutcome.TRANSIENT
    )


def settle_doubt(doubt: RelayVerdict, looked: RelayVerdict) -> RelayVerdict:
    """Combine a doubtful verdict with the result of a look into Outbox and Sent Items.

    Found: the result of the look. Never submitted: the reason why the child was killed, and sending again is safe. In neither folder:
    still unknown, and nothing more can be learnt. The look itself failed: still unknown, and the relay looks again later.
    """
    evidence = {**doubt.evidence, **looked.evidence, "looked": True}
    # Only the last look's reason is kept: there is one each minute, for days.
    doubt_reason = doubt.reason.partition(_LOOK_FAILED)[0]
    if looked.outcome in _FACTS:
        return RelayVerdict(looked.outcome, f"{doubt_reason}; then {looked.reason}", evidence)
    if looked.evidence.get(NEVER_SUBMITTED):
        return RelayVerdict(doubt.cause or RelayOutcome.TRANSIENT, f"{doubt_reason}; it was never submitted", evidence)
    if looked.outcome == RelayOutcome.UNKNOWN and looked.evidence.get("looked") is True:
        return RelayVerdict(RelayOutcome.UNKNOWN, f"{doubt_reason}; {looked.reason}", evidence, cause=doubt.cause)
    reason, evidence = f"{doubt_reason}{_LOOK_FAILED}{looked.reason}", {**evidence, "looked": False}
    return RelayVerdict(RelayOutcome.UNKNOWN, reason, evidence, cause=doubt.cause)
