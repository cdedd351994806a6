"""The requests of a relay on a Windows mail host and the answers of the service, as JSON over HTTP. The relay always asks.

lease      wait up to 30 s for messages; return those that the relay no longer holds; learn what the service wants
begin      announce that an attempt starts now; only messages that the answer names may be sent
renew      prolong leases
receipts   report what happened to messages; the same receipt may be sent many times
heartbeat  report the state of the host; learn what the service wants
check      learn what the service knows of this relay, and have it send a test message
set-up     exchange the one-time code of an administrator for this relay's key

Every request is a POST with the relay's key as bearer token; set-up alone has none. Each type reads itself from JSON and raises BadShape with the field
and the rule. Unknown fields are ignored, so that either side may be newer. This module must not know how either side works.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from programs.protocol.checked import BadShape, CheckedObject, read_object

LEASE = "/v1/relay/lease"
BEGIN = "/v1/relay/begin"
RENEW = "/v1/relay/renew"
RECEIPTS = "/v1/relay/receipts"
HEARTBEAT = "/v1/relay/heartbeat"
CHECK = "/v1/relay/check"
SETUP = "/v1/relay/set-up"

ASKED_MOST = 2 * 1024 * 1024  # bytes of any request of a relay
LINES_MOST = 100
STATES = ("ok", "warning", "fail")
WAIT_MOST_S = 30
MESSAGES_MOST = 10
CLAIMS_MOST = 1000
RECEIPTS_MOST = 100
MIME_MOST = 24 * 1024 * 1024
ANSWER_MOST = 48 * 1024 * 1024  # bytes of the answer to a lease
LEASED_BYTES_MOST = 32 * 1024 * 1024  # of the messages in one answer: as base64 they have 43 MiB
EVIDENCE_MOST = 16 * 1024
_ID, _NAME, _TEXT = 64, 200, 2000

# The outcomes of a receipt. docs/mapi.md says what the service does for each.
SENT, QUEUED, STUCK, UNKNOWN = "sent", "queued", "stuck", "unknown"
HANDED_OVER, LOST_CHARACTERS = "handed_over", "lost_characters"
PAUSING = ("needs_ui", "profile_missing", "logon_failed", "incompatible_client", "not_tight", "bitness")
BAD_RECIPIENT = "bad_recipient"
HOPELESS = (BAD_RECIPIENT, "bad_message")
OUTCOMES = (SENT, HANDED_OVER, QUEUED, STUCK, UNKNOWN, LOST_CHARACTERS, "timeout", "transient", *PAUSING, *HOPELESS)


@dataclass(frozen=True)
class RelayInstructions:
    """What the service wants of a relay. `doctor_asked` changes with each new request for a doctor's report."""

    is_paused: bool = False
    why: str = ""
    doctor_asked: str = ""

    @classmethod
    def read(cls, values: CheckedObject) -> RelayInstructions:
        """Read instructions."""
        return cls(values.flag("is_paused"), values.cut_line("why", _TEXT), values.line("doctor_asked", _NAME))


@dataclass(frozen=True)
class LeaseClaim:
    """The claim to one message under one lease. Each lease has a new token: an old token shows that the lease was lost."""

    id: str
    token: str

    @classmethod
    def read(cls, values: CheckedObject) -> LeaseClaim:
        """Read a claim."""
        return cls(values.line("id", _ID, least=1), values.line("token", _ID, least=1))


@dataclass(frozen=True)
class LeaseRequest:
    """Wait up to `wait_s` seconds for at most `most` messages (0: only for instructions). `holding` names all that the relay holds."""

    wait_s: float = 0.0
    most: int = 1
    holding: Sequence[LeaseClaim] = ()

    @classmethod
    def from_json(cls, data: bytes) -> LeaseRequest:
        """Read a request."""
        values = read_object(data, ASKED_MOST)
        return cls(
            values.number("wait_s", 0, WAIT_MOST_S, 0),
            int(values.number("most", 0, MESSAGES_MOST, 1)),
            [LeaseClaim.read(item) for item in values.objects("holding", CLAIMS_MOST)],
        )


