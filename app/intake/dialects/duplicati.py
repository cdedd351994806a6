"""Duplicati's reports: its form, whose parameter holds text, and its JSON. Source: its `--send-http-*` options.

Dates are in the calendar of the machine, so of a text only the Unix times in brackets are used. A job is a backup of one machine:
the id `DB-1` exists on each machine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from app.intake.dialects.body_fields import as_text, first_fields, parse_json_object
from app.intake.dialects.cut_texts import keep_beginning
from app.intake.dialects.make_event import make_event
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_non_negative, parse_seconds
from app.intake.language.reader import Meaning, Reading, read_words
from app.intake.parse import WireEvent

TOOL = "duplicati"
GRACE_S = 6 * 3600  # after the announced start until the run counts as missed: the run also needs time to finish
_MAX_FORM, _MAX_FIELDS, _MAX_LOG_LINES, _MAX_HEAD = 4 * 1024 * 1024, 50, 5000, 20_000
_FIRST_YEAR, _LAST_YEAR = 2000, 9000  # .NET's "never" is the year 1
# Any other result, and `Unknown`, proves nothing.
_OUTCOMES = {"success": "success", "warning": "warning", "error": "failure", "fatal": "failure"}
# What .NET writes of an exception: 2.0 puts it in the place of the results.
_EXCEPTION_FIELDS = ("StackTraceString", "StackTrace", "ClassName", "ExceptionMethod", "HResult")
_ACTIVITIES = {
    "backup": "backup", "restore": "restore", "delete": "prune", "compact": "prune", "purge": "prune", "purgefiles": "prune",
    "test": "verify", "repair": "verify", "listbrokenfiles": "verify",
}  # fmt: skip
_TITLE = re.compile(
    r"Duplicati (\w{1,30}) report for (.{0,300}?)(?: \(([^,()]{0,100}), ([^,()]{0,100}), ([^()]{0,200})\))?$"
)
_TEMPLATE_FIELDS = {"Status": "ParsedResult", "Backup": "backup-name", "Machine": "machine-name"}
_LINE = re.compile(r"^([A-Za-z]{1,40}): (.{0,500})$")
_FAILED = re.compile(r"^Failed: ?(.{0,1000})$|^Error Details:\n-{1,80}\n(.{1,1000})$", re.MULTILINE)
_UNIX_TIME = re.compile(r"\((\d{9,11})\)$")
_LOG_ENTRY = re.compile(r"\[(Warning|Error)-[^\]\n]{1,300}\]: ([^\n]{1,1000})")


@dataclass(frozen=True, slots=True)
class ReportSource:
    """What is known about a report from how it arrived. `content_hash` identifies its bytes, `key` the report itself."""

    agent: str | None = None
    job: str | None = None
    at: datetime | None = None
    content_hash: str = ""
    key: str | None = None


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one report. Raises NotUnderstood for a text that names no outcome."""
    job = request.job or request.query_value("job")
    source = ReportSource(request.query_value("agent"), job, content_hash=request.content_hash)
    return [read_report(_find_report(request), source)]


