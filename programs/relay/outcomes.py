"""The outcomes of a message over MAPI, the tables from MAPI's codes to them, and how a doubtful one is settled. Pure; no Windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

EXAMINED = "examined"  # how a child in mode `doctor` ends; not an outcome of a message


class RelayOutcome(str, Enum):
    """The outcome of one message. docs/mapi.md says what the service does for each."""

    SENT = "sent"  # left the Outbox, or handed to a client without an Outbox to look into; the evidence says which
    QUEUED = "queued"  # submitted, still in the Outbox: the relay waits and never sends it again
    STUCK = "stuck"  # in the Outbox at the deadline; AbortSubmit was tried, the evidence says whether it worked
    NEEDS_UI = "needs_ui"  # the client showed a window, or asked for one
    TIMEOUT = "timeout"  # killed at a deadline before it was submitted
    UNKNOWN = "unknown"  # killed at or after submit: looked for by search key, never sent again without a look
    BAD_RECIPIENT = "bad_recipient"
    BAD_MESSAGE = "bad_message"
    PROFILE_MISSING = "profile_missing"
    LOGON_FAILED = "logon_failed"
    INCOMPATIBLE_CLIENT = "incompatible_client"
    NOT_TIGHT = "not_tight"
    BITNESS = "bitness"
    TRANSIENT = "transient"


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
        return {
            "outcome": str(self.outcome.value if isinstance(self.outcome, RelayOutcome) else self.outcome),
            "reason": self.reason,
            "evidence": dict(self.evidence),
            "cause": self.cause.value if isinstance(self.cause, RelayOutcome) else self.cause,
        }


class MapiError(Exception):
    """MAPI refused a call. `code` is an HRESULT as 32 bits without sign, or a Simple MAPI code; `doing` names the step."""

    def __init__(self, code: int, doing: str, *, simple: bool = False) -> None:
        super().__init__(f"{doing}: {code if simple else f'0x{code & 0xFFFFFFFF:08X}'}")
        self.code = code & 0xFFFFFFFF
        self.doing = doing
        self.simple = simple


class Declined(Exception):
    """We refuse to continue, before anything was sent; the verdict says why."""

    def __init__(self, verdict: RelayVerdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


_T, _L, _I = RelayOutcome.TRANSIENT, RelayOutcome.LOGON_FAILED, RelayOutcome.INCOMPATIBLE_CLIENT
_M, _R, _P = RelayOutcome.BAD_MESSAGE, RelayOutcome.BAD_RECIPIENT, RelayOutcome.PROFILE_MISSING

# Names as in Microsoft's mapicode.h; outcomes as in docs/mapi.md. A code that is not listed is `transient`: a retry with back-off
# and then the next transport is right for an unknown error.
HRESULTS: Mapping[int, tuple[str, RelayOutcome]] = {
    0x80004002: ("MAPI_E_INTERFACE_NOT_SUPPORTED", _I),
    0x80004005: ("MAPI_E_CALL_FAILED", _T),
    0x80070005: ("MAPI_E_NO_ACCESS", _L),
    0x8007000E: ("MAPI_E_NOT_ENOUGH_MEMORY", _T),
    0x80070057: ("MAPI_E_INVALID_PARAMETER", _M),
    0x800706BA: ("RPC_S_SERVER_UNAVAILABLE", _T),
    0x80040102: ("MAPI_E_NO_SUPPORT", _I),
    0x80040103: ("MAPI_E_BAD_CHARWIDTH", _I),
    0x80040105: ("MAPI_E_STRING_TOO_LONG", _M),
    0x80040106: ("MAPI_E_UNKNOWN_FLAGS", _I),
    0x80040107: ("MAPI_E_INVALID_ENTRYID", _T),
    0x80040108: ("MAPI_E_INVALID_OBJECT", _T),
    0x80040109: ("MAPI_E_OBJECT_CHANGED", _T),
    0x8004010A: ("MAPI_E_OBJECT_DELETED", _T),
    0x8004010B: ("MAPI_E_BUSY", _T),
    0x8004010D: ("MAPI_E_NOT_ENOUGH_DISK", _T),
    0x8004010E: ("MAPI_E_NOT_ENOUGH_RESOURCES", _T),
    0x8004010F: ("MAPI_E_NOT_FOUND", _T),  # while logging on: the profile is missing, see of_refusal
    0x80040110: ("MAPI_E_VERSION", _I),
    0x80040111: ("MAPI_E_LOGON_FAILED", _L),
    0x80040112: ("MAPI_E_SESSION_LIMIT", _T),
    0x80040113: ("MAPI_E_USER_CANCEL", RelayOutcome.NEEDS_UI),
    0x80040114: ("MAPI_E_UNABLE_TO_ABORT", _T),
    0x80040115: ("MAPI_E_NETWORK_ERROR", _T),
    0x80040116: ("MAPI_E_DISK_ERROR", _T),
    0x80040117: ("MAPI_E_TOO_COMPLEX", _M),
    0x80040118: ("MAPI_E_BAD_COLUMN", _I),
    0x80040119: ("MAPI_E_EXTENDED_ERROR", _T),
    0x8004011A: ("MAPI_E_COMPUTED", _I),
    0x8004011B: ("MAPI_E_CORRUPT_DATA", _T),
    0x8004011C: ("MAPI_E_UNCONFIGURED", _L),
    0x8004011D: ("MAPI_E_FAILONEPROVIDER", _L),
    0x8004011E: ("MAPI_E_UNKNOWN_CPID", _I),
    0x8004011F: ("MAPI_E_UNKNOWN_LCID", _I),
    0x80040120: ("MAPI_E_PASSWORD_CHANGE_REQUIRED", _L),
    0x80040121: ("MAPI_E_PASSWORD_EXPIRED", _L),
    0x80040122: ("MAPI_E_INVALID_WORKSTATION_ACCOUNT", _L),
    0x80040123: ("MAPI_E_INVALID_ACCESS_TIME", _L),
    0x80040124: ("MAPI_E_ACCOUNT_DISABLED", _L),
    0x80040126: ("MAPI_E_OFFLINE", _T),
    0x80040200: ("MAPI_E_END_OF_SESSION", _T),
    0x80040201: ("MAPI_E_UNKNOWN_ENTRYID", _T),
    0x80040202: ("MAPI_E_MISSING_REQUIRED_COLUMN", _I),
    0x80040204: ("MAPI_E_PROFILE_DELETED", _P),
    0x80040301: ("MAPI_E_BAD_VALUE", _M),
    0x80040302: ("MAPI_E_INVALID_TYPE", _M),
    0x80040303: ("MAPI_E_TYPE_NO_SUPPORT", _M),
    0x80040304: ("MAPI_E_UNEXPECTED_TYPE", _M),
    0x80040305: ("MAPI_E_TOO_BIG", _M),
    0x80040400: ("MAPI_E_UNABLE_TO_COMPLETE", _T),
    0x80040401: ("MAPI_E_TIMEOUT", _T),
    0x80040500: ("MAPI_E_WAIT", _T),
    0x80040501: ("MAPI_E_CANCEL", _T),
    0x80040600: ("MAPI_E_CORRUPT_STORE", _T),
    0x80040601: ("MAPI_E_NOT_IN_QUEUE", _T),
    0x80040605: ("MAPI_E_NOT_INITIALIZED", _T),
    0x80040607: ("MAPI_E_NO_RECIPIENTS", _R),
    0x80040608: ("MAPI_E_SUBMITTED", RelayOutcome.UNKNOWN),  # looked for in the Outbox, never sent again
    0x8004060C: ("MAPI_E_STORE_FULL", _T),
    0x80040700: ("MAPI_E_AMBIGUOUS_RECIP", _R),
    0x80040900: ("MAPI_E_NAMED_PROP_QUOTA_EXCEEDED", _M),
}
SIMPLE_CODES: Mapping[int, tuple[str, RelayOutcome]] = {
    1: ("MAPI_E_USER_ABORT", RelayOutcome.NEEDS_UI),  # a service has no user: a dialog was shown and closed
    2: ("MAPI_E_FAILURE", _T),
    3: ("MAPI_E_LOGON_FAILURE", _L),
    4: ("MAPI_E_DISK_FULL", _T),
    5: ("MAPI_E_INSUFFICIENT_MEMORY", _T),
    6: ("MAPI_E_ACCESS_DENIED", _L),
    8: ("MAPI_E_TOO_MANY_SESSIONS", _T),
    9: ("MAPI_E_TOO_MANY_FILES", _M),
    10: ("MAPI_E_TOO_MANY_RECIPIENTS", _R),
    11: ("MAPI_E_ATTACHMENT_NOT_FOUND", _M),
    12: ("MAPI_E_ATTACHMENT_OPEN_FAILURE", _M),
    13: ("MAPI_E_ATTACHMENT_WRITE_FAILURE", _M),
    14: ("MAPI_E_UNKNOWN_RECIPIENT", _R),
    15: ("MAPI_E_BAD_RECIPTYPE", _R),
    16: ("MAPI_E_NO_MESSAGES", _T),
    17: ("MAPI_E_INVALID_MESSAGE", _M),
    18: ("MAPI_E_TEXT_TOO_LARGE", _M),
    19: ("MAPI_E_INVALID_SESSION", _L),
    20: ("MAPI_E_TYPE_NOT_SUPPORTED", _I),
    21: ("MAPI_E_AMBIGUOUS_RECIPIENT", _R),
    22: ("MAPI_E_MESSAGE_IN_USE", _T),
    23: ("MAPI_E_NETWORK_FAILURE", _T),
    24: ("MAPI_E_INVALID_EDITFIELDS", _M),
    25: ("MAPI_E_INVALID_RECIPS", _R),
    26: ("MAPI_E_NOT_SUPPORTED", _I),
    27: ("MAPI_E_UNICODE_NOT_SUPPORTED", _I),  # simple_mapi then tries the client's code page
    28: ("MAPI_E_ATTACHMENT_TOO_LARGE", _M),
}
_NOT_FOUND = 0x8004010F
LOGON_STEPS = ("MAPILogonEx", "read the profile")  # steps in which "not found" means the profile was not found


def verdict_of_error(refused: MapiError) -> RelayVerdict:
    """Return what a code means for the message, at the step where it came."""
    table = SIMPLE_CODES if refused.simple else HRESULTS
    name, outcome = table.get(refused.code, ("", RelayOutcome.TRANSIENT))
    if refused.doing in LOGON_STEPS and not refused.simple and refused.code == _NOT_FOUND:
        outcome = RelayOutcome.PROFILE_MISSING
    code = str(refused.code) if refused.simple else f"0x{refused.code:08X}"
    reason = f"{refused.doing}: {name or 'unlisted code'} ({code})"
    return RelayVerdict(
        outcome, reason, {"code" if refused.simple else "hresult": code, "name": name, "doing": refused.doing}
    )


NEVER_SUBMITTED = "never_submitted"  # in evidence: it was a draft in the Outbox, and is removed now
_LOOK_FAILED = "; the look for it failed: "
_FACTS = (RelayOutcome.SENT, RelayOutcome.QUEUED, RelayOutcome.STUCK)


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
    doubt_reason = doubt.reason.partition(_LOOK_FAILED)[
        0
    ]  # only the last look's reason is kept: there is one each minute, for days
    if looked.outcome in _FACTS:
        return RelayVerdict(looked.outcome, f"{doubt_reason}; then {looked.reason}", evidence)
    if looked.evidence.get(NEVER_SUBMITTED):
        return RelayVerdict(doubt.cause or RelayOutcome.TRANSIENT, f"{doubt_reason}; it was never submitted", evidence)
    if looked.outcome == RelayOutcome.UNKNOWN and looked.evidence.get("looked") is True:
        return RelayVerdict(RelayOutcome.UNKNOWN, f"{doubt_reason}; {looked.reason}", evidence, cause=doubt.cause)
    return RelayVerdict(
        RelayOutcome.UNKNOWN,
        f"{doubt_reason}{_LOOK_FAILED}{looked.reason}",
        {**evidence, "looked": False},
        cause=doubt.cause,
    )