@dataclass(frozen=True)
class LeasedMail:
    """A message to send. `maybe_sent`: it may have been submitted before, so look for it and do not simply send it again.

    `has_other_way`: its recipient has another transport for it, so that a mailbox that would lose characters need not send it.
    """

    id: str
    token: str
    lease_s: float
    recipient: str
    message_id: str
    mime: bytes
    is_alert: bool = False
    maybe_sent: bool = False
    has_other_way: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the message as JSON values; its MIME source is base64."""
        return {**self.__dict__, "mime": base64.b64encode(self.mime).decode("ascii")}

    @classmethod
    def read(cls, values: CheckedObject) -> LeasedMail:
        """Read a message."""
        try:
            mime = base64.b64decode(values.text("mime", MIME_MOST * 4 // 3 + 4), validate=True)
        except (ValueError, binascii.Error) as cause:
            raise BadShape("mime", "is not base64") from cause
        return cls(
            values.line("id", _ID, least=1),
            values.line("token", _ID, least=1),
            values.number("lease_s", 0, 86_400, 0),
            values.line("recipient", 1000, least=1),
            values.line("message_id", 255),
            mime,
            values.flag("is_alert"),
            values.flag("maybe_sent"),
            values.flag("has_other_way"),
        )


@dataclass(frozen=True)
class LeaseAnswer:
    """Leased messages, and what the service wants of the relay."""

    messages: Sequence[LeasedMail] = ()
    wanted: RelayInstructions = field(default_factory=RelayInstructions)

    def as_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {"messages": [item.as_json() for item in self.messages], "wanted": self.wanted.__dict__}

    @classmethod
    def from_json(cls, data: bytes) -> LeaseAnswer:
        """Read an answer."""
        values = read_object(data, ANSWER_MOST)
        messages = [LeasedMail.read(item) for item in values.objects("messages", MESSAGES_MOST)]
        return cls(messages, RelayInstructions.read(values.object("wanted")))


@dataclass(frozen=True)
class LeaseClaims:
    """In a request of `begin` or `renew`: these leases. In its answer: those that are begun, or still held."""

    claims: Sequence[LeaseClaim]

    def as_json(self) -> dict[str, Any]:
        """Return the claims as JSON values."""
        return {"claims": [item.__dict__ for item in self.claims]}

    @classmethod
    def from_json(cls, data: bytes) -> LeaseClaims:
        """Read claims."""
        return cls([LeaseClaim.read(item) for item in read_object(data, ASKED_MOST).objects("claims", CLAIMS_MOST)])


@dataclass(frozen=True)
class RelayReceipt:
    """What happened to a message: one of OUTCOMES, a sentence for people, and the evidence.

    The service reads two values of the evidence: `aborted` (of `stuck`: AbortSubmit took the message back) and `looked` (of `unknown`:
    true if the message is in neither folder and the relay will not look again; false if it will look later). The rest is stored and shown.
    """

    id: str
    token: str
    outcome: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, values: CheckedObject) -> RelayReceipt:
        """Read a receipt."""
        outcome = values.line("outcome", _NAME, least=1)
        if outcome not in OUTCOMES:
            raise BadShape("outcome", "is not one of " + ", ".join(OUTCOMES))
        evidence = values.storable("evidence")  # it has texts of other programs, such as the titles of their windows
        if len(json.dumps(evidence)) > EVIDENCE_MOST:
            read_by_service = ("aborted", "looked", "proof", "phase")
            kept = {name: evidence[name] for name in read_by_service if isinstance(evidence.get(name), (bool, str))}
            evidence = {"left_out": f"more than {EVIDENCE_MOST} bytes", **kept}
        return cls(
            values.line("id", _ID, least=1),
            values.line("token", _ID, least=1),
            outcome,
            values.cut_line("reason", _TEXT),
            evidence,
        )


@dataclass(frozen=True)
class RelayReceipts:
    """A list of receipts. One that cannot be read makes all fail: our own relay wrote them."""

    receipts: Sequence[RelayReceipt]

    def as_json(self) -> dict[str, Any]:
        """Return the receipts as JSON values. Reasons are cut here as the reader would cut them: too many bytes would make all fail."""
        return {
            "receipts": [
                {**item.__dict__, "reason": item.reason[:_TEXT], "evidence": dict(item.evidence)}
                for item in self.receipts
            ]
        }

    @classmethod
    def from_json(cls, data: bytes) -> RelayReceipts:
        """Read receipts."""
        return cls(
            [RelayReceipt.read(item) for item in read_object(data, ASKED_MOST).objects("receipts", RECEIPTS_MOST)]
        )


@dataclass(frozen=True)
class ReceiptAnswer:
    """The service's answer to a receipt. If `is_final`, it is never sent again; else it is sent again once more is known."""

    id: str
    token: str
    result: str
    is_final: bool

    @classmethod
    def list_from_json(cls, data: bytes) -> list[ReceiptAnswer]:
        """Read the answer to receipts."""
        return [
            cls(item.line("id", _ID), item.line("token", _ID), item.cut_line("said", _TEXT), item.flag("is_final"))
            for item in read_object(data, ASKED_MOST).objects("taken", RECEIPTS_MOST)
        ]


