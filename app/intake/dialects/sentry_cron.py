"""Sentry's cron check-ins over HTTP: `?status=in_progress|ok|error`, or the same in JSON. Nothing else of Sentry is here.

Source: https://docs.sentry.io/product/crons/getting-started/http/
"""

from collections.abc import Sequence

from app.intake.dialects.json_body import object_of
from app.intake.dialects.make_event import told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "sentry"
_JSON_MOST = 64 * 1024
_STATES: dict[str, tuple[str, str | None]] = {
    "in_progress": ("started", None),
    "ok": ("finished", "success"),
    "error": ("finished", "failure"),
}


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one check-in. `path` is the monitor's slug."""
    body = object_of(said, _JSON_MOST)
    given = {
        **{name: value for name, value in body.items() if isinstance(value, str | int | float)},
        **dict(said.query),
    }
    status = str(given.get("status", "")).lower()
    if status not in _STATES:
        raise NotUnderstood(f"{status[:40]!r} is no status")
    phase, outcome = _STATES[status]
    run = given.get("check_in_id")
    job = said.path[0] if said.path else said.job or TOOL
    return [
        told(
            TOOL,
            agent=said.asked("agent"),
            job=job,
            run=str(run) if run and set(str(run)) - set("0-") else None,  # zeros: "the newest"
            phase=phase,
            outcome=outcome,
            metrics={"duration_s": given.get("duration")},
            labels={"environment": given.get("environment")},
            log=said.text if said.body and not body else None,
        )
    ]
