"""The events that a reporter on a backup host sends to POST /v1/events, one per line, and the answer to them.

The bounds are those of the service. Beyond them, the service cuts messages and logs, and refuses names, labels and metrics.
This module must not know how either side works.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from programs.protocol.checked import read_object

EVENTS = "/v1/events"
LINES = "application/x-ndjson"
ANSWER_MOST = 1024 * 1024  # bytes

NAME_MOST = 200  # characters of an agent, job, run or key
MESSAGE_MOST = 4096  # bytes
LOG_MOST = 64 * 1024  # bytes, where the service's administrator did not choose otherwise
LABELS_MOST, LABEL_NAME_MOST, LABEL_VALUE_MOST = 64, 100, 500
METRICS_MOST, METRIC_NAME_MOST = 100, 100
REFUSED_SHOWN = 100  # refused events that an answer names: a client that sends no more at once learns about each

STARTED, FINISHED = "started", "finished"
PHASES = (STARTED, "progress", FINISHED)
SUCCESS, WARNING, FAILURE, CANCELLED, UNCLEAR = "success", "warning", "failure", "cancelled", "unclear"
OUTCOMES = (SUCCESS, WARNING, FAILURE, CANCELLED, UNCLEAR)
SEVERITIES = ("info", "warning", "error", "critical")
ACTIVITIES = ("backup", "restore", "verify", "prune", "replicate", "admin", "heartbeat", "other")

AGENT_KEY = "tocsin_agent_"  # prefix of an agent's own key; events under such a key need not name their agent
MISMATCH = "agent_mismatch"  # the code of an event that names another agent than the key does
LATER = (
    "budget_"  # prefix of the codes of events that are refused for now (status 429): to be sent again after Retry-After
)
TO_BE_SENT_AGAIN = ("body_cut", "body_slow")  # codes of status 400 where the connection failed, not the content


class ReportedEvent(NamedTuple):
    """An event as a reporter sends it. Empty values are left out; an empty agent is filled in when it is sent."""

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
    metrics: Mapping[str, float] = {}
    labels: Mapping[str, str] = {}
    extra: Mapping[str, Any] = {}

    def as_json(self) -> dict[str, Any]:
        """Return the event as JSON values, with its names cut to their bounds."""
        names = {name: getattr(self, name)[:NAME_MOST] for name in ("key", "agent", "job", "run")}
        return {name: value for name, value in {**self._asdict(), **names}.items() if value}


class RejectedEvent(NamedTuple):
    """An event that the service refused: its place in the request, a stable code, and the reason for people."""

    place: int
    code: str
    detail: str


class EventsAnswer(NamedTuple):
    """The answer to events: all that are not in `rejected` are committed. `code` and `detail` are set if all were refused, or some for now.

    `retry_after_s`: after how many seconds those that were refused for now are to be sent again, if the service says so.
    """

    accepted: int
    duplicates: int
    rejected: Sequence[RejectedEvent]
    code: str = ""
    detail: str = ""
    retry_after_s: float | None = None

    @property
    def has_later(self) -> bool:
        """Return whether some events are refused for now."""
        return any(rejected.code.startswith(LATER) for rejected in self.rejected)

    @property
    def settled(self) -> int:
        """The number of events whose fate the answer states."""
        return self.accepted + self.duplicates + len(self.rejected)

    @classmethod
    def from_json(cls, data: bytes) -> EventsAnswer:
        """Read the answer, either of success or a problem document. Raises BadShape."""
        answer = read_object(data, ANSWER_MOST)
        most = float(2**31)
        rejected = [
            RejectedEvent(
                int(item.number("index", 0, most, 0)), item.cut("code", NAME_MOST), item.cut("detail", MESSAGE_MOST)
            )
            for item in answer.objects("rejected", REFUSED_SHOWN)
        ]
        accepted, duplicates = (int(answer.number(name, 0, most, 0)) for name in ("accepted", "duplicates"))
        return cls(accepted, duplicates, rejected, answer.cut("code", NAME_MOST), answer.cut("detail", MESSAGE_MOST))


def line_of(event: Mapping[str, Any]) -> bytes:
    """Return an event as one line of JSON."""
    return json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n"