@dataclass(frozen=True)
class DoctorPoint:
    """One point that the relay's doctor checked: its stable name, `ok`, `warning` or `fail`, the answer to its question, what to do about it."""

    name: str
    state: str
    found: str
    remedy: str = ""
    question: str = ""

    @classmethod
    def read(cls, values: CheckedObject) -> DoctorPoint:
        """Read a point."""
        state = values.line("state", _NAME, least=1)
        if state not in STATES:
            raise BadShape("state", "is not one of " + ", ".join(STATES))
        found, remedy = values.cut_line("found", _TEXT), values.cut_line("remedy", _TEXT)
        return cls(values.line("name", _NAME, least=1), state, found, remedy, values.cut_line("question", _NAME))


@dataclass(frozen=True)
class RelayHeartbeat:
    """The state of a relay. `doctor_at` (RFC 3339) and `doctor` are its last report; `answers` is the request that it answers.

    `paused_why` is set while the relay itself refuses to send. `waiting` is the number of messages in its spool, `oldest_s` the age of
    the oldest in seconds.
    """

    version: str
    host: str
    python: str = ""
    client: str = ""
    client_why: str = ""
    profile: str = ""
    paused_why: str = ""
    waiting: int = 0
    oldest_s: float = 0.0
    sent: int = 0
    doctor_at: str = ""
    answers: str = ""
    doctor: Sequence[DoctorPoint] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the heartbeat as JSON values."""
        return {**self.__dict__, "doctor": [item.__dict__ for item in self.doctor]}

    @classmethod
    def from_json(cls, data: bytes) -> RelayHeartbeat:
        """Read a heartbeat."""
        return cls.read(read_object(data, ASKED_MOST))

    @classmethod
    def read(cls, values: CheckedObject) -> RelayHeartbeat:
        """Read a heartbeat that is part of something else."""
        return cls(
            version=values.line("version", _NAME, least=1),
            host=values.line("host", _NAME, least=1),
            python=values.cut_line("python", _NAME),
            client=values.cut_line("client", _NAME),
            client_why=values.cut_line("client_why", _TEXT),
            profile=values.cut_line("profile", _NAME),
            paused_why=values.cut_line("paused_why", _TEXT),
            waiting=int(values.number("waiting", 0, 1e9, 0)),
            oldest_s=values.number("oldest_s", 0, 1e10, 0),
            sent=int(values.number("sent", 0, 1e15, 0)),
            doctor_at=values.line("doctor_at", _NAME),
            answers=values.line("answers", _NAME),
            doctor=[DoctorPoint.read(item) for item in values.objects("doctor", LINES_MOST)],
        )


def instructions_from_json(data: bytes) -> RelayInstructions:
    """Read the answer to a heartbeat."""
    return RelayInstructions.read(read_object(data, ASKED_MOST).object("wanted"))


@dataclass(frozen=True)
class SetupRequest:
    """Exchange a one-time code for the key of its relay. `host` is shown to administrators."""

    code: str
    host: str

    @classmethod
    def from_json(cls, data: bytes) -> SetupRequest:
        """Read a request."""
        values = read_object(data, ASKED_MOST)
        return cls(values.text("code", _ID, least=1), values.line("host", _NAME, least=1))


@dataclass(frozen=True)
class SetupAnswer:
    """The relay's name, and its key."""

    relay: str
    key: str

    @classmethod
    def from_json(cls, data: bytes) -> SetupAnswer:
        """Read an answer."""
        values = read_object(data, ASKED_MOST)
        return cls(values.line("relay", _NAME, least=1), values.line("key", _NAME, least=1))


@dataclass(frozen=True)
class CheckRequest:
    """Ask how the relay is known. `test_to`: queue a test message to this address; `message_id`: say how that message is."""

    test_to: str = ""
    message_id: str = ""

    @classmethod
    def from_json(cls, data: bytes) -> CheckRequest:
        """Read a request."""
        values = read_object(data, ASKED_MOST)
        return cls(values.line("test_to", 254), values.line("message_id", _ID))


@dataclass(frozen=True)
class CheckAnswer:
    """The relay's name, its last heartbeat (None: none yet), and the state of the test message with what happened to it."""

    relay: str
    heartbeat: RelayHeartbeat | None = None
    message_id: str = ""
    state: str = ""
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {**self.__dict__, "heartbeat": self.heartbeat.as_json() if self.heartbeat else {}}

    @classmethod
    def from_json(cls, data: bytes) -> CheckAnswer:
        """Read an answer."""
        values = read_object(data, ASKED_MOST)
        beat = values.object("heartbeat")
        return cls(
            values.line("relay", _NAME, least=1),
            RelayHeartbeat.read(beat) if beat.values else None,
            values.line("message_id", _ID),
            values.line("state", _NAME),
            values.cut_line("why", _TEXT),
        )
