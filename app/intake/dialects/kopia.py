"""Kopia's webhook: a block for each snapshot, as text, HTML or JSON. The status counts: the `Subject` says "Successfully" of partial ones too.

Source: the notification templates in https://github.com/kopia/kopia/tree/master/notification/notifytemplate. They escape nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from app.intake.dialects.body_fields import as_text, read_json_body
from app.intake.dialects.cut_texts import keep_beginning
from app.intake.dialects.make_event import make_event
from app.intake.dialects.text_decoding import decode_header_value
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_bytes, parse_seconds
from app.intake.parse import WireEvent

TOOL = "kopia"
_MAX_TEXT = 1024 * 1024
_OUTCOMES = {
    "": "unclear",
    "success": "success",
    "ok": "success",
    "fatal": "failure",
    "error": "failure",
}  # any other: a warning
_SUBJECT = re.compile(
    r"(?:Successfully created|Failed to create) (?:a snapshot of|\d{1,9} (?:of \d{1,9} )?snapshots? on) |Kopia (?:has )?(?:encountered|created) "
    r"|Test notification from Kopia "
)
_HOST = re.compile(r" on ([^\s]{1,253})$")
_FIELD = re.compile(r"^ {0,8}([A-Z][A-Za-z ]{1,30}): {0,20}(.{0,1000})$")
_ENTRY = re.compile(r"^ {0,8}- (.{1,1000})$", re.MULTILINE)
_ROW, _PATH, _CELL = '<tr class="snapshotstatus-', 'class="path">', "<td"
_JSON_FIELDS = {
    "path": "Path", "status": "Status", "start": "Start", "duration": "Duration", "error": "Error",
    "totalSize": "Size", "totalSizeDelta": "Added", "totalFiles": "Files",
}  # fmt: skip
_TAG = re.compile(r"<[^<>]{0,200}>")


@dataclass(slots=True)
class _Snapshot:
    """One snapshot: its fields by their names in the text, the entries that failed, and its whole text."""

    fields: dict[str, str]
    failed: list[str]
    text: str


def is_kopia_subject(subject: str) -> bool:
    """Return whether a mail's subject is one of Kopia's."""
    return _SUBJECT.match(subject) is not None


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return an event for each snapshot in the report. Raises NotUnderstood where no status tells the result."""
    subject = decode_header_value(request.headers.get("subject", "").strip())
    text, body = keep_beginning(request.text, _MAX_TEXT).replace("\r\n", "\n"), read_json_body(request)
    found = _HOST.search(subject)
    host = request.query_value("agent") or as_text(body.get("hostname")) or (found[1] if found else None)
    snapshots = list(_parse_json(body)) if body else list(_parse_text(text)) or list(_parse_html(text))
    events = [_make_snapshot_event(snapshot, host, request) for snapshot in snapshots]
    return events or [_read_other(subject, text, body, host, request)]


def _parse_text(text: str) -> Iterator[_Snapshot]:
    for part in re.split(r"^(?=Path: )", text, flags=re.MULTILINE):
        if part.startswith("Path: "):
            whole = part.partition("\nGenerated at ")[0]
            head, _, entries = whole.partition("Failed Entries:")
            yield _Snapshot(_parse_fields(head), _ENTRY.findall(entries), whole)


def _parse_fields(text: str) -> dict[str, str]:
    """Return the fields of a text; of two with the same name, the first."""
    found = [match for line in text.split("\n")[:100] if (match := _FIELD.match(line))]
    return {match[1]: match[2].strip() for match in reversed(found)}


def _parse_html(text: str) -> Iterator[_Snapshot]:
    """Parse the rows of the table. After the row of a snapshot come rows with some of its errors, as wide as the table."""
    snapshot: _Snapshot | None = None
    for row in text.split(_ROW)[1:]:
        first = row.partition(_CELL)[2]
        if not first.lstrip().startswith("colspan"):
            if snapshot is not None:
                yield snapshot
            path, _, rest = first.partition(_PATH)[2].partition("</span>")
            cells = [_TAG.sub("", f"<td{cell[:500]}").strip() for cell in rest.split(_CELL)[1:5]]
            names = ("Start", "Duration", "Size", "Files")
            fields = {"Path": path, "Status": row.partition('"')[0], **dict(zip(names, cells, strict=False))}
            snapshot = _Snapshot(fields, [], "")
        elif snapshot is not None and "Error:" in first[:200]:
            error = first.partition("Error:")[2].removeprefix("</b>").partition("</td>")[0]
            snapshot.fields["Error"] = error.strip()
        elif snapshot is not None:
            snapshot.failed += [_TAG.sub("", entry.partition("</li>")[0]) for entry in first.split("<li>")[1:]]
        if snapshot is not None:
            snapshot.text += _ROW + row
    if snapshot is not None:
        yield snapshot


