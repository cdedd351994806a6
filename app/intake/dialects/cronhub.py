"""Cronhub's pings: `/start/<key>`, `/finish/<key>`, `/fail/<key>` and `/ping/<key>`."""

from collections.abc import Sequence

from app.intake.dialects.said import NotUnderstood, Said
from app.intake.dialects.told import told
from app.intake.parse import WireEvent

TOOL = "cronhub"
STATES: dict[str, tuple[str, str | None]] = {
    "start": ("started", None),
    "finish": ("finished", "success"),
    "ping": ("finished", "success"),
    "fail": ("finished", "failure"),
}


def read(said: Said) -> Sequence[WireEvent]:
    """Give the event of one ping. `path` is the state, which stands before the key."""
    state = said.path[0] if said.path else ""
    if state not in STATES or len(said.path) > 1:
        raise NotUnderstood(f"{'/'.join(said.path)[:40]!r} is no state")
    phase, outcome = STATES[state]
    job = said.asked("job") or said.job or TOOL
    return [told(TOOL, agent=said.asked("agent"), job=job, phase=phase, outcome=outcome, log=said.text or None)]
