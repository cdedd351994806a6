"""The lines between the relay and its child: one order, phases, permissions to continue, one verdict. JSON of bounded size.

It knows neither MAPI nor processes. A line that is not as agreed raises BadLine.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from programs.relay.outcomes import EXAMINED, RelayOutcome, RelayVerdict

MAX_ORDER = 64 * 1024 * 1024  # bytes of the order's line; a message in it is base64
MAX_LINE = 256 * 1024  # bytes of any line of the child: it holds keys and findings, never a message
MODES = ("send", "reconcile", "doctor")
PHASES = ("logon", "opened", "created", "submitting", "submitted", "left_outbox")
WAITED = ("created", "submitting")  # the child continues past these only with permission
# From here on a message is sent again only after a look into the folders.
SUBMIT_BEGUN = ("submitting", "submitted", "left_outbox")
GO, STOP = b"go\n", b"stop\n"


class BadLine(Exception):
    """The other side sent a line that is not as agreed."""


@dataclass(frozen=True)
class ChildOrder:
    """What one child shall do: in mode `send`, send `mime` to `recipient`."""

    mode: str
    profile: str = ""
    client: Mapping[str, Any] = field(default_factory=dict)  # programs.relay.mail_clients.ClientChoice.as_json()
    use_spooler: bool = False
    mime: bytes = b""
    recipient: str = ""
    has_other_way: bool = False  # the service can send it by another transport, which loses no characters
    search_key: str = ""  # hex, for reconcile
    entryid: str = ""  # hex, for reconcile
    drain: float = 120.0  # seconds for a submitted message to leave the Outbox
    abort: bool = True  # at the end of `drain`: take the message back, or leave it there and report `queued`

    def as_line(self) -> bytes:
        """Return the order as the child reads it."""
        values = {**asdict(self), "client": dict(self.client), "mime": base64.b64encode(self.mime).decode("ascii")}
        return json.dumps(values).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> ChildOrder:
        """Read an order. Raises BadLine."""
        values = _object(line, MAX_ORDER)
        try:
            mime = base64.b64decode(values.pop("mime", ""), validate=True)
            order = cls(**{**values, "mime": mime})
            bytes.fromhex(order.search_key + order.entryid)
            is_valid = order.mode in MODES and isinstance(order.client, dict) and 0 <= float(order.drain) <= 86_400  # noqa: PLR2004
        except (TypeError, ValueError, binascii.Error) as error:
            raise BadLine("the order cannot be read") from error
        if not is_valid or not all(isinstance(values.get(name, ""), str) for name in ("profile", "recipient")):
            raise BadLine("the order has a field with an impossible value")
        return order


@dataclass(frozen=True)
class SendPhase:
    """How far a child has come. `entryid` and `search_key` (hex) come with `created`."""

    name: str
    entryid: str = ""
    search_key: str = ""


Findings = Mapping[
    str, Any
]  # of a child in mode `doctor`, sent as soon as they are known, because the next step may hang


def as_line(of_child: SendPhase | Findings | RelayVerdict) -> bytes:
    """Return one line as the child prints it; a verdict is its last one."""
    if isinstance(of_child, SendPhase):
        values: Any = {"phase": of_child.name, "entryid": of_child.entryid, "search_key": of_child.search_key}
    else:
        values = {"verdict": of_child.as_json()} if isinstance(of_child, RelayVerdict) else {"found": dict(of_child)}
    return json.dumps(values).encode("ascii") + b"\n"


def read_line(line: bytes) -> SendPhase | Findings | RelayVerdict:
    """Read one line of a child. Raises BadLine."""
    values = _object(line, MAX_LINE)
    try:
        if values.get("phase") in PHASES:
            phase = SendPhase(values["phase"], str(values.get("entryid", "")), str(values.get("search_key", "")))
            bytes.fromhex(phase.entryid + phase.search_key)
            return phase
        if isinstance(values.get("found"), dict):
            return dict(values["found"])
        read = values["verdict"]
        outcome = EXAMINED if read["outcome"] == EXAMINED else RelayOutcome(read["outcome"])
        cause = None if read.get("cause") is None else RelayOutcome(read["cause"])
        return RelayVerdict(outcome, str(read["reason"])[:2000], dict(read.get("evidence") or {}), cause)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadLine("a line of the child cannot be read") from error


def _object(line: bytes, limit: int) -> dict[str, Any]:
    try:
        values = json.loads(line) if len(line) <= limit else None
    except (ValueError, RecursionError) as error:
        raise BadLine("a line is not JSON") from error
    if not isinstance(values, dict):
        raise BadLine("a line is too long, or no JSON object")
    return values


class ParentLink:
    """The child's side: sends lines at once, and waits for permission where it must. `submit_begun`: the message may be on its way."""

    def __init__(self, orders: IO[bytes], output: IO[bytes]) -> None:
        self._orders, self._output = orders, output
        self.submit_begun = False

    def phase(self, name: str, entryid: bytes = b"", search_key: bytes = b"") -> bool:
        """Send a phase. Return whether the child may continue past it; where it waits, a closed pipe means no."""
        self.submit_begun = self.submit_begun or name in SUBMIT_BEGUN
        self.send(SendPhase(name, entryid.hex(), search_key.hex()))
        return name not in WAITED or self._orders.readline(16) == GO

    def send(self, line: SendPhase | Findings | RelayVerdict) -> None:
        """Send findings or the verdict."""
        self._output.write(as_line(line))
        self._output.flush()
