"""Kopia's webhook: a block for each snapshot, as text, HTML or JSON. Its `Subject` says "Successfully" of partial ones too: the status counts.

Source: the notification templates in https://github.com/kopia/kopia/tree/master/notification/notifytemplate. They escape nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from app.intake.dialects.amounts import bytes_in, seconds_in
from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "kopia"
_MOST, _BLOCKS_MOST = 1024 * 1024, 1000
_OUTCOMES = {"success": "success", "ok": "success", "fatal": "failure", "error": "failure"}  # any other: a warning
_SUBJECT = re.compile(
    r"(?:Successfully created|Failed to create) (?:a snapshot of|\d{1,9} (?:of \d{1,9} )?snapshots? on) |Kopia (?:has )?(?:encountered|created) "
    r"|Test notification from Kopia "
)
_HOST = re.compile(r" on ([^\s]{1,253})$")
_FIELD = re.compile(r"^ {0,8}([A-Z][A-Za-z ]{1,30}): {0,20}(.{0,1000})$")
_ENTRY = re.compile(r"^ {0,8}- (.{1,1000})$", re.MULTILINE)
_ROW, _PATH, _CELL = '<tr class="snapshotstatus-', 'class="path">', "<td"
_JSON = {"path": "Path", "status": "Status", "start": "Start", "duration": "Duration", "error": "Error"}
_JSON_AMOUNTS = {"totalSize": "Size", "totalSizeDelta": "Added", "totalFiles": "Files"}
_TAG = re.compile(r"<[^<>]{0,200}>")


@dataclass(slots=True)
class _Block:
    """One snapshot: its fields by their names in the text, the entries that failed, and the whole of it."""

    fields: dict[str, str]
    failed: list[str]
    text: str


def is_kopia(subject: str) -> bool:
    """Say whether a mail's subject is Kopia's."""
    return _SUBJECT.match(subject) is not None


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give an event for each snapshot told of. Raises NotUnderstood where no status tells how it went."""
    subject, text, given = _subject(said), said.text[:_MOST].replace("\r\n", "\n"), object_of(said)
    found = _HOST.search(subject)
    host = said.asked("agent") or text_in(given.get("hostname")) or (found[1] if found else None)
    blocks = list(_json(given)) if given else list(_blocks(text)) or list(_html(text))
    events = [_snapshot(block, host, said) for block in blocks[:_BLOCKS_MOST]]
    return events or [_other(subject, text, given, host, said)]


def _subject(said: ToolRequest) -> str:
    """Give the subject; a header is in Latin-1 by its standard, and in UTF-8 as Kopia writes it."""
    subject = said.headers.get("subject", "").strip()
    try:
        return subject.encode("latin-1").decode()
    except UnicodeError:
        return subject


def _blocks(text: str) -> Iterator[_Block]:
    for part in re.split(r"^(?=Path: )", text, flags=re.MULTILINE):
        if part.startswith("Path: "):
            whole = part.partition("\nGenerated at ")[0]
            head, _, entries = whole.partition("Failed Entries:")
            yield _Block(_fields(head), _ENTRY.findall(entries), whole)


def _fields(text: str) -> dict[str, str]:
    """Give the fields of a text; of two with one name the first."""
    found = [match for line in text.split("\n")[:100] if (match := _FIELD.match(line))]
    return {match[1]: match[2].strip() for match in reversed(found)}


def _html(text: str) -> Iterator[_Block]:
    """Give the rows of the table. The row of a snapshot is followed by some of its errors, as wide as the table."""
    block: _Block | None = None
    for row in text.split(_ROW)[1:]:
        first = row.partition(_CELL)[2]
        if not first.lstrip().startswith("colspan"):
            if block is not None:
                yield block
            path, _, rest = first.partition(_PATH)[2].partition("</span>")
            cells = [_TAG.sub("", f"<td{cell[:500]}").strip() for cell in rest.split(_CELL)[1:5]]
            names = ("Start", "Duration", "Size", "Files")
            fields = {"Path": path, "Status": row.partition('"')[0], **dict(zip(names, cells, strict=False))}
            block = _Block(fields, [], "")
        elif block is not None and "Error:" in first[:200]:
            block.fields["Error"] = first.partition("Error:")[2].removeprefix("</b>").partition("</td>")[0].strip()
        elif block is not None:
            block.failed += [_TAG.sub("", entry.partition("</li>")[0]) for entry in first.split("<li>")[1:]]
        if block is not None:
            block.text += _ROW + row
    if block is not None:
        yield block


