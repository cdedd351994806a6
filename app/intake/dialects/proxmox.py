"""Proxmox VE and Proxmox Backup Server: a title and a text, sent by webhook, Gotify, ntfy or mail.

Sources: the notification templates of pve-manager and proxmox-backup. The webhook's body is the one that docs/tools/proxmox.md asks
the administrator to paste. The table of guests is read as it is since Proxmox VE 8.1, and as it was in the mails before.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Any

from app.intake.dialects.body_fields import as_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_bytes, parse_number, parse_seconds
from app.intake.language.reader import Meaning, read_words
from app.intake.parse import WireEvent

TOOL = "proxmox"
_MAX_GUEST_EVENTS, _MAX_NAMED_GUESTS, _MAX_GUEST_LOG = 900, 5, 64_000
_JSON_TITLE = re.compile(r'"title"\s{0,20}:\s{0,20}"([^"\n]{1,1000})')
_EARLIEST, _LATEST = 1e9, 4e9
_VZDUMP = re.compile(
    r"vzdump backup status \((.{1,253}?)\) ?: ?backup (success\w*|fail\w*)(?:: (.{1,2000}))?", re.DOTALL
)
_TASK = re.compile(
    r"(Garbage Collect|Garbage Collection|Prun(?:e|ing)|Verif(?:y|ication)|Sync|Tape Backup|Replication Job)\b"
    r"(.{1,300}?) (successful|failed|error)\b", re.IGNORECASE
)  # fmt: skip
_ACTIVITIES = {
    "gc": "prune", "garbage": "prune", "prune": "prune", "pruning": "prune", "verification": "verify", "verify": "verify",
    "sync": "replicate", "replication": "replicate", "tape-backup": "backup", "tape": "backup",
}  # fmt: skip
# Notifications that are not about a task, by their titles, for requests that do not state the kind.
_KINDS = (
    ("package-updates", re.compile(r"New software packages available\b")),
    ("test", re.compile(r"Test notification$")),
    ("acme", re.compile(r"Could not renew certificate$")),
    ("tape-load", re.compile(r"Load Media '")),
    ("fencing", re.compile(r"FENCE: |(?:SUCCEED|FAIL): fencing\b|Node fence status\b")),
)
_JOB_ID = re.compile(r"^Job ID: {1,20}(\S{1,100})$", re.MULTILINE)
_REASON = re.compile(r"^(?:[\w ]{1,40} failed|Error): ?([^\n]{1,1000})$|^Error:\n([^\n]{1,1000})$", re.MULTILINE)
_FAILED_ITEMS = re.compile(
    r"^([\w ]{1,40} failed on these [^\n]{1,40}:)\n+((?: *\S[^\n]{0,4000}\n){1,20})", re.MULTILINE
)
_LINK = re.compile(r"^<https://([\w.-]{1,253}):\d{1,5}/", re.MULTILINE)
_AMOUNTS = (
    ("bytes_freed", re.compile(r"^Removed garbage: {1,40}([^\n]{1,40})$", re.MULTILINE)),
    ("bytes_on_disk", re.compile(r"^On-Disk usage: {1,40}([^\n(]{1,40})", re.MULTILINE)),
)
_TOTAL_TIME = re.compile(r"^Total running time: ([^\n]{1,40})$", re.MULTILINE)
_TOTAL_SIZE = re.compile(r"^Total size: ([^\n]{1,40})$", re.MULTILINE)
_TASK_OUTCOMES = {"info": "success", "notice": "success", "warning": "warning", "error": "failure"}
_SEVERITIES = {"error": "error", "warning": "warning", "unknown": "warning"}
_OUTCOMES = {"tape-load": "warning", "fencing": "failure"}  # these need somebody to act
_TABLE_HEADER = re.compile(
    r"^ {0,8}VMID +NAME +STATUS +TIME +SIZE +FILENAME\b[^\n]{0,300}$", re.MULTILINE | re.IGNORECASE
)
_MAX_ROWS, _MAX_ROW_LENGTH, _MAX_VMID_LENGTH = 5000, 2000, 10
_COLUMNS = re.compile(r"(?: {2,}|\t+)")
_GUEST_STATUSES = frozenset({"ok", "err", "error", "failed", "todo", "aborted"})
# Before 8.1: one space may separate number and name, and a failure has its reason instead of size and file.
_OLD_ROW = re.compile(r"(\d{1,10}) +(\S{1,200}) +(OK|FAILED) +(\d\d:\d\d:\d\d) +(\S.*)$")


@dataclass(frozen=True, slots=True)
class ProxmoxReport:
    """One of Proxmox's notifications. `kind`, `host` and `job_id` are the webhook's fields; empty where the request has none."""

    title: str
    text: str
    severity: str = ""
    kind: str = ""
    host: str = ""
    job_id: str = ""
    at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # the webhook's other fields, such as the datastore
    key: object = None
    job: str | None = None  # the job that the sender's key belongs to


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events of one webhook request. Raises NotUnderstood for a body without a title."""
    body: Mapping[str, Any] = read_json_body(request) or _parse_broken_json(request.text)
    title = as_text(body.get("title"))
    if not title:
        raise NotUnderstood("no title; paste the body that docs/tools/proxmox.md shows")
    sent = body.get("fields")
    fields = (
        {name: as_text(value) or "" for name, value in sent.items() if name != "tool"} if isinstance(sent, dict) else {}
    )
    stamp = parse_number(body.get("timestamp"))
    at = datetime.fromtimestamp(stamp, UTC) if stamp is not None and _EARLIEST < stamp < _LATEST else None
    host = fields.pop("hostname", "")
    return read_report(
        ProxmoxReport(
            title=title,
            text=as_text(body.get("message")) or "",
            severity=as_text(body.get("severity")) or "",
            kind=fields.pop("type", ""),
            host=request.query_value("agent") or host,
            job_id=fields.pop("job-id", ""),
            at=at,
            labels=fields,
            key=[request.job, request.content_hash] if at else None,
            job=request.job or request.query_value("job"),
        )
    )


