"""What Proxmox VE and Proxmox Backup Server tell in a title and a text, by whichever way it came; the table of guests is read by proxmox_table.py.

Sources: the notification templates of pve-manager and proxmox-backup.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.intake.dialects.amounts import bytes_in, seconds_in
from app.intake.dialects.make_event import told
from app.intake.dialects.proxmox_table import Guest, guests_in
from app.intake.parse import WireEvent

TOOL = "proxmox"
_GUESTS_MOST, _NAMED_MOST, _LOG_MOST = 900, 5, 64_000
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
# What is about no task, by its title, where the way names no kind.
_KINDS = (
    ("package-updates", re.compile(r"New software packages available\b")),
    ("test", re.compile(r"Test notification$")),
    ("acme", re.compile(r"Could not renew certificate$")),
    ("tape-load", re.compile(r"Load Media '")),
    ("fencing", re.compile(r"FENCE: |(?:SUCCEED|FAIL): fencing\b|Node fence status\b")),
)
_JOB_ID = re.compile(r"^Job ID: {1,20}(\S{1,100})$", re.MULTILINE)
_REASON = re.compile(r"^(?:[\w ]{1,40} failed|Error): ?([^\n]{1,1000})$|^Error:\n([^\n]{1,1000})$", re.MULTILINE)
_ON_THESE = re.compile(r"^([\w ]{1,40} failed on these [^\n]{1,40}:)\n+((?: *\S[^\n]{0,4000}\n){1,20})", re.MULTILINE)
_LINK = re.compile(r"^<https://([\w.-]{1,253}):\d{1,5}/", re.MULTILINE)
_AMOUNTS = (
    ("bytes_freed", re.compile(r"^Removed garbage: {1,40}([^\n]{1,40})$", re.MULTILINE)),
    ("bytes_on_disk", re.compile(r"^On-Disk usage: {1,40}([^\n(]{1,40})", re.MULTILINE)),
)
_TOTAL_TIME = re.compile(r"^Total running time: ([^\n]{1,40})$", re.MULTILINE)
_TOTAL_SIZE = re.compile(r"^Total size: ([^\n]{1,40})$", re.MULTILINE)
_SEVERITIES = {"error": "error", "warning": "warning", "unknown": "warning"}
_OUTCOMES = {"tape-load": "warning", "fencing": "failure"}  # somebody must do something


@dataclass(frozen=True, slots=True)
class Bulletin:
    """What Proxmox calls a notification. `kind`, `host` and `job_id` are the webhook's fields; empty where the way has none."""

    title: str
    text: str
    severity: str = ""
    kind: str = ""
    host: str = ""
    job_id: str = ""
    at: datetime | None = None
    marks: Mapping[str, str] = field(default_factory=dict)  # the datastore and the like, as labels
    key: object = None
    job: str | None = None  # the one that the sender's key stands for


def is_proxmox(title: str) -> bool:
    """Say whether a title is Proxmox's."""
    return (
        _VZDUMP.match(title) is not None
        or (_TASK.match(title) is not None and ("'" in title or "datastore" in title.lower()))
        or _kind_of(title) != ""
    )


def _kind_of(title: str) -> str:
    return next((kind for kind, pattern in _KINDS if pattern.match(title)), "")


def events_of(one: Bulletin) -> Sequence[WireEvent]:
    """Give the events of one notification."""
    one = replace(one, text=one.text.replace("\r\n", "\n"))
    backup = _VZDUMP.match(one.title)
    if backup is not None:
        return _vzdump(one, backup)
    found = _TASK.match(one.title)
    return [_task(one, found) if found is not None or one.kind in _ACTIVITIES else _other(one)]