def _json(given: Mapping[str, Any]) -> Iterator[_Block]:
    snapshots = given.get("snapshots")
    for one in snapshots if isinstance(snapshots, list) else ():
        if not isinstance(one, dict):
            continue
        fields = {
            ours: text for theirs, ours in {**_JSON, **_JSON_AMOUNTS}.items() if (text := text_in(one.get(theirs)))
        }
        entries = one.get("failedEntries")
        failed = (
            [f"{e.get('path')}: {e.get('error')}" for e in entries if isinstance(e, dict)]
            if isinstance(entries, list)
            else []
        )
        yield _Block(fields, failed, json.dumps(one, ensure_ascii=False, indent=1)[:_MOST])


def _snapshot(block: _Block, host: str | None, said: ToolRequest) -> WireEvent:
    given, failed = block.fields, block.failed
    status = given.get("Status", "")
    outcome = _OUTCOMES.get(status.lower(), "warning")
    if failed and outcome == "success":
        outcome = "warning"
    size, _, added = given.get("Size", "").partition("(")
    duration = seconds_in(given.get("Duration"))
    path, start = given.get("Path", "").strip() or TOOL, given.get("Start", "")
    return told(
        TOOL,
        agent=host,
        job=said.job or said.asked("job") or path,
        activity="backup",
        phase="finished",
        outcome=outcome,
        at=_end(start, duration),
        message=None
        if outcome == "success"
        else given.get("Error") or (failed[0] if failed else f"Kopia says: {status or 'no status'}"),
        log=block.text.strip(),
        metrics={
            "duration_s": duration,
            "bytes_processed": bytes_in(size),
            "bytes_stored": bytes_in(given.get("Added") or _grown(added)),
            "files_processed": bytes_in(given.get("Files")),
            "files_failed": len(failed) or None,
        },
        labels={"path": path},
        key=[said.job, host, path, start, said.mark] if start else None,
    )


def _grown(text: str) -> str:
    """Give by how much it has grown: `+56 B)`, in HTML an arrow upwards; what has shrunk has stored nothing that is told."""
    return text.removeprefix("+").removeprefix("&#x2191; ") if text.startswith(("+", "&#x2191; ")) else ""


def _other(subject: str, text: str, given: Mapping[str, Any], host: str | None, said: ToolRequest) -> WireEvent:
    """Read what is about no snapshot: an operation that failed, a trial. A subject's "Successfully" alone proves nothing."""
    plain = _TAG.sub("", text).strip() if text.lstrip().startswith("<") else text
    found = _fields(plain)
    operation = text_in(given.get("operationDetails")) or text_in(given.get("operation")) or found.get("Operation")
    is_trial = "test notification" in subject.lower()
    if not (operation or is_trial or subject.startswith("Failed") or "encountered a" in subject):
        raise NotUnderstood(f"no snapshot's status, and the subject {subject[:200]!r}")
    reason = text_in(given.get("errorMessage")) or found.get("Message")
    if reason is None and operation and not given:
        reason = plain.partition("\n\n")[2].partition("\n\n")[0].strip()
    started = text_in(given.get("started")) or found.get("Started")
    return told(
        TOOL,
        agent=host,
        job=said.job or said.asked("job") or operation or TOOL,
        activity="prune"
        if operation and "maint" in operation.lower()
        else "other"
        if operation or is_trial
        else "backup",
        phase=None if is_trial else "finished",
        outcome=None if is_trial else "failure",
        message=reason or subject or None,
        log=text.strip() or None,
        key=[said.job, said.mark] if started else None,
    )


def _end(start: str, duration: float | None) -> datetime | None:
    try:
        began = parsedate_to_datetime(start)
        return (began + timedelta(seconds=duration or 0)).astimezone(UTC) if began.tzinfo is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