def _parse_broken_json(text: str) -> Mapping[str, Any]:
    """Find the title in broken JSON: the template may lack an `escape` or a bracket. The whole body is the text."""
    found = _JSON_TITLE.search(text[:100_000])
    return {"title": found[1], "message": text.replace("\\n", "\n")} if found else {}


def is_proxmox_title(title: str) -> bool:
    """Return whether a title is one of Proxmox's."""
    return (
        _VZDUMP.match(title) is not None
        or (_TASK.match(title) is not None and ("'" in title or "datastore" in title.lower()))
        or _find_kind(title) != ""
    )


def _find_kind(title: str) -> str:
    return next((kind for kind, pattern in _KINDS if pattern.match(title)), "")


def read_report(report: ProxmoxReport) -> Sequence[WireEvent]:
    """Return the events of one report."""
    report = replace(report, text=report.text.replace("\r\n", "\n"))
    backup = _VZDUMP.match(report.title)
    guests = parse_guests(report.text)
    if backup is not None:
        is_success, reason = backup[2].startswith("success"), (backup[3] or "").strip()
        return _read_backup(report, guests, report.host or backup[1], is_success=is_success, reason=reason)
    task = _TASK.match(report.title)
    if task is None and guests:  # under a title of somebody's own; a title that reports trouble has a reason
        trouble = read_words(report.title).meaning in (Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED)
        return _read_backup(report, guests, report.host, is_success=not trouble, reason="")
    is_task = task is not None or report.kind in _ACTIVITIES
    return [_read_task(report, task) if is_task else _read_other(report)]


