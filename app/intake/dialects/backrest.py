"""Backrest's hooks: its text, plain or in the JSON of a chat (Slack, Discord, Shoutrrr), or its variables as JSON.

Sources: the fixed lines of its templates, https://garethgeorge.github.io/backrest/docs/hooks, and the conditions in its
proto/v1/config.proto. A template may name the variables as it likes; the usual ones are those of its summary, in any case.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.intake.dialects.body_fields import as_text, first_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.signal_body import MAX_SIGNAL_MESSAGE, SignalBody
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number
from app.intake.language.reader import Meaning, Reading, read_words
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
# A condition as a number, where a template writes it with JsonMarshal. A number that is not known proves nothing.
_CONDITIONS = {
    1: "error", 2: "snapshot start", 3: "snapshot end", 4: "snapshot error", 5: "snapshot warning", 6: "snapshot success",
    100: "prune start", 101: "prune error", 102: "prune success", 200: "check start", 201: "check error", 202: "check success",
}  # fmt: skip
_STATS = {
    "bytes_stored": ("dataadded", "data_added"),
    "files_processed": ("totalfilesprocessed", "total_files_processed"),
    "bytes_processed": ("totalbytesprocessed", "total_bytes_processed"),
    "duration_s": ("totalduration", "total_duration"),
}
_STATS_FIELDS = ("snapshot_stats", "snapshotstats", "stats")
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
    fields = read_json_body(request)
    event = _read_variables(fields, request)
    if event is None:
        event = read_text(first_text(fields, _TEXT_FIELDS) or request.text, request)
    if event is None:
        raise NotUnderstood("not a text of Backrest, which has the lines `Task:` and `Event:`")
    return [event]


def read_text(text: str, request: ToolRequest) -> WireEvent | None:
    """Return the event that a text of Backrest reports; None for any other text."""
    body = parse_text(text)
    if body is None:
        return None
    return _make_event(body, text.strip(), request)


def _make_event(body: SignalBody, log: str, request: ToolRequest) -> WireEvent:
    is_known = body.outcome is not None or body.phase == "started"
    reading = None if is_known else read_words(log, names=[body.job] if body.job else [])
    if reading is not None and reading.meaning is Meaning.SUCCESS:  # without a condition, words report trouble only
        reading = Reading(Meaning.UNCLEAR, reading.words, reading.rule)
    return make_event(
        TOOL,
        agent=request.query_value("agent"),
        job=request.job or request.query_value("job") or body.job or TOOL,
        activity=body.activity,
        phase=body.phase if reading is None else None,
        outcome=body.outcome,
        message=body.message,
        log=log,
        metrics=body.metrics,
        reading=reading,
    )


def _read_variables(fields: Mapping[str, Any], request: ToolRequest) -> WireEvent | None:
    """Return the event of a template that writes Backrest's variables as JSON; None for any other JSON."""
    values = {name.lower(): value for name, value in fields.items()}
    task, plan, repo = as_text(values.get("task")), _id_of(values.get("plan")), _id_of(values.get("repo"))
    condition = values.get("event")
    if isinstance(condition, int):
        condition = _CONDITIONS.get(condition, "unknown")
    if not isinstance(condition, str) or not (task or plan or repo):
        return None
    event = condition.strip().lower().removeprefix("condition_").replace("_", " ")[:60]
    error = " ".join((as_text(values.get("error")) or "").split())
    # The whole body is not kept as the log: a repo's own JSON holds its password.
    named = (("Task", task), ("Event", event), ("Repo", repo), ("Plan", plan), ("Error", error))
    text = "Backrest \n" + "\n".join(f"{name}: {' '.join(value.split())}" for name, value in named if value)
    body = parse_text(text)
    if body is None:
        return None
    stats = next((value for name in _STATS_FIELDS if isinstance(value := values.get(name), dict)), {})
    amounts = {name.lower(): value for name, value in stats.items()}
    metrics: dict[str, object] = {metric: first_text(amounts, names) for metric, names in _STATS.items()}
    return _make_event(replace(body, job=plan or body.job or repo, metrics=metrics), text, request)


def _id_of(value: object) -> str | None:
    """Return a plan's or repo's id, written alone or as an object."""
    if isinstance(value, dict):
        return as_text(value.get("id")) or as_text(value.get("Id"))
    return as_text(value)


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
