"""Sentry's cron check-ins over HTTP: `?status=in_progress|ok|error`, or the same in JSON. No other part of Sentry is supported.

Source: https://docs.sentry.io/product/crons/getting-started/http/
"""

from collections.abc import Sequence

from app.intake.dialects.body_fields import read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.signal_body import judge_signal
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "sentry"
_MAX_JSON_LENGTH = 64 * 1024
_STATUSES: dict[str, tuple[str, str | None]] = {
    "in_progress": ("started", None),
    "ok": ("finished", "success"),
    "error": ("finished", "failure"),
}


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one check-in. `path` is the monitor's slug."""
    body = read_json_body(request, _MAX_JSON_LENGTH)
    fields = {
        **{name: value for name, value in body.items() if isinstance(value, str | int | float)},
        **dict(request.query),
    }
    status = str(fields.get("status", "")).lower()
    if str(body.get("status", "")).lower() == "error":  # whatever the address says: it may be the same for each end
        status = "error"
    if status not in _STATUSES:
        raise NotUnderstood(f"{status[:40]!r} is not a status")
    phase, outcome = _STATUSES[status]
    run = fields.get("check_in_id")
    log = request.text if request.body and not body else None
    judged = judge_signal(outcome, log)
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=request.path[0] if request.path else request.job or TOOL,
            run=str(run) if run and set(str(run)) - set("0-") else None,  # an id of zeros means the newest check-in
            phase=phase,
            outcome=judged.outcome,
            message=judged.message,
            metrics={"duration_s": fields.get("duration")},
            labels={"environment": fields.get("environment")},
            log=log,
        )
    ]