def _read_backup(
    report: ProxmoxReport, guests: Sequence["Guest"], host: str, *, is_success: bool, reason: str
) -> Sequence[WireEvent]:
    """Return an event for each guest, the failed ones first, and one for the whole job."""
    failed = [guest for guest in guests if guest.outcome != "success"]
    # A guest's failure is reported by its own event. The job itself failed if it states a reason, or if nothing was saved.
    is_partial = (failed or not is_success) and not reason and 0 < len(failed) < len(guests)
    outcome = "warning" if is_partial else "success" if is_success and not failed else "failure"
    # Each node of a cluster reports its own part of the job: one node's success must not hide another's failure.
    place = f" on {host.partition('.')[0]}" if host else ""
    job = report.job or f"vzdump {report.job_id}".strip() + place
    if reason == "multiple problems":
        reason = "; ".join(report.text.partition("Details\n")[0].split("\n")).strip("; ") or reason
    if failed and not reason:
        names = ", ".join(f"{guest.name} ({guest.vmid})" for guest in failed[:_MAX_NAMED_GUESTS])
        more = ", ..." if len(failed) > _MAX_NAMED_GUESTS else ""
        reason = f"{len(failed)} of {len(guests)} guests failed: {names}{more}"
    duration, size = _TOTAL_TIME.search(report.text), _TOTAL_SIZE.search(report.text)
    whole = _make_event(
        report,
        job,
        "backup",
        outcome,
        host=host,
        message=None if outcome == "success" else reason or report.title,
        log=report.text,
        metrics={
            "duration_s": parse_seconds(duration[1]) if duration else None,
            "bytes_stored": parse_bytes(size[1]) if size and not guests else None,  # otherwise each guest has its own
            "guests": len(guests) or None,
            "guests_failed": len(failed) or None,
        },
    )
    reported = [*failed, *(guest for guest in guests if guest.outcome == "success")][:_MAX_GUEST_EVENTS]
    # The lines of each guest begin with its number.
    found: dict[str, list[str]] = {}
    for line in report.text.split("\n"):
        vmid, separator, _ = line[:12].partition(": ")
        if separator and vmid.isdecimal():
            found.setdefault(vmid, []).append(line)
    logs = {vmid: "\n".join(lines) for vmid, lines in found.items()}
    return [*(_make_guest_event(report, host, guest, logs.get(guest.vmid, "")) for guest in reported), whole]


def _make_guest_event(report: ProxmoxReport, host: str, guest: "Guest", log: str) -> WireEvent:
    errors = re.findall(r" ERROR: ([^\n]{1,1000})", log)
    name = f"{guest.name} ({guest.vmid})"
    reason = guest.reason or f"guest {guest.vmid} was not saved: status {guest.status}"
    return _make_event(
        report,
        f"{report.job} {name}" if report.job else name,
        "backup",
        guest.outcome,
        host=host,
        message=None if guest.outcome == "success" else errors[-1] if errors else reason,
        log=log[-_MAX_GUEST_LOG:],
        metrics={"duration_s": guest.duration_s, "bytes_stored": guest.size},
        labels={"vmid": guest.vmid},
    )


def _read_task(report: ProxmoxReport, title: re.Match[str] | None) -> WireEvent:
    text = report.text
    outcome = _TASK_OUTCOMES.get(report.severity, "unclear")
    if title is not None and title[3].lower() != "successful":
        outcome = "failure"
    elif title is not None and outcome == "unclear":
        outcome = "success"
    kind = report.kind or (title[1].split()[0].lower() if title else "")
    reason, items = _REASON.search(text), _FAILED_ITEMS.search(text + "\n")
    if reason:
        message = reason[1] or reason[2]
    else:
        message = f"{items[1]} {', '.join(items[2].split())}" if items else report.title
    name = report.title[: title.start(3)].strip() if title else report.title
    found = _JOB_ID.search(text)
    job_id = report.job_id or (found[1] if found else "")
    if job_id not in name:  # a datastore may have several jobs of one kind
        name = f"{name} ({job_id})"
    return _make_event(
        report,
        report.job or name,
        _ACTIVITIES.get(kind, "other"),
        outcome,
        message=None if outcome == "success" else message,
        log=text,
        metrics={metric: parse_bytes(found[1]) for metric, pattern in _AMOUNTS if (found := pattern.search(text))},
    )


