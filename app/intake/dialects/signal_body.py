"""What the body of a signal tells beyond its address, for tools that put one: Backrest, Bacula's scripts, any backup's log.

The address stands first. A body can name the activity, add amounts, and make an outcome worse; never better.
"""

import re
from dataclasses import dataclass, field

from app.intake.dialects.json_body import object_in
from app.intake.dialects.log_errors import confessed
from app.intake.dialects.make_event import number

_HEAD, _JSON_MOST = 8 * 1024, 64 * 1024
_MESSAGE_MOST = 300


@dataclass(frozen=True, slots=True)
class Body:
    """What a body says. None where it says nothing."""

    outcome: str | None = None
    phase: str | None = None
    activity: str | None = None
    message: str | None = None
    job: str | None = None
    metrics: dict[str, object] = field(default_factory=dict)


def read_body(text: str) -> Body:
    """Read a body."""
    if not text.strip():
        return Body()
    if is_backrest(text) and (event := _EVENT.search(text, 0, _HEAD)):
        return _backrest(text, event[1].strip().lower())
    if text.lstrip()[:1] == "{" and (scripted := _bacula(text)) is not None:
        return scripted
    trouble = confessed(text)
    if trouble is None:
        return Body()
    more = f" ({trouble.count} such lines)" if trouble.count > 1 else ""
    return Body("warning", message=f"its log tells of trouble: {trouble.line}{more}")


def is_backrest(text: str) -> bool:
    """Say whether a text has the lines that Backrest's have."""
    return _EVENT.search(text, 0, _HEAD) is not None and _BACKREST.search(text, 0, _HEAD) is not None


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
# The second word of an event, by Backrest's own list of conditions.
_ENDS = {
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


def _backrest(text: str, event: str) -> Body:
    """Read Backrest's text: https://garethgeorge.github.io/backrest/docs/hooks, its templates' fixed lines."""
    words = event.split()
    phase, outcome = _ENDS.get(words[-1], (None, None))
    error = _ERROR.search(text, 0, _HEAD)
    if error is not None and outcome != "failure":
        phase, outcome = "finished", "warning" if outcome in ("success", "warning") else "failure"
    message = error[1] if error is not None else None
    if message is not None and message.startswith("partial backup") and words == ["snapshot", "end"]:
        outcome = "warning"  # restic's exit code 3, which `snapshot end` tells as any other error
    if outcome is None and words == ["snapshot", "end"]:
        outcome = "success"
    if words[-1] == "skipped":
        message = message or "skipped: there was nothing to do"
    metrics: dict[str, object] = {}
    for name, pattern in _AMOUNTS:
        if found := pattern.search(text, 0, _HEAD):
            metrics[name] = _amount(found[1], found[2])
    task = _TASK.search(text, 0, _HEAD)
    what, job = (task[1].lower(), task[2]) if task else ("", None)
    activity = _ACTIVITIES.get(words[0]) or _ACTIVITIES.get(what)  # `Event: error` may be of any task
    return Body(outcome, phase, activity, message and message[:_MESSAGE_MOST], job, metrics)


_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def _amount(digits: str, tx: str) -> float | None:
    found = number(digits)
    if found is None or not tx:
        return found
    return found * float((1024 if "i" in tx else 1000) ** _POWERS[tx.rstrip("iB").lower()])


def _bacula(text: str) -> Body | None:
    """Read the JSON that scripts make of Bacula's `%e` and `%l`; unquoted, `OK -- with warnings` is spread over the fields."""
    said = object_in(text, _JSON_MOST)
    if not isinstance(said.get("status"), str):
        return None
    words = " ".join(str(value) for value in said.values() if isinstance(value, str))[:1000].lower()
    status: str = said["status"].strip()
    told = f"status {status}"[:_MESSAGE_MOST]
    if status.lower().startswith(("fatal", "error", "fail", "down", "critical")):
        return Body("failure", message=told)
    if status.lower().startswith("warn") or "with warnings" in words:
        return Body("warning", message="it ended OK, with warnings")
    return Body("cancelled", message=told) if status.lower().startswith("cancel") else Body()
