"""Kopia's webhook: a block for each snapshot, as text or as HTML. Its `Subject` says "Successfully" of partial ones too: the status counts.

Source: the notification templates in https://github.com/kopia/kopia/tree/master/notification/notifytemplate. They escape nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from app.intake.dialects.amounts import bytes_in, seconds_in
from app.intake.dialects.said import NotUnderstood, Said
from app.intake.dialects.told import told
from app.intake.parse import WireEvent

TOOL = "kopia"
_MOST, _BLOCKS_MOST = 1024 * 1024, 1000
_OUTCOMES = {"success": "success", "warnings": "warning", "incomplete": "warning", "fatal": "failure"}
_HOST = re.compile(r" on ([^\s]{1,253})$")
_FIELD = re.compile(r"^ {0,8}([A-Z][A-Za-z ]{1,30}): {0,20}(.{0,1000})$")
_ENTRY = re.compile(r"^ {0,8}- (.{1,1000})$", re.MULTILINE)
_ROW, _PATH, _CELL = '<tr class="snapshotstatus-', 'class="path">', "<td"
_TAG = re.compile(r"<[^<>]{0,200}>")


@dataclass(slots=True)
class _Block:
    """One snapshot: its fields, and the whole text of it."""

    fields: dict[str, str]
    text: str


def read(said: Said) -> Sequence[WireEvent]:
    """Give an event for each snapshot told of. Raises NotUnderstood where no status tells how it went."""
    subject, text = _subject(said), said.text[:_MOST].replace("\r\n", "\n")
    found = _HOST.search(subject)
    host = said.asked("agent") or (found[1] if found else None)
    blocks = list(_blocks(text)) or list(_html(text))
    return [_snapshot(block, host, said) for block in blocks[:_BLOCKS_MOST]] or [_other(subject, text, host, said)]


def _subject(said: Said) -> str:
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
            fields = [_FIELD.match(line) for line in whole.split("\n")[:100]]
            yield _Block({found[1]: found[2].strip() for found in reversed(fields) if found}, whole)


def _html(text: str) -> Iterator[_Block]:
    """Give the rows of the table. The row of a snapshot is followed by one for its error."""
    block: _Block | None = None
    for row in text.split(_ROW)[1:]:
        status, path, rest = row.partition('"')[0], row.partition(_PATH)[2], row
        if path:
            if block is not None:
                yield block
            path, _, rest = path.partition("</span>")
            cells = [_TAG.sub("", f"<td{cell[:500]}").strip() for cell in rest.split(_CELL)[1:3]]
            start, duration, *_ = [*cells, "", ""]
            block = _Block({"Path": path, "Status": status, "Start": start, "Duration": duration}, "")
        elif block is not None and "Error:" in row:
            reason = row.partition("Error:")[2].removeprefix("</b>").partition("</td>")[0]
            block.fields["Error"] = reason.strip()
        if block is not None:
            block.text += _ROW + row
    if block is not None:
        yield block


def _snapshot(block: _Block, host: str | None, said: Said) -> WireEvent:
    given = block.fields
    status = given.get("Status", "")
    outcome = _OUTCOMES.get(status.lower(), "warning")
    failed = _ENTRY.findall(block.text.partition("Failed Entries")[2])
    size, _, added = given.get("Size", "").partition("(+")
    duration = seconds_in(given.get("Duration"))
    path, start = given["Path"].strip(), given.get("Start", "")
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
            "bytes_stored": bytes_in(added),
            "files_processed": bytes_in(given.get("Files")),
            "files_failed": len(failed) or None,
        },
        labels={"path": path},
        key=[said.job, host, path, start, said.mark] if start else None,
    )


def _other(subject: str, text: str, host: str | None, said: Said) -> WireEvent:
    """Read what is about no snapshot: an operation that failed, a trial. A subject's "Successfully" alone proves nothing."""
    head = text.partition("\n\n")[0].split("\n")[:20]
    given = {found[1]: found[2].strip() for line in head if (found := _FIELD.match(line))}
    operation = given.get("Operation")
    is_trial = "test notification" in subject.lower()
    if not (operation or is_trial or subject.startswith("Failed") or "encountered an error" in subject):
        raise NotUnderstood(f"no snapshot's status, and the subject {subject[:200]!r}")
    reason = text.partition("\n\n")[2].partition("\n\n")[0].strip() if operation else ""
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
        key=[said.job, said.mark] if given.get("Started") else None,
    )


def _end(start: str, duration: float | None) -> datetime | None:
    try:
        began = parsedate_to_datetime(start)
        return (began + timedelta(seconds=duration or 0)).astimezone(UTC) if began.tzinfo is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