def _read_other(report: ProxmoxReport) -> WireEvent:
    """Read what is not about a backup: a message with Proxmox's severity. A fenced host and a tape to change need somebody to act."""
    kind = report.kind or _find_kind(report.title)
    outcome = None if report.title.startswith("SUCCEED") else _OUTCOMES.get(kind)
    return _make_event(
        report,
        report.job or kind or TOOL,
        "other",
        outcome,
        message=report.title or None,
        log=report.text,
    )


def _make_event(
    report: ProxmoxReport,
    job: str,
    activity: str,
    outcome: str | None,
    *,
    message: str | None,
    log: str,
    host: str = "",
    metrics: Mapping[str, object] | None = None,
    labels: Mapping[str, object] | None = None,
) -> WireEvent:
    # Messages and mails of a Backup Server name the host only in this link.
    link = None if host or report.host else _LINK.search(report.text)
    return make_event(
        TOOL,
        agent=host or report.host or (link[1] if link else None),
        job=job,
        activity=activity,
        phase="finished" if outcome else None,
        outcome=outcome,
        severity=None if outcome else _SEVERITIES.get(report.severity),
        at=report.at,
        message=message,
        log=log.strip() or None,
        metrics=metrics,
        labels={**report.labels, "job_id": report.job_id, **(labels or {})},
        key=[report.key, job] if report.key else None,
    )


@dataclass(frozen=True, slots=True)
class Guest:
    """One row of the table of guests."""

    vmid: str
    name: str
    status: str
    duration_s: float | None
    size: float | None
    reason: str | None = None

    @property
    def outcome(self) -> str:
        """The outcome of its status. A guest with an unknown status, or one still to do, was not saved."""
        return "success" if self.status.lower() == "ok" else "failure"


def parse_guests(text: str) -> Sequence[Guest]:
    """Return the guests in a report, each once; of two rows with the same number, the worse one."""
    header = _TABLE_HEADER.search(text)
    if header is None:
        return []
    lines = text[header.end() + 1 : header.end() + 1 + _MAX_ROWS * 200].split("\n")
    rows = (line[:_MAX_ROW_LENGTH].strip() for line in islice(lines, _MAX_ROWS))
    guests: dict[str, Guest] = {}
    for row in takewhile(lambda row: row[:1].isdecimal(), rows):
        guest = _parse_guest(row)
        if guest is not None and (guest.vmid not in guests or guest.outcome != "success"):
            guests[guest.vmid] = guest
    return list(guests.values())


def _parse_guest(row: str) -> Guest | None:
    """Parse a row. The status is the word before a time, because the names of guests and files can look like anything."""
    old = _OLD_ROW.match(row)
    if old is not None:
        is_ok = old[3] == "OK"
        size = parse_bytes(old[5]) if is_ok else None
        return Guest(old[1], old[2], old[3].lower(), parse_seconds(old[4]), size, None if is_ok else old[5])
    cells = _COLUMNS.split(row)
    if not cells[0].isdecimal() or len(cells[0]) > _MAX_VMID_LENGTH:
        return None
    for index in range(1 if len(cells) == 5 else 2, len(cells) - 1):  # noqa: PLR2004  (a guest without a name)
        duration = parse_seconds(cells[index + 1])
        if cells[index].lower() in _GUEST_STATUSES and duration is not None:
            name = " ".join(cells[1:index]) or f"VM {cells[0]}"
            size = parse_bytes(cells[index + 2]) if cells[index + 2 :] else None
            return Guest(cells[0], name, cells[index], duration, size)
    return Guest(cells[0], cells[1], cells[2], None, None) if cells[2:] else None
