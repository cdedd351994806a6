"""Alertmanager's webhook, and Grafana's, which has its shape: each alert of a group is a job of its own that fails and is well again.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. An alert that is told again is the same event.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.intake import fields
from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import number, told
from app.intake.dialects.moments import moment_in
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "alertmanager"
_SEVERITIES = {
    "critical": "critical", "page": "critical", "emergency": "critical", "disaster": "critical", "error": "error",
    "high": "error", "warning": "warning", "warn": "warning", "info": "info", "none": "info",
}  # fmt: skip
_UNNAMED = ("alertname", "severity", "grafana_folder", "prometheus", "monitor", "replica")
_HOSTS = ("agent", "host", "hostname", "node", "nodename", "instance")
_WORDS = ("summary", "message", "description")
_NAMED_MOST, _LINES_MOST = 12, 100
_NEVER = 1  # the year of an `endsAt` that is not known


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give an event for each alert. Raises NotUnderstood for a body without alerts."""
    found = object_of(said)
    alerts = found.get("alerts")
    if not isinstance(alerts, list) or not alerts:
        raise NotUnderstood("no alerts in JSON")
    events = [_of_alert(alert, found, said) for alert in alerts if isinstance(alert, dict)]
    left_out = number(found.get("truncatedAlerts")) or 0
    if left_out > 0 or len(events) < len(alerts):
        count = int(left_out) + len(alerts) - len(events)
        events.append(
            told(
                TOOL,
                agent=said.asked("agent"),
                job=said.job or TOOL,
                activity="other",
                phase="finished",
                outcome="warning",
                message=f"{count} more alerts of this group were left out or could not be read",
            )
        )
    return events


def _of_alert(alert: Mapping[str, Any], group: Mapping[str, Any], said: ToolRequest) -> WireEvent:
    labels, notes = _texts(alert.get("labels")), _texts(alert.get("annotations"))
    status = text_in(alert.get("status")) or text_in(group.get("status")) or ""
    is_over = status == "resolved"
    begun, ended = moment_in(alert.get("startsAt")), moment_in(alert.get("endsAt"))
    host = next((labels[name] for name in _HOSTS if labels.get(name)), None)
    message = next((notes[name] for name in _WORDS if notes.get(name)), None)
    named = labels.get("alertname") or message or TOOL
    return told(
        TOOL,
        agent=said.asked("agent") or (host.rpartition(":")[0] or host if host else None),
        job=_job(named, labels, said.job),
        activity="other",
        phase="finished",
        outcome="success" if is_over else "failure",
        severity=None if is_over else _SEVERITIES.get(labels.get("severity", "").lower()),
        at=(ended if ended is not None and ended.year > _NEVER else None) if is_over else begun,
        message=f"resolved: {message or named}" if is_over else message or named,
        log=_log(alert, labels, notes),
        labels={f"alert_{name}": value for name, value in labels.items()},
        key=[_identity(alert, labels), text_in(alert.get("startsAt")), status],
    )


def _job(named: str, labels: Mapping[str, str], job: str | None) -> str:
    """Name what the alert is about: two alerts of one name on two disks are two things, and each is well again by itself."""
    rest = [labels[name] for name in sorted(labels) if name not in _UNNAMED and labels[name]][:_NAMED_MOST]
    return " ".join(part for part in (job, named, f"({', '.join(rest)})" if rest else "") if part)


def _identity(alert: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    return text_in(alert.get("fingerprint")) or fields.canonical(labels).decode("utf-8", "replace")


def _log(alert: Mapping[str, Any], labels: Mapping[str, str], notes: Mapping[str, str]) -> str | None:
    lines = [f"{name}: {value}" for name, value in (*notes.items(), *labels.items())][:_LINES_MOST]
    lines += [line for name in ("valueString", "generatorURL") if (line := text_in(alert.get(name)))]
    return "\n".join(lines) or None


def _texts(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {str(name): text for name, value in found.items() if (text := text_in(value))}
