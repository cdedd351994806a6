"""Duplicati's reports: its form, whose parameter holds text, and its JSON. Source: its `--send-http-*` options.

A date is in whatever calendar the machine has, so the text's times are those in brackets. A job is a backup of a machine: `DB-1` is there on each.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from app.intake.dialects.amounts import not_negative, seconds_in
from app.intake.dialects.json_body import object_in, text_in
from app.intake.dialects.make_event import told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.words import outcome_in
from app.intake.parse import WireEvent

TOOL = "duplicati"
GRACE_S = 6 * 3600  # from when a run was to begin until it is missed: it also has to end
_FORM_MOST, _FIELDS_MOST, _LINES_MOST, _HEAD_MOST = 4 * 1024 * 1024, 50, 5000, 20_000
_EARLIEST, _LATEST = 2000, 9000  # years; .NET's own "never" is the year 1
_OUTCOMES = {"success": "success", "warning": "warning", "error": "failure", "fatal": "failure", "unknown": "warning"}
_PARSED = {"success": "Success", "warning": "Warning", "failure": "Error"}
_ACTIVITIES = {
    "backup": "backup", "restore": "restore", "delete": "prune", "compact": "prune", "purge": "prune", "purgefiles": "prune",
    "test": "verify", "repair": "verify", "listbrokenfiles": "verify",
}  # fmt: skip
_HEAD = re.compile(
    r"Duplicati (\w{1,30}) report for (.{0,300}?)(?: \(([^,()]{0,100}), ([^,()]{0,100}), ([^()]{0,200})\))?$"
)
_TEMPLATE = {"Status": "ParsedResult", "Backup": "backup-name", "Machine": "machine-name"}
_LINE = re.compile(r"^([A-Za-z]{1,40}): (.{0,500})$")
_FAILED = re.compile(r"^Failed: ?(.{0,1000})$|^Error Details:\n-{1,80}\n(.{1,1000})$", re.MULTILINE)
_UNIX = re.compile(r"\((\d{9,11})\)$")
_LOG = re.compile(r"\[(Warning|Error)-[^\]\n]{1,300}\]: ([^\n]{1,1000})")


@dataclass(frozen=True, slots=True)
class Way:
    """What the way by which a report came tells of it. `mark` names its very bytes, `key` the report itself."""

    agent: str | None = None
    job: str | None = None
    at: datetime | None = None
    mark: str = ""
    key: str | None = None


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one report. Raises NotUnderstood for a text that names no outcome."""
    way = Way(said.asked("agent"), said.job or said.asked("job"), mark=said.mark)
    return [of_report(_text(said), way)]