def read_report(text: str, source: ReportSource, subject: str = "") -> WireEvent:
    """Return the event of a report in JSON or text. A mail's subject names the backup. Raises NotUnderstood."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise NotUnderstood("the report is empty")
    if text.startswith("{"):
        report = parse_json_object(text)
        if not report.keys() & {"Data", "Extra", "Exception"}:
            # Its parts have results of their own: a fragment could report a success although the backup failed.
            raise NotUnderstood("JSON that is broken or not from Duplicati")
        return _read_json(report, source)
    return _read_text(f"{subject}\n\n{text}" if subject else text, source)


def _read_text(text: str, source: ReportSource) -> WireEvent:
    first, _, rest = text.partition("\n")
    values: dict[str, Any] = {}
    title = _TITLE.match(first[:1000].strip())
    if title is not None:
        names = ("MainOperation", "backup-name", "machine-id", "backup-id", "machine-name")
        values = dict(zip(names, title.groups(), strict=True))
    for line in (rest if title else text).split("\n")[:200]:
        if line.startswith("Limited"):
            break
        if pair := _LINE.match(line):
            values[_TEMPLATE_FIELDS.get(pair[1], pair[1])] = pair[2].strip()
    failed = _FAILED.search(text[:_MAX_HEAD])
    reading: Reading | None = None
    if "ParsedResult" in values:
        reason = failed[2] if failed else None
    elif failed:
        values["ParsedResult"] = "Error"
        reason = failed[1] or failed[2]
    else:
        reading = read_words(text, names=[str(values["backup-name"])] if values.get("backup-name") else [])
        if title is None and reading.meaning is Meaning.UNCLEAR:
            raise NotUnderstood("a report that names no result")
        reason = None if reading.meaning is Meaning.SUCCESS else first
    return _make_event(values, {}, text, reason, source, reading)


def _read_json(report: Mapping[str, Any], source: ReportSource) -> WireEvent:
    data, extra, lines = _as_object(report.get("Data")), _as_object(report.get("Extra")), report.get("LogLines")
    thrown = report.get("Exception")
    exception = as_text(thrown) or (str(thrown)[:1000] if thrown else None)
    log = [line for line in lines[:_MAX_LOG_LINES] if isinstance(line, str)] if isinstance(lines, list) else []
    values = {"MainOperation": extra.get("OperationName"), **extra, **data}
    if exception is None and "ParsedResult" not in data:
        exception = _find_exception(report.get("Data"))
    if exception is not None:
        log.append(exception)
        values["ParsedResult"] = "Fatal"
    return _make_event(values, _as_object(data.get("BackendStatistics")), "\n".join(log), exception, source)


def _find_exception(data: object) -> str | None:
    """Return the exception that stands where the results should, as text or as .NET serializes it."""
    if isinstance(data, str):
        return data.strip()[:1000] or None
    fields = _as_object(data)
    if not any(name in fields for name in _EXCEPTION_FIELDS):
        return None
    inner = _as_object(fields.get("InnerException"))
    parts = (as_text(fields.get("ClassName")), as_text(fields.get("Message")) or as_text(inner.get("Message")))
    return ": ".join(part for part in parts if part) or "an exception"


def is_title(line: str) -> bool:
    """Return whether a line is the title of a Duplicati report."""
    return _TITLE.match(line[:1000].strip()) is not None


def _make_event(
    values: Mapping[str, Any],
    backend: Mapping[str, Any],
    log: str,
    reason: str | None,
    source: ReportSource,
    reading: Reading | None = None,
) -> WireEvent:
    """Return the event. The outcome is that of `reading`, which was read from words, else the result that the report names."""
    outcome = _OUTCOMES.get((as_text(values.get("ParsedResult")) or "").lower(), "unclear")
    if reading is not None:
        outcome = reading.meaning.value
    is_partial = _is_true(values, "PartialBackup") or _is_true(values, "Interrupted")
    unread = parse_non_negative(values.get("FilesWithError")) or 0
    operation = (as_text(values.get("MainOperation")) or "Backup").lower()
    errors = next((n for name in ("ErrorsActualLength", "Errors") if (n := parse_non_negative(values.get(name)))), 0)
    admitted = (f"{unread:g} files could not be read" if unread else None) or (f"{errors:g} errors" if errors else None)
    if admitted is None and operation == "backup" and parse_non_negative(values.get("ExaminedFiles")) == 0:
        admitted = "no files were examined"
    if (is_partial or admitted) and outcome == "success":
        outcome = "warning"
        reason = reason or (None if is_partial else admitted)
    # A dry run saves nothing: as a backup it would end a series of failures.
    activity = "other" if _is_true(values, "Dryrun") else _ACTIVITIES.get(operation, "other")
    ended, next_run = _parse_time(values.get("EndTime")), _parse_time(values.get("next-scheduled-run"))
    return make_event(
        TOOL,
        agent=source.agent or as_text(values.get("machine-name")),
        job=source.job or _name_job(values),
        activity=activity,
        phase=None if outcome == "started" else "finished",
        outcome=None if outcome == "started" else outcome,
        at=ended or source.at,
        message=_find_message(outcome, values, log, reason, is_partial=is_partial),
        log=log or None,
        metrics={
            "duration_s": parse_seconds(as_text(values.get("Duration"))),
            "bytes_processed": parse_non_negative(values.get("SizeOfExaminedFiles")),
            "bytes_stored": parse_non_negative(backend.get("BytesUploaded")),
            "files_processed": parse_non_negative(values.get("ExaminedFiles")),
            "files_failed": unread if "FilesWithError" in values else None,
            "retries": parse_non_negative(backend.get("RetryAttempts")),
            "quota_free_bytes": parse_non_negative(backend.get("FreeQuotaSpace")),
        },
        extra={"expects": {"next": next_run.isoformat(), "grace_s": GRACE_S}}
        if next_run is not None and activity == "backup"
        else None,
        reading=reading,
        # A report with neither time could have the same words as the report of another night.
        key=source.key or ([source.job, source.content_hash] if source.content_hash and (ended or next_run) else None),
    )


def _find_message(
    outcome: str, values: Mapping[str, Any], log: str, reason: str | None, *, is_partial: bool
) -> str | None:
    """Return why the run did not succeed: what ended it, else the last of the most severe entries in the log."""
    if outcome == "success":
        return None
    if reason and reason.strip():
        return reason.strip().partition("\n")[0][:1000]
    level = "Error" if outcome == "failure" else "Warning"
    entries = [text for entry_level, text in _LOG_ENTRY.findall(log[: 1024 * 1024]) if entry_level == level]
    if entries:
        return str(entries[-1])
    if is_partial:
        return "the backup was stopped before its end and is incomplete"
    return f"Duplicati reports {as_text(values.get('ParsedResult')) or 'no result'}"


def _name_job(values: Mapping[str, Any]) -> str:
    """Return the backup's name with its ids, because backups on other machines can have the same name."""
    name = (as_text(values.get("backup-name")) or "").strip()
    ids = [as_text(values.get("backup-id")), (as_text(values.get("machine-id")) or "")[:8]]
    in_brackets = ", ".join(part for part in ids if part)
    return f"{name or 'backup'} ({in_brackets})" if in_brackets else name or TOOL


