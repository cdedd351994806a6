"""Alertmanager's webhook, and Grafana's, which has the same format: each alert of a group is a job that fails and recovers by itself.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. An alert that is sent again is the same event. One
that fires again after it was resolved is a new one, although it may have the same `startsAt`: it flapped within the resolve timeout.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.intake import fields
from app.intake.dialects.body_fields import as_text, first_text, read_json_body
from app.intake.dialects.make_event import limit_name, make_event
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number, parse_time
from app.intake.parse import WireEvent

TOOL = "alertmanager"
_SEVERITIES = {
    "critical": "critical", "page": "critical", "emergency": "critical", "disaster": "critical", "error": "error",
    "high": "error", "warning": "warning", "warn": "warning", "info": "info", "none": "info",
}  # fmt: skip
_LABELS_NOT_IN_JOB = ("alertname", "severity", "grafana_folder", "prometheus", "monitor", "replica")
_HOST_LABELS = ("agent", "host", "hostname", "node", "nodename", "instance")
_MESSAGE_NOTES = ("summary", "message", "description")
_MAX_LABELS_IN_JOB, _MAX_LINES = 12, 100
_YEAR_OF_UNKNOWN_END = 1  # of an `endsAt` that is not known


@dataclass(frozen=True, slots=True)
class PastAlert:
    """The newest stored event of an alert with one outcome."""

    event_id: str
    occurred_at: datetime


# Finds the newest stored event of an agent (None: of the sender's) and a job with an outcome.
FindPast = Callable[[str | None, str, str], PastAlert | None]


def read(request: ToolRequest, find_past: FindPast = lambda _agent, _job, _outcome: None) -> Sequence[WireEvent]:
    """Return an event for each alert. Raises NotUnderstood for a body without alerts."""
    group = read_json_body(request)
    alerts = group.get("alerts")
    if not isinstance(alerts, list) or not alerts:
        raise NotUnderstood("no alerts in JSON")
    events = [_read_alert(alert, group, request, find_past) for alert in alerts if isinstance(alert, dict)]
    truncated = parse_number(group.get("truncatedAlerts")) or 0
    if truncated > 0 or len(events) < len(alerts):
        count = int(truncated) + len(alerts) - len(events)
        events.append(
            make_event(
                TOOL,
                agent=request.query_value("agent"),
                job=request.job or TOOL,
                activity="other",
                phase="finished",
                outcome="warning",
                message=f"{count} more alerts of this group were left out or could not be read",
            )
        )
    return events


def _read_alert(
    alert: Mapping[str, Any], group: Mapping[str, Any], request: ToolRequest, find_past: FindPast
) -> WireEvent:
    labels, notes = _texts_of(alert.get("labels")), _texts_of(alert.get("annotations"))
    status = as_text(alert.get("status")) or as_text(group.get("status")) or ""
    is_resolved = status == "resolved"
    started, ended = parse_time(alert.get("startsAt")), parse_time(alert.get("endsAt"))
    host = next((labels[name] for name in _HOST_LABELS if labels.get(name)), None)
    message = first_text(notes, _MESSAGE_NOTES)
    name = labels.get("alertname") or message or TOOL
    # Two alerts of one name about two disks are two jobs, and each recovers by itself, so the labels are part of the name.
    rest = [labels[label] for label in sorted(labels) if label not in _LABELS_NOT_IN_JOB and labels[label]]
    in_brackets = f"({', '.join(rest[:_MAX_LABELS_IN_JOB])})" if rest else ""
    identity = as_text(alert.get("fingerprint")) or fields.canonical_json(labels).decode("utf-8", "replace")
    lines = [f"{label}: {value}" for label, value in (*notes.items(), *labels.items())][:_MAX_LINES]
    lines += [line for field in ("valueString", "generatorURL") if (line := as_text(alert.get(field)))]
    agent = limit_name(request.query_value("agent") or (host.rpartition(":")[0] or host if host else None))
    job = limit_name(" ".join(part for part in (request.job, name, in_brackets) if part)) or TOOL
    # What a repeat shares with the first one: the event of the other state that came before it.
    before = find_past(agent, job, "failure" if is_resolved else "success")
    at = (ended if ended is not None and ended.year > _YEAR_OF_UNKNOWN_END else None) if is_resolved else started
    if before is not None and at is not None and at <= before.occurred_at:
        at = None  # it is true since now: by its own time it would count as older than the state that it ended
    return make_event(
        TOOL,
        agent=agent,
        job=job,
        activity="other",
        phase="finished",
        outcome="success" if is_resolved else "failure",
        severity=None if is_resolved else _SEVERITIES.get(labels.get("severity", "").lower()),
        at=at,
        message=f"resolved: {message or name}" if is_resolved else message or name,
        log="\n".join(lines) or None,
        labels={f"alert_{label}": value for label, value in labels.items()},
        key=[identity, as_text(alert.get("startsAt")), status, *([before.event_id] if before else [])],
    )


def _texts_of(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(name): text for name, item in value.items() if (text := as_text(item))}
