"""What the service and a relay on a Windows mail host say to one another, as JSON over HTTP. The relay asks, always.

    lease      waits up to 30 s for messages; gives back what the relay no longer holds; brings what the service wants done
    begin      says that an attempt starts now; only what is answered as begun may be sent
    renew      prolongs leases
    receipts   says what became of messages; the same one may come many times
    heartbeat  tells of the host; brings what the service wants done

Every request is a POST with the relay's key as bearer. Each shape reads itself from JSON and raises BadShape with the field and
the rule; what it does not know it leaves aside, so that either side may be newer. It must not know how either side works.
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

ASKED_MOST = 2 * 1024 * 1024  # bytes of anything that a relay sends
LINES_MOST = 100
STATES = ("ok", "warning", "fail")
WAIT_MOST_S = 30
MESSAGES_MOST = 10
CLAIMS_MOST = 1000
RECEIPTS_MOST = 100
MIME_MOST = 24 * 1024 * 1024
ANSWER_MOST = 48 * 1024 * 1024  # bytes of the answer to a lease
EVIDENCE_MOST = 16 * 1024
_ID, _NAME, _TEXT = 64, 200, 2000

# What a receipt can say. The service does with each what docs/mapi.md says.
SENT, QUEUED, STUCK, UNKNOWN = "sent", "queued", "stuck", "unknown"
PAUSING = ("needs_ui", "profile_missing", "logon_failed", "incompatible_client", "not_tight", "bitness")
HOPELESS = ("bad_recipient", "bad_message")
OUTCOMES = (SENT, QUEUED, STUCK, UNKNOWN, "timeout", "transient", *PAUSING, *HOPELESS)


@dataclass(frozen=True)
class RelayInstructions:
    """What the service wants of a relay. `doctor_asked` changes whenever the doctor is asked for anew."""

    is_paused: bool = False
    why: str = ""
    doctor_asked: str = ""

    @classmethod
    def read(cls, given: CheckedObject) -> RelayInstructions:
        """Read it."""
        return cls(given.flag("is_paused"), given.cut("why", _TEXT), given.text("doctor_asked", _NAME))


@dataclass(frozen=True)
class LeaseClaim:
    """One message under one lease. The token is new with each lease: who shows an old one has lost it."""

    id: str
    token: str

    @classmethod
    def read(cls, given: CheckedObject) -> LeaseClaim:
        """Read it."""
        return cls(given.text("id", _ID, least=1), given.text("token", _ID, least=1))


@dataclass(frozen=True)
class LeaseRequest:
    """Wait up to `wait_s` seconds for at most `most` messages (0: only for news). What the relay has of earlier answers is in `holding`."""

    wait_s: float = 0.0
    most: int = 1
    holding: Sequence[LeaseClaim] = ()

    @classmethod
    def from_json(cls, data: bytes) -> LeaseRequest:
        """Read it."""
        given = read_object(data, ASKED_MOST)
        return cls(
            given.number("wait_s", 0, WAIT_MOST_S, 0),
            int(given.number("most", 0, MESSAGES_MOST, 1)),
            [LeaseClaim.read(one) for one in given.objects("holding", CLAIMS_MOST)],
        )


@dataclass(frozen=True)
class LeasedMail:
    """A message to send. `maybe_sent`: it may have been submitted before; look for it and never send it blindly."""

    id: str
    token: str
    lease_s: float
    recipient: str
    message_id: str
    mime: bytes
    is_alert: bool = False
    maybe_sent: bool = False

    def as_json(self) -> dict[str, Any]:
        """Give it as it travels."""
        return {**self.__dict__, "mime": base64.b64encode(self.mime).decode("ascii")}

    @classmethod
    def read(cls, given: CheckedObject) -> LeasedMail:
        """Read it."""
        try:
            mime = base64.b64decode(given.text("mime", MIME_MOST * 4 // 3 + 4), validate=True)
        except (ValueError, binascii.Error) as cause:
            raise BadShape("mime", "is not base64") from cause
        return cls(
            given.text("id", _ID, least=1),
            given.text("token", _ID, least=1),
            given.number("lease_s", 0, 86_400, 0),
            given.text("recipient", 1000, least=1),
            given.text("message_id", 255),
            mime,
            given.flag("is_alert"),
            given.flag("maybe_sent"),
        )


@dataclass(frozen=True)
class LeaseAnswer:
    """Messages, and what is wanted."""

    messages: Sequence[LeasedMail] = ()
    wanted: RelayInstructions = field(default_factory=RelayInstructions)

    def as_json(self) -> dict[str, Any]:
        """Give it as it travels."""
        return {"messages": [one.as_json() for one in self.messages], "wanted": self.wanted.__dict__}

    @classmethod
    def from_json(cls, data: bytes) -> LeaseAnswer:
        """Read it."""
        given = read_object(data, ANSWER_MOST)
        messages = [LeasedMail.read(one) for one in given.objects("messages", MESSAGES_MOST)]
        return cls(messages, RelayInstructions.read(given.object("wanted")))


@dataclass(frozen=True)
class LeaseClaims:
    """For `begin` and `renew`: these leases. For their answers: those that are begun, or still held."""

    claims: Sequence[LeaseClaim]

    def as_json(self) -> dict[str, Any]:
        """Give it as it travels."""
        return {"claims": [one.__dict__ for one in self.claims]}

    @classmethod
    def from_json(cls, data: bytes) -> LeaseClaims:
        """Read it."""
        return cls([LeaseClaim.read(one) for one in read_object(data, ASKED_MOST).objects("claims", CLAIMS_MOST)])


@dataclass(frozen=True)
class RelayReceipt:
    """What became of a message: one of OUTCOMES, a sentence for people, and the evidence.

    Of the evidence the service reads `aborted` (of `stuck`: AbortSubmit took it back) and `looked` (of `unknown`: true says that
    it is in neither folder and will not be looked for again; false that the relay will look later). The rest is kept and shown.
    """

    id: str
    token: str
    outcome: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, given: CheckedObject) -> RelayReceipt:
        """Read it."""
        outcome = given.text("outcome", _NAME, least=1)
        if outcome not in OUTCOMES:
            raise BadShape("outcome", "is none of " + ", ".join(OUTCOMES))
        evidence = given.object("evidence").values
        if len(json.dumps(evidence)) > EVIDENCE_MOST:
            evidence = {"left_out": f"more than {EVIDENCE_MOST} bytes", **_short(evidence)}
        return cls(
            given.text("id", _ID, least=1),
            given.text("token", _ID, least=1),
            outcome,
            given.cut("reason", _TEXT),
            evidence,
        )


def _short(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of too much evidence what the service reads."""
    return {
        name: evidence[name]
        for name in ("aborted", "looked", "proof", "phase")
        if isinstance(evidence.get(name), (bool, str))
    }