def _parse_json(body: Mapping[str, Any]) -> Iterator[_Snapshot]:
    snapshots = body.get("snapshots")
    for snapshot in snapshots if isinstance(snapshots, list) else ():
        if not isinstance(snapshot, dict):
            continue
        fields = {ours: text for theirs, ours in _JSON_FIELDS.items() if (text := as_text(snapshot.get(theirs)))}
        entries = snapshot.get("failedEntries")
        failed = (
            [f"{entry.get('path')}: {entry.get('error')}" for entry in entries if isinstance(entry, dict)]
            if isinstance(entries, list)
            else []
        )
        yield _Snapshot(fields, failed, json.dumps(snapshot, ensure_ascii=False, indent=1)[:_MAX_TEXT])


def _make_snapshot_event(snapshot: _Snapshot, host: str | None, request: ToolRequest) -> WireEvent:
    fields, failed = snapshot.fields, snapshot.failed
    status = fields.get("Status", "")
    outcome = _OUTCOMES.get(status.lower(), "warning")
    if failed and outcome == "success":
        outcome = "warning"
    size, _, growth = fields.get("Size", "").partition("(")
    # In text `+56 B)`, in HTML an arrow upwards; for a snapshot that is smaller than before, what was stored is not reported.
    grew_by = growth.removeprefix("+").removeprefix("&#x2191; ") if growth.startswith(("+", "&#x2191; ")) else ""
    duration = parse_seconds(fields.get("Duration"))
    path, start = fields.get("Path", "").strip() or TOOL, fields.get("Start", "")
    reason = fields.get("Error") or (failed[0] if failed else f"Kopia reports: {status or 'no status'}")
    return make_event(
        TOOL,
        agent=host,
        job=request.job or request.query_value("job") or path,
        activity="backup",
        phase="finished",
        outcome=outcome,
        at=_end_time(start, duration),
        message=None if outcome == "success" else reason,
        log=snapshot.text.strip(),
        metrics={
            "duration_s": duration,
            "bytes_processed": parse_bytes(size),
            "bytes_stored": parse_bytes(fields.get("Added") or grew_by),
            "files_processed": parse_bytes(fields.get("Files")),
            "files_failed": len(failed) or None,
        },
        labels={"path": path},
        key=[request.job, host, path, start, request.content_hash] if start else None,
    )


def _read_other(subject: str, text: str, body: Mapping[str, Any], host: str | None, request: ToolRequest) -> WireEvent:
    """Read a report without snapshots: an operation that failed, or a test. A subject's "Successfully" alone proves nothing."""
    plain = _TAG.sub("", text).strip() if text.lstrip().startswith("<") else text
    fields = _parse_fields(plain)
    operation = as_text(body.get("operationDetails")) or as_text(body.get("operation")) or fields.get("Operation")
    is_test = "test notification" in subject.lower()
    if not (operation or is_test or subject.startswith("Failed") or "encountered a" in subject):
        raise NotUnderstood(f"no status of a snapshot, and the subject {subject[:200]!r}")
    reason = as_text(body.get("errorMessage")) or fields.get("Message")
    if reason is None and operation and not body:
        reason = plain.partition("\n\n")[2].partition("\n\n")[0].strip()
    return make_event(
        TOOL,
        agent=host,
        job=request.job or request.query_value("job") or operation or TOOL,
        activity="prune"
        if operation and "maint" in operation.lower()
        else "other"
        if operation or is_test
        else "backup",
        phase=None if is_test else "finished",
        outcome=None if is_test else "failure",
        message=reason or subject or None,
        log=text.strip() or None,
        key=[request.job, request.content_hash] if as_text(body.get("started")) or fields.get("Started") else None,
    )


def _end_time(start: str, duration: float | None) -> datetime | None:
    try:
        started = parsedate_to_datetime(start)
        return (started + timedelta(seconds=duration or 0)).astimezone(UTC) if started.tzinfo is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
