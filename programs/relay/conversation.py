"""What parent and child say to one another: one order, phases, permissions to go on, one verdict; JSON lines of bounded size.

Knows neither MAPI nor processes. A line that is not as agreed raises BadLine.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from programs.relay.outcomes import EXAMINED, Outcome, Verdict

MAX_ORDER = 64 * 1024 * 1024  # bytes of the order's line; a message inside it is base64
MAX_LINE = 256 * 1024  # bytes of any line of the child: it holds keys and findings, never a message
MODES = ("send", "reconcile", "doctor")
PHASES = ("logon", "opened", "created", "submitting", "submitted", "left_outbox")
WAITED = ("created", "submitting")  # the child goes on past these only when told
SUBMIT_BEGUN = ("submitting", "submitted", "left_outbox")  # from here on nothing is sent again unseen
GO, STOP = b"go\n", b"stop\n"


class BadLine(Exception):
    """The other side said something that is not in the agreement."""


@dataclass(frozen=True)
class Order:
    """What one child is to do. `mime_path` or `mime` has the message; `recipients`, if given, replace those of its headers."""

    mode: str
    profile: str = ""
    client: Mapping[str, Any] = field(default_factory=dict)  # programs.relay.mail_clients.Choice.as_json()
    use_spooler: bool = False
    mime_path: str = ""
    mime: bytes = b""
    recipients: tuple[str, ...] = ()
    search_key: str = ""  # hex, for reconcile
    entryid: str = ""  # hex, for reconcile
    drain: float = 120.0  # seconds that a submitted message may take to leave the Outbox
    abort: bool = True  # at the end of `drain`: take it back, or leave it and say `queued`

    def as_line(self) -> bytes:
        """Give the order as the child reads it."""
        words = {**asdict(self), "client": dict(self.client), "mime": base64.b64encode(self.mime).decode("ascii")}
        return json.dumps(words).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Order:
        """Read an order; BadLine if it is none."""
        words = _object(line, MAX_ORDER)
        try:
            mime = base64.b64decode(words.pop("mime", ""), validate=True)
            order = cls(**{**words, "mime": mime, "recipients": tuple(words.get("recipients") or ())})
            bytes.fromhex(order.search_key + order.entryid)
            sound = order.mode in MODES and isinstance(order.client, dict) and 0 <= float(order.drain) <= 86_400  # noqa: PLR2004
        except (TypeError, ValueError, binascii.Error) as error:
            raise BadLine("the order cannot be read") from error
        if not sound or not all(isinstance(one, str) for one in (order.profile, order.mime_path, *order.recipients)):
            raise BadLine("the order has a field that cannot be")
        return order


@dataclass(frozen=True)
class Phase:
    """How far a child has come. `entryid` and `search_key` (hex) come with `created`; Simple MAPI has none."""

    name: str
    entryid: str = ""
    search_key: str = ""

    def as_line(self) -> bytes:
        """Give the phase as the child prints it."""
        return json.dumps({"phase": self.name, "entryid": self.entryid, "search_key": self.search_key}).encode() + b"\n"


@dataclass(frozen=True)
class Found:
    """Findings of a child in mode `doctor`, told as soon as they are known: what comes next may hang."""

    findings: Mapping[str, Any]

    def as_line(self) -> bytes:
        """Give the findings as the child prints them."""
        return json.dumps({"found": dict(self.findings)}).encode() + b"\n"


def verdict_line(verdict: Verdict) -> bytes:
    """Give the child's last line."""
    return json.dumps({"verdict": verdict.as_json()}).encode() + b"\n"


def read_line(line: bytes) -> Phase | Found | Verdict:
    """Read one line of a child; BadLine if it is none of ours."""
    words = _object(line, MAX_LINE)
    try:
        if words.get("phase") in PHASES:
            phase = Phase(words["phase"], str(words.get("entryid", "")), str(words.get("search_key", "")))
            bytes.fromhex(phase.entryid + phase.search_key)
            return phase
        if isinstance(words.get("found"), dict):
            return Found(words["found"])
        return _verdict(words["verdict"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadLine("a line of the child cannot be read") from error


def _verdict(words: dict[str, Any]) -> Verdict:
    outcome = EXAMINED if words["outcome"] == EXAMINED else Outcome(words["outcome"])
    cause = None if words.get("cause") is None else Outcome(words["cause"])
    return Verdict(outcome, str(words["reason"])[:2000], dict(words.get("evidence") or {}), cause)


def _object(line: bytes, limit: int) -> dict[str, Any]:
    if len(line) > limit:
        raise BadLine("a line is too long")
    try:
        words = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadLine("a line is not JSON") from error
    if not isinstance(words, dict):
        raise BadLine("a line is not a JSON object")
    return words


class Talk:
    """The child's side: says phases and findings, and waits for permission where it must.

    `said` holds the phases so far, so that whoever judges a failure knows how far it went.
    """

    def __init__(self, orders: IO[bytes], words: IO[bytes]) -> None:
        self._orders = orders
        self._words = words
        self.said: list[str] = []

    def phase(self, name: str, entryid: bytes = b"", search_key: bytes = b"") -> bool:
        """Say a phase; True if the child may go on past it. Where it waits, a closed pipe means no."""
        self.said.append(name)
        self._say(Phase(name, entryid.hex(), search_key.hex()).as_line())
        return name not in WAITED or self._orders.readline(16) == GO

    def found(self, findings: Mapping[str, Any]) -> None:
        """Tell what was found so far."""
        self._say(Found(findings).as_line())

    def verdict(self, verdict: Verdict) -> None:
        """Say the last line."""
        self._say(verdict_line(verdict))

    @property
    def submit_begun(self) -> bool:
        """Say whether the message may be on its way already."""
        return any(name in SUBMIT_BEGUN for name in self.said)

    def _say(self, line: bytes) -> None:
        self._words.write(line)
        self._words.flush()