@dataclass(frozen=True)
class RelayReceipts:
    """Some of them. One that cannot be read fails all: a relay of our own wrote them."""

    receipts: Sequence[RelayReceipt]

    def as_json(self) -> dict[str, Any]:
        """Give them as they travel: what the reader would cut is cut here, for too many bytes fail all of them."""
        return {
            "receipts": [
                {**one.__dict__, "reason": one.reason[:_TEXT], "evidence": dict(one.evidence)} for one in self.receipts
            ]
        }

    @classmethod
    def from_json(cls, data: bytes) -> RelayReceipts:
        """Read them."""
        return cls([RelayReceipt.read(one) for one in read_object(data, ASKED_MOST).objects("receipts", RECEIPTS_MOST)])


@dataclass(frozen=True)
class ReceiptAnswer:
    """What the service made of a receipt: never handed in again if `is_final`; else once more is known."""

    id: str
    token: str
    said: str
    is_final: bool

    @classmethod
    def list_from_json(cls, data: bytes) -> list[ReceiptAnswer]:
        """Read the answer to receipts."""
        return [
            cls(one.text("id", _ID), one.text("token", _ID), one.cut("said", _TEXT), one.flag("is_final"))
            for one in read_object(data, ASKED_MOST).objects("taken", RECEIPTS_MOST)
        ]


@dataclass(frozen=True)
class DoctorPoint:
    """One point that the doctor looked at: `ok`, `warning` or `fail`, what was found, and what to do about it."""

    name: str
    state: str
    found: str
    remedy: str = ""

    @classmethod
    def read(cls, given: CheckedObject) -> DoctorPoint:
        """Read it."""
        state = given.text("state", _NAME, least=1)
        if state not in STATES:
            raise BadShape("state", "is none of " + ", ".join(STATES))
        return cls(given.text("name", _NAME, least=1), state, given.cut("found", _TEXT), given.cut("remedy", _TEXT))


@dataclass(frozen=True)
class RelayHeartbeat:
    """How a relay is. `doctor_at` (RFC 3339) and `doctor` are its last report; `answers` names the wish that it answers.

    `paused_why` is not empty while the relay itself refuses to send. `waiting` messages lie in its spool, the oldest since `oldest_s`.
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
        """Give it as it travels."""
        return {**self.__dict__, "doctor": [one.__dict__ for one in self.doctor]}

    @classmethod
    def from_json(cls, data: bytes) -> RelayHeartbeat:
        """Read it."""
        given = read_object(data, ASKED_MOST)
        return cls(
            version=given.text("version", _NAME, least=1),
            host=given.text("host", _NAME, least=1),
            python=given.cut("python", _NAME),
            client=given.cut("client", _NAME),
            client_why=given.cut("client_why", _TEXT),
            profile=given.cut("profile", _NAME),
            paused_why=given.cut("paused_why", _TEXT),
            waiting=int(given.number("waiting", 0, 1e9, 0)),
            oldest_s=given.number("oldest_s", 0, 1e10, 0),
            sent=int(given.number("sent", 0, 1e15, 0)),
            doctor_at=given.text("doctor_at", _NAME),
            answers=given.text("answers", _NAME),
            doctor=[DoctorPoint.read(one) for one in given.objects("doctor", LINES_MOST)],
        )


def instructions_from_json(data: bytes) -> RelayInstructions:
    """Read the answer to a heartbeat."""
    return RelayInstructions.read(read_object(data, ASKED_MOST).object("wanted"))
