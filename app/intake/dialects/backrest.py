"""Backrest's hooks that post text, bare or in a chat's JSON (Slack, Discord, Shoutrrr): its fixed lines are read by signal_body.py."""

from collections.abc import Sequence

from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import told
from app.intake.dialects.signal_body import is_backrest, read_body
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.words import outcome_in
from app.intake.parse import WireEvent

__all__ = ["TOOL", "is_backrest", "of_text", "read"]
TOOL = "backrest"
_TEXTS = ("text", "content", "message", "body")  # Slack's, Discord's, Shoutrrr's, Apprise's


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one notification. Raises NotUnderstood for a text that is none of Backrest's."""
    found = object_of(said)
    text = next((text for name in _TEXTS if (text := text_in(found.get(name)))), None) or said.text
    if not is_backrest(text):
        raise NotUnderstood("no text of Backrest's: it has the lines `Task:` and `Event:`")
    return [of_text(text, said)]


def of_text(text: str, said: ToolRequest) -> WireEvent:
    """Give the event that a text of Backrest's tells."""
    body = read_body(text)
    outcome = body.outcome or (None if body.phase == "started" else outcome_in(text[:1000]))
    return told(
        TOOL,
        agent=said.asked("agent"),
        job=said.job or said.asked("job") or body.job or TOOL,
        activity=body.activity,
        phase="finished" if outcome else body.phase,
        outcome=outcome,
        message=body.message,
        log=text.strip(),
        metrics=body.metrics,
    )