def _parse_time(value: object) -> datetime | None:
    """Parse `...Z` with any number of decimals, Duplicati's own `20261124T010000Z`, or the Unix time in brackets."""
    text = (as_text(value) or "")[:100].strip()
    unix = _UNIX_TIME.search(text)
    try:
        if unix is not None:
            return datetime.fromtimestamp(int(unix[1]), UTC)
        time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except (ValueError, OverflowError):
        return None
    is_plausible = time.tzinfo is not None and _FIRST_YEAR < time.year < _LAST_YEAR
    return time.astimezone(UTC) if is_plausible else None


def _is_true(values: Mapping[str, Any], name: str) -> bool:
    return str(values.get(name)).lower() == "true"


def _as_object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _find_report(request: ToolRequest) -> str:
    """Return the text in the form, whatever its parameter is called; for a body that is not a form, the body."""
    text = keep_beginning(request.text, _MAX_FORM)
    if text.lstrip().startswith("{"):
        return text
    pairs = parse_qsl(first_fields(text, _MAX_FIELDS), keep_blank_values=True, errors="replace")
    values = [value for name, value in [*pairs, *request.query] if name == "message" or value.startswith("Duplicati ")]
    return max(values, key=lambda value: (value.startswith("Duplicati "), len(value))) if values else text
