"""Cronhub's pings: `/start/<key>`, `/finish/<key>`, `/fail/<key>` and `/ping/<key>`."""

from collections.abc import Sequence

from app.intake.dialects.make_event import make_event
from app.intake.dialects.signal_body import judge_signal
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "cronhub"
STATES: dict[str, tuple[str, str | None]] = {
    "start": ("started", None),
    "finish": ("finished", "success"),
    "ping": ("finished", "success"),
    "fail": ("finished", "failure"),
}


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one ping. `path` is the state, and the monitor if the address names one in addition to the key."""
    state, monitor = (*request.path, "", "")[:2]
    if state not in STATES or len(request.path) > 2:  # noqa: PLR2004  (these two)
        raise NotUnderstood(f"{'/'.join(request.path)[:40]!r} is not a state")
    phase, outcome = STATES[state]
    job = request.query_value("job") or request.job or monitor or TOOL
    text = request.text
    judged = judge_signal(outcome, text)
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=job,
            phase=phase,
            outcome=judged.outcome,
            message=judged.message,
            log=text or None,
        )
    ]
