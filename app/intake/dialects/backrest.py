"""Backrest's hooks that post text, plain or in the JSON of a chat (Slack, Discord, Shoutrrr).

Source: the fixed lines of its templates, https://garethgeorge.github.io/backrest/docs/hooks.
"""

import re
from collections.abc import Sequence

from app.intake.dialects.body_fields import first_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.signal_body import MAX_SIGNAL_MESSAGE, SignalBody
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number
from app.intake.dialects.wording import find_outcome
from app.intake.parse import WireEvent

TOOL = "backrest"
_TEXT_FIELDS = ("text", "content", "message", "body")  # Slack's, Discord's, Shoutrrr's, Apprise's
_HEAD_LENGTH = 8 * 1024
_EVENT = re.compile(r"^Event: {0,3}([a-z][a-z ]{0,60})\s*$", re.MULTILINE | re.IGNORECASE)
_BACKREST = re.compile(r"^Backrest |^Task: ", re.MULTILINE)
_ERROR = re.compile(r"^Error: ?(\S.{0,2000})$", re.MULTILINE)
_TASK = re.compile(r'^Task: "?(\w{1,20})(?:.{0,40}(?:plan|repo) "([^"\n]{1,200})")?', re.MULTILINE)
_ACTIVITIES = {
    "snapshot": "backup",
    "backup": "backup",
    "prune": "prune",
    "forget": "prune",
    "check": "verify",
    "stats": "other",
}
# The last word of an event, from Backrest's list of conditions.
_RESULTS = {
    "start": ("started", None),
    "success": ("finished", "success"),
    "skipped": ("finished", "success"),
    "warning": ("finished", "warning"),
    "error": ("finished", "failure"),
    "failed": ("finished", "failure"),
    "end": ("finished", None),
}
_AMOUNTS = (
    ("bytes_stored", re.compile(r"^- Data added: ([\d.]{1,30}) ?([kKMGTP]?i?B)", re.MULTILINE)),
    ("files_processed", re.compile(r"^- Total files processed: (\d{1,18})()", re.MULTILINE)),
    ("bytes_processed", re.compile(r"^- Total bytes processed: ([\d.]{1,30}) ?([kKMGTP]?i?B)", re.MULTILINE)),
    ("duration_s", re.compile(r"^- Total duration: ([\d.]{1,30})s()", re.MULTILINE)),
)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one notification. Raises NotUnderstood for a text that is not Backrest's."""
    text = first_text(read_json_body(request), _TEXT_FIELDS) or request.text
    event = read_text(text, request)
    if event is None:
        raise NotUnderstood("not a text of Backrest, which has the lines `Task:` and `Event:`")
    return [event]


def read_text(text: str, request: ToolRequest) -> WireEvent | None:
    """Return the event that a text of Backrest reports; None for any other text."""
    body = parse_text(text)
    if body is None:
        return None
    outcome = body.outcome or (None if body.phase == "started" else find_outcome(text[:1000]))
    return make_event(
        TOOL,
        agent=request.query_value("agent"),
        job=request.job or request.query_value("job") or body.job or TOOL,
        activity=body.activity,
        phase="finished" if outcome else body.phase,
        outcome=outcome,
        message=body.message,
        log=text.strip(),
        metrics=body.metrics,
    )


def parse_text(text: str) -> SignalBody | None:
    """Return what a text of Backrest reports; None for any other text."""
    event = _EVENT.search(text, 0, _HEAD_LENGTH)
    if event is None or _BACKREST.search(text, 0, _HEAD_LENGTH) is None:
        return None
    words = event[1].strip().lower().split()
    phase, outcome = _RESULTS.get(words[-1], (None, None))
    error = _ERROR.search(text, 0, _HEAD_LENGTH)
    if error is not None and outcome != "failure":
        phase, outcome = "finished", "warning" if outcome in ("success", "warning") else "failure"
    message = error[1] if error is not None else None
    if message is not None and message.startswith("partial backup") and words == ["snapshot", "end"]:
        outcome = "warning"  # restic's exit code 3, which `snapshot end` reports like any other error
    if outcome is None and words == ["snapshot", "end"]:
        outcome = "success"
    if words[-1] == "skipped":
        message = message or "skipped: there was nothing to do"
    metrics: dict[str, object] = {}
    for name, pattern in _AMOUNTS:
        if found := pattern.search(text, 0, _HEAD_LENGTH):
            number, unit = parse_number(found[1]), found[2]
            if number is not None and unit:
                number *= float((1024 if "i" in unit else 1000) ** _POWERS[unit.rstrip("iB").lower()])
            metrics[name] = number
    task = _TASK.search(text, 0, _HEAD_LENGTH)
    kind, job = (task[1].lower(), task[2]) if task else ("", None)
    activity = _ACTIVITIES.get(words[0]) or _ACTIVITIES.get(kind)  # `Event: error` may be about any task
    return SignalBody(outcome, phase, activity, message and message[:MAX_SIGNAL_MESSAGE], job, metrics)
