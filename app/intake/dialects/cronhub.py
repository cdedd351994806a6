"""Cronhub's pings: `/start/<key>`, `/finish/<key>`, `/fail/<key>` and `/ping/<key>`."""

from collections.abc import Sequence

from app.intake.dialects.make_event import told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "cronhub"
STATES: dict[str, tuple[str, str | None]] = {
    "start": ("started", None),
    "finish": ("finished", "success"),
    "ping": ("finished", "success"),
    "fail": ("finished", "failure"),
}


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one ping. `path` is the state, and the monitor where the address names one besides the key."""
    state, monitor = (*said.path, "", "")[:2]
    if state not in STATES or len(said.path) > 2:  # noqa: PLR2004  (these two)
        raise NotUnderstood(f"{'/'.join(said.path)[:40]!r} is no state")
    phase, outcome = STATES[state]
    job = said.asked("job") or said.job or monitor or TOOL
    return [told(TOOL, agent=said.asked("agent"), job=job, phase=phase, outcome=outcome, log=said.text or None)]