def of_report(text: str, way: Way, subject: str = "") -> WireEvent:
    """Give the event of a report in JSON or text, a mail's with its subject, which names the backup. Raises NotUnderstood."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise NotUnderstood("the report is empty")
    if text.startswith("{"):
        found = object_in(text)
        if not found.keys() & {"Data", "Extra", "Exception"}:
            # Its parts have results of their own: a piece of it could tell of a success that was none.
            raise NotUnderstood("JSON that is broken, or none of Duplicati's")
        return _of_json(found, way)
    return _of_text(f"{subject}\n\n{text}" if subject else text, way)


def _of_text(text: str, way: Way) -> WireEvent:
    first, _, rest = text.partition("\n")
    values: dict[str, Any] = {}
    head = _HEAD.match(first[:1000].strip())
    if head is not None:
        names = ("MainOperation", "backup-name", "machine-id", "backup-id", "machine-name")
        values = dict(zip(names, head.groups(), strict=True))
    for line in (rest if head else text).split("\n")[:200]:
        if line.startswith("Limited"):
            break
        if pair := _LINE.match(line):
            values[_TEMPLATE.get(pair[1], pair[1])] = pair[2].strip()
    if "ParsedResult" not in values:
        failed = _FAILED.search(text[:_HEAD_MOST])
        outcome = "failure" if failed else outcome_in(text[:1000])
        if outcome is None:
            raise NotUnderstood("a report that names no result")
        values["ParsedResult"] = _PARSED[outcome]
        reason = (failed[1] or failed[2]) if failed else first if outcome != "success" else None
    else:
        failed = _FAILED.search(text[:_HEAD_MOST])
        reason = failed[2] if failed else None
    return _event(values, {}, text, reason, way)


def _of_json(found: Mapping[str, Any], way: Way) -> WireEvent:
    data, extra, lines = _object(found.get("Data")), _object(found.get("Extra")), found.get("LogLines")
    thrown = found.get("Exception")
    exception = text_in(thrown) or (str(thrown)[:1000] if thrown else None)
    log = [line for line in lines[:_LINES_MOST] if isinstance(line, str)] if isinstance(lines, list) else []
    values = {"MainOperation": extra.get("OperationName"), **extra, **data}
    if exception is not None:
        log.append(exception)
        values["ParsedResult"] = "Fatal"
    return _event(values, _object(data.get("BackendStatistics")), "\n".join(log), exception, way)


def _event(
    values: Mapping[str, Any],
    backend: Mapping[str, Any],
    log: str,
    reason: str | None,
    way: Way,
) -> WireEvent:
    outcome = _OUTCOMES.get((text_in(values.get("ParsedResult")) or "").lower(), "warning")
    is_partial = _is_true(values, "PartialBackup") or _is_true(values, "Interrupted")
    if is_partial and outcome == "success":
        outcome = "warning"
    operation = (text_in(values.get("MainOperation")) or "Backup").lower()
    # A dry run saved nothing: as a backup it would end a row of failures.
    activity = "other" if _is_true(values, "Dryrun") else _ACTIVITIES.get(operation, "other")
    ended, following = _time(values.get("EndTime")), _time(values.get("next-scheduled-run"))
    return told(
        TOOL,
        agent=way.agent or text_in(values.get("machine-name")),
        job=way.job or _job(values),
        activity=activity,
        phase="finished",
        outcome=outcome,
        at=ended or way.at,
        message=_message(outcome, values, log, reason, is_partial=is_partial),
        log=log or None,
        metrics=_metrics(values, backend),
        extra={"expects": {"next": following.isoformat(), "grace_s": GRACE_S}}
        if following is not None and activity == "backup"
        else None,
        # Of a run that told neither time, the same words may be another night's.
        key=way.key or ([way.job, way.mark] if way.mark and (ended or following) else None),
    )


def _metrics(values: Mapping[str, Any], backend: Mapping[str, Any]) -> Mapping[str, object]:
    return {
        "duration_s": seconds_in(text_in(values.get("Duration"))),
        "bytes_processed": not_negative(values.get("SizeOfExaminedFiles")),
        "bytes_stored": not_negative(backend.get("BytesUploaded")),
        "files_processed": not_negative(values.get("ExaminedFiles")),
        "files_failed": not_negative(values.get("FilesWithError")),
        "retries": not_negative(backend.get("RetryAttempts")),
        "quota_free_bytes": not_negative(backend.get("FreeQuotaSpace")),
    }


def _message(outcome: str, values: Mapping[str, Any], log: str, reason: str | None, *, is_partial: bool) -> str | None:
    """Give the line that tells why: what ended the run, else the last of the worst that is in the log."""
    if outcome == "success":
        return None
    if reason and reason.strip():
        return reason.strip().partition("\n")[0][:1000]
    wanted = "Error" if outcome == "failure" else "Warning"
    found = [words for level, words in _LOG.findall(log[: 1024 * 1024]) if level == wanted]
    if found:
        return str(found[-1])
    if is_partial:
        return "it was stopped before its end: not everything is in it"
    return f"Duplicati says {text_in(values.get('ParsedResult')) or 'nothing of its result'}"


def _job(values: Mapping[str, Any]) -> str:
    """Name the backup as a person does, with the marks that tell it from its namesakes on other machines."""
    name = (text_in(values.get("backup-name")) or "").strip()
    marks = [text_in(values.get("backup-id")), (text_in(values.get("machine-id")) or "")[:8]]
    told_marks = ", ".join(mark for mark in marks if mark)
    return f"{name or 'backup'} ({told_marks})" if told_marks else name or TOOL


def _time(given: object) -> datetime | None:
    """Read `...Z` with any number of decimals, Duplicati's own `20261124T010000Z`, or the Unix time in brackets."""
    text = (text_in(given) or "")[:100].strip()
    unix = _UNIX.search(text)
    try:
        if unix is not None:
            return datetime.fromtimestamp(int(unix[1]), UTC)
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except (ValueError, OverflowError):
        return None
    is_sane = found.tzinfo is not None and _EARLIEST < found.year < _LATEST
    return found.astimezone(UTC) if is_sane else None


def _is_true(values: Mapping[str, Any], name: str) -> bool:
    return str(values.get(name)).lower() == "true"


def _object(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(said: ToolRequest) -> str:
    """Give the form's text, whatever the parameter is called; for what is no form, the body."""
    text = said.text[:_FORM_MOST]
    if text.lstrip().startswith("{"):
        return text
    pairs = parse_qsl("&".join(text.split("&")[:_FIELDS_MOST]), keep_blank_values=True, errors="replace")
    values = [value for name, value in [*pairs, *said.query] if name == "message" or value.startswith("Duplicati ")]
    return max(values, key=lambda value: (value.startswith("Duplicati "), len(value))) if values else text
