"""PagerDuty's Events API v2: a trigger is a failure, a resolve its end. Source: https://developer.pagerduty.com/docs/events-api-v2/overview/."""

from collections.abc import Sequence
from typing import Any

from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "pagerduty"
_OUTCOMES = {"critical": "failure", "error": "failure", "warning": "warning"}
_LOGS = ("logs", "log", "output", "stderr")


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event; none for an acknowledgement."""
    call = object_of(said)
    action = text_in(call.get("event_action"))
    if action == "acknowledge":
        return []
    if action not in ("trigger", "resolve"):
        raise NotUnderstood("no event_action of PagerDuty's")
    given = call.get("payload")
    payload: dict[str, Any] = given if isinstance(given, dict) else {}
    severity = (text_in(payload.get("severity")) or "error").lower()
    outcome = "success" if action == "resolve" else _OUTCOMES.get(severity)
    names = (payload.get("component"), call.get("dedup_key"), payload.get("class"))
    return [
        told(
            TOOL,
            agent=text_in(payload.get("source")),
            job=said.job or next((name for one in names if (name := text_in(one))), TOOL),
            phase="finished" if outcome else None,
            outcome=outcome,
            severity="critical" if outcome == "failure" and severity == "critical" else None,
            at=None,  # `timestamp` may be in any form, and comes within a second
            message=text_in(payload.get("summary")),
            log=_log_in(payload.get("custom_details")),
            labels={"component": text_in(payload.get("component")), "group": text_in(payload.get("group"))},
        )
    ]


def _log_in(details: object) -> str | None:
    if isinstance(details, str):
        return details
    if not isinstance(details, dict):
        return None
    log = next((text for name in _LOGS if (text := text_in(details.get(name)))), None)
    return log or "\n".join(f"{name}: {text}" for name, value in details.items() if (text := text_in(value))) or None