def _vzdump(one: Bulletin, title: re.Match[str]) -> Sequence[WireEvent]:
    """Give an event for each guest, the failed ones first, and one for the whole."""
    host, is_good, why = one.host or title[1], title[2].startswith("success"), (title[3] or "").strip()
    guests = guests_in(one.text)
    bad = [guest for guest in guests if guest.outcome != "success"]
    # One guest's failure is told by that guest; the job itself failed where it says why, or where nothing was saved.
    is_partial = (bad or not is_good) and not why and 0 < len(bad) < len(guests)
    outcome = "warning" if is_partial else "success" if is_good and not bad else "failure"
    names = ", ".join(f"{guest.name} ({guest.vmid})" for guest in bad[:_NAMED_MOST])
    told_bad = f"{len(bad)} of {len(guests)} guests failed: {names}{', ...' if len(bad) > _NAMED_MOST else ''}"
    # Each node of a cluster tells of its part of the job: another's success must not hide this one's failure.
    name = one.job or f"vzdump {one.job_id}".strip() + f" on {host.partition('.')[0]}"
    if why == "multiple problems":
        why = "; ".join(one.text.partition("Details\n")[0].split("\n")).strip("; ") or why
    message = why or (told_bad if bad else one.title)
    duration, size = _TOTAL_TIME.search(one.text), _TOTAL_SIZE.search(one.text)
    whole = _event(
        one,
        name,
        "backup",
        outcome,
        host=host,
        message=None if outcome == "success" else message,
        log=one.text,
        metrics={
            "duration_s": seconds_in(duration[1]) if duration else None,
            "bytes_stored": bytes_in(size[1]) if size and not guests else None,  # else each guest has its own
            "guests": len(guests) or None,
            "guests_failed": len(bad) or None,
        },
    )
    shown = [*bad, *(guest for guest in guests if guest.outcome == "success")][:_GUESTS_MOST]
    logs = _logs_of(one.text)
    return [*(_guest(one, host, guest, logs.get(guest.vmid, "")) for guest in shown), whole]


def _logs_of(text: str) -> Mapping[str, str]:
    """Give the lines of each guest, which begin with its number."""
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        vmid, mark, _ = line[:12].partition(": ")
        if mark and vmid.isdecimal():
            found.setdefault(vmid, []).append(line)
    return {vmid: "\n".join(lines) for vmid, lines in found.items()}


def _guest(one: Bulletin, host: str, guest: Guest, log: str) -> WireEvent:
    reason = re.findall(r" ERROR: ([^\n]{1,1000})", log)
    return _event(
        one,
        f"{one.job} {guest.name} ({guest.vmid})" if one.job else f"{guest.name} ({guest.vmid})",
        "backup",
        guest.outcome,
        host=host,
        message=None
        if guest.outcome == "success"
        else reason[-1]
        if reason
        else guest.reason or f"guest {guest.vmid} was not saved: status {guest.status}",
        log=log[-_LOG_MOST:],
        metrics={"duration_s": guest.duration_s, "bytes_stored": guest.size},
        labels={"vmid": guest.vmid},
    )


def _task(one: Bulletin, title: re.Match[str] | None) -> WireEvent:
    bad = title[3].lower() != "successful" if title else one.severity == "error"
    kind = one.kind or (title[1].split()[0].lower() if title else "")
    reason, these = _REASON.search(one.text), _ON_THESE.search(one.text + "\n")
    why = reason[1] or reason[2] if reason else f"{these[1]} {', '.join(these[2].split())}" if these else one.title
    amounts = {name: bytes_in(found[1]) for name, pattern in _AMOUNTS if (found := pattern.search(one.text))}
    name = one.title[: title.start(3)].strip() if title else one.title
    found = _JOB_ID.search(one.text)
    job_id = one.job_id or (found[1] if found else "")
    if job_id not in name:  # a datastore may have several jobs of a kind
        name = f"{name} ({job_id})"
    return _event(
        one,
        one.job or name,
        _ACTIVITIES.get(kind, "other"),
        "failure" if bad else "success",
        message=why if bad else None,
        log=one.text,
        metrics=amounts,
    )


def _other(one: Bulletin) -> WireEvent:
    """Read what is about no backup: a plain message, loud as Proxmox says; a fenced host and a tape to change must be acted on."""
    kind = one.kind or _kind_of(one.title)
    outcome = None if one.title.startswith("SUCCEED") else _OUTCOMES.get(kind)
    return _event(one, one.job or kind or TOOL, "other", outcome, message=one.title or None, log=one.text)


def _event(
    one: Bulletin,
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
    # A Backup Server's message and mail name it nowhere else.
    link = None if host or one.host else _LINK.search(one.text)
    return told(
        TOOL,
        agent=host or one.host or (link[1] if link else None),
        job=job,
        activity=activity,
        phase="finished" if outcome else None,
        outcome=outcome,
        severity=None if outcome else _SEVERITIES.get(one.severity),
        at=one.at,
        message=message,
        log=log.strip() or None,
        metrics=metrics,
        labels={**one.marks, "job_id": one.job_id, **(labels or {})},
        key=[one.key, job] if one.key else None,
    )
