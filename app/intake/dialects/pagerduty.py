"""PagerDuty's Events API v2: a trigger is a failure, a resolve its end.

Source: https://developer.pagerduty.com/docs/events-api-v2/overview/
"""

from collections.abc import Sequence
from typing import Any

from app.intake.dialects.body_fields import as_text, first_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.language.reader import Meaning, read_words
from app.intake.parse import WireEvent

TOOL = "pagerduty"
_OUTCOMES = {"critical": "failure", "error": "failure", "warning": "warning", "info": None}
_LOG_FIELDS = ("logs", "log", "output", "stderr")


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event; none for an acknowledgement. Raises NotUnderstood for any other action."""
    call = read_json_body(request)
    action = as_text(call.get("event_action"))
    if action == "acknowledge":
        return []
    if action not in ("trigger", "resolve"):
        raise NotUnderstood("no event_action that PagerDuty defines")
    sent = call.get("payload")
    payload: dict[str, Any] = sent if isinstance(sent, dict) else {}
    severity = (as_text(payload.get("severity")) or "error").lower()
    summary = as_text(payload.get("summary"))
    # A trigger is an alarm, whatever its severity is; only `info` says that it is none, unless its words report trouble.
    outcome = "success" if action == "resolve" else _OUTCOMES.get(severity, "failure")
    by_words = read_words(summary or "") if outcome is None else None
    is_trouble = by_words is not None and by_words.meaning in (Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED)
    names = (payload.get("component"), call.get("dedup_key"), payload.get("class"))
    return [
        make_event(
            TOOL,
            agent=as_text(payload.get("source")),
            job=request.job or next((text for name in names if (text := as_text(name))), TOOL),
            phase="finished" if outcome else None,
            outcome=outcome,
            severity="critical" if outcome == "failure" and severity == "critical" else None,
            at=None,  # `timestamp` may have any format, and the event arrives within a second of it
            message=summary,
            log=_find_log(payload.get("custom_details")),
            labels={"component": as_text(payload.get("component")), "group": as_text(payload.get("group"))},
            reading=by_words if is_trouble else None,
        )
    ]


def _find_log(details: object) -> str | None:
    if isinstance(details, str):
        return details
    if not isinstance(details, dict):
        return None
    log = first_text(details, _LOG_FIELDS)
    return log or "\n".join(f"{name}: {text}" for name, value in details.items() if (text := as_text(value))) or None
