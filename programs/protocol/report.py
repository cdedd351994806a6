"""What the service and a reporter on a backup host say to one another: events to POST /v1/events, one a line, and the answer to them.

The bounds are those that the service holds; what is beyond them it cuts (message, log) or refuses (names, labels, metrics). It must
not know how either side works.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from programs.protocol.checked import read_object

EVENTS = "/v1/events"
LINES = "application/x-ndjson"
ANSWER_MOST = 1024 * 1024  # bytes

NAME_MOST = 200  # characters of agent, job, run and key
MESSAGE_MOST = 4096  # bytes
LOG_MOST = 64 * 1024  # bytes, where the service's administrator did not choose otherwise
LABELS_MOST, LABEL_NAME_MOST, LABEL_VALUE_MOST = 64, 100, 500
METRICS_MOST, METRIC_NAME_MOST = 100, 100
REFUSED_SHOWN = 100  # single events that an answer names: who sends no more at once hears of each

STARTED, FINISHED = "started", "finished"
PHASES = (STARTED, "progress", FINISHED)
SUCCESS, WARNING, FAILURE, CANCELLED = "success", "warning", "failure", "cancelled"
OUTCOMES = (SUCCESS, WARNING, FAILURE, CANCELLED)
SEVERITIES = ("info", "warning", "error", "critical")
ACTIVITIES = ("backup", "restore", "verify", "prune", "replicate", "admin", "heartbeat", "other")

AGENT_KEY = "tocsin_agent_"  # begins an agent's own key, under which an event need not name its agent
MISMATCH = "agent_mismatch"  # why an event is refused: it names another agent than the key does
TO_BE_SENT_AGAIN = ("body_cut", "body_slow")  # of status 400: the line was at fault, not what was said


@dataclass(frozen=True)
class ReportedEvent:
    """What a reporter tells. What is empty is left out; an empty agent is filled in when it is sent."""

    key: str
    occurred_at: str
    job: str
    agent: str = ""
    run: str = ""
    activity: str = ""
    phase: str = ""
    outcome: str = ""
    severity: str = ""
    message: str = ""
    log: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Give it as it travels, within the bounds."""
        names = {name: getattr(self, name)[:NAME_MOST] for name in ("key", "agent", "job", "run")}
        return {name: value for name, value in {**self.__dict__, **names}.items() if value}


@dataclass(frozen=True)
class RejectedEvent:
    """One event that was not taken: its place in what was sent, a stable code, and the reason for people."""

    index: int
    code: str
    detail: str


@dataclass(frozen=True)
class EventsAnswer:
    """What became of events: whatever is not among `rejected` is committed. `code` and `detail` are those of a refusal of all."""

    accepted: int
    duplicates: int
    rejected: Sequence[RejectedEvent]
    code: str = ""
    detail: str = ""

    @property
    def settled(self) -> int:
        """Count the events of which it says what became."""
        return self.accepted + self.duplicates + len(self.rejected)

    @classmethod
    def from_json(cls, data: bytes) -> EventsAnswer:
        """Read it, from an answer of success or from a problem. Raises BadShape."""
        given = read_object(data, ANSWER_MOST)
        most = float(2**31)
        rejected = [
            RejectedEvent(
                int(one.number("index", 0, most, 0)), one.cut("code", NAME_MOST), one.cut("detail", MESSAGE_MOST)
            )
            for one in given.objects("rejected", REFUSED_SHOWN)
        ]
        accepted, duplicates = (int(given.number(name, 0, most, 0)) for name in ("accepted", "duplicates"))
        return cls(accepted, duplicates, rejected, given.cut("code", NAME_MOST), given.cut("detail", MESSAGE_MOST))


def line_of(event: Mapping[str, Any]) -> bytes:
    """Give an event as a line of its own."""
    return json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n"
