"""The subjects of tools that can only mail, and what stands in their texts. A subject we do not know is left to mail rules.

Sources: the tools' own documentation of their mails; FORMATS.md's list of subjects.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.intake.dialects import duplicati
from app.intake.dialects.make_event import number, told
from app.intake.dialects.proxmox_words import Bulletin, events_of, is_proxmox
from app.intake.dialects.words import outcome_in
from app.intake.parse import WireEvent


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail, opened. `key` names it for ever, if it has a Message-ID. `html` is what `text` was made of, if it was."""

    subject: str
    text: str
    sender: str
    at: datetime | None
    job: str | None
    key: str | None
    html: str = ""


_OUTCOMES = {
    "success": "success",
    "successful": "success",
    "ok": "success",
    "warning": "warning",
    "error": "failure",
    "failed": "failure",
    "fatal": "failure",
    "canceled": "cancelled",
    "cancelled": "cancelled",
}


def by_subject(letter: Letter) -> Sequence[WireEvent] | None:
    """Give the events, or None if no tool that we know has such a subject and no word in it tells. Raises NotUnderstood."""
    if is_proxmox(letter.subject):
        return events_of(Bulletin(letter.subject, letter.text, at=letter.at, key=letter.key, job=letter.job))
    for pattern, reader in _TOOLS:
        found = pattern.match(letter.subject)
        if found is not None:
            return reader(letter, found)
    outcome = outcome_in(letter.subject)
    return None if outcome is None else [_told("mail", letter, letter.job or letter.sender or "mail", outcome)]


def _told(
    tool: str,
    letter: Letter,
    job: str,
    outcome: str,
    *,
    activity: str = "backup",
    host: str | None = None,
    run: str | None = None,
    message: str | None = None,
    metrics: Mapping[str, object] | None = None,
) -> WireEvent:
    return told(
        tool,
        agent=host,
        job=job,
        run=run,
        activity=activity,
        phase="finished",
        outcome=outcome,
        at=letter.at,
        message=message or letter.subject,
        log=letter.text or None,
        metrics=metrics,
        key=letter.key,
    )


def _veeam(letter: Letter, found: re.Match[str]) -> Sequence[WireEvent]:
    reason = _line(letter.text, re.compile(r"(?:Error|Warning): [^\n]{1,500}"))
    return [_told("veeam", letter, found["job"], _OUTCOMES[found["outcome"].lower()], message=reason)]


def _bacula(letter: Letter, found: re.Match[str]) -> Sequence[WireEvent]:
    fields = dict(re.findall(r"^ {1,6}([A-Za-z][A-Za-z /]{1,40}): {1,40}([^\n]{1,300})", letter.text, re.MULTILINE))
    said = found["outcome"].lower()
    outcome = (
        "warning"
        if "warning" in said
        else "success"
        if said.startswith("ok")
        else "cancelled"
        if said.startswith("cancel")
        else "failure"
    )
    name = re.match(r"(.{1,200}?)\.\d{4}-\d\d-\d\d_", fields.get("Job", ""))
    event = _told(
        found["tool"].lower(),
        letter,
        name[1] if name else found["client"],
        outcome,
        activity={"restore": "restore", "verify": "verify"}.get(found["what"].lower(), "backup"),
        host=found["client"],
        run=fields.get("JobId"),
        metrics={
            "files_processed": _digits(fields.get("FD Files Written")),
            "bytes_processed": _digits(fields.get("FD Bytes Written")),
            "bytes_stored": _digits(fields.get("SD Bytes Written")),
        },
        message=fields.get("Termination"),
    )
    return [event]


def _duplicati(letter: Letter, _found: re.Match[str]) -> Sequence[WireEvent]:
    way = duplicati.Way(job=letter.job, at=letter.at, key=letter.key)
    return [duplicati.of_report(letter.text, way, letter.subject)]


def _synology(letter: Letter, found: re.Match[str]) -> Sequence[WireEvent]:
    outcome = outcome_in(found["rest"]) or "warning"
    return [_told("synology", letter, found["job"], outcome)]


_TOOLS: Sequence[tuple[re.Pattern[str], Callable[[Letter, re.Match[str]], Sequence[WireEvent]]]] = [
    (
        re.compile(
            r"(?:\w{2,3}: )?\[(?P<outcome>Success|Warning|Failed)\] (?P<job>.{1,300}?)(?: \(\d{1,9} objects?\).*)?$"
        ),
        _veeam,
    ),
    (
        re.compile(
            r"(?P<tool>Bacula|Bareos): (?P<what>\w{1,20}) "
            r"(?P<outcome>OK(?: -- with warnings)?|Error|Fatal Error|Canceled|Cancelled|[A-Za-z -]{1,40}?) "
            r"of (?P<client>\S{1,200})"
        ),
        _bacula,
    ),
    (re.compile(r"Duplicati \w{1,30} report for (?P<job>.{1,300})$"), _duplicati),
    (
        re.compile(
            r".{0,200}?[Bb]ackup task \[?(?P<job>[^\]]{1,200}?)\]? (?P<rest>on .{1,300}|has .{1,300}|was .{1,300}|failed.{0,200})$"
        ),
        _synology,
    ),
]


def _line(text: str, pattern: re.Pattern[str]) -> str | None:
    found = pattern.search(text)
    return None if found is None else found[found.lastindex or 0]


def _digits(text: str | None) -> float | None:
    found = None if text is None else re.match(r"[\d,]{1,30}", text)
    return None if found is None else number(found[0].replace(",", ""))
