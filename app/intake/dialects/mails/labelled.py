"""Read the mails of tools that list labels and values, such as `Plan name: Nightly` and `Status: Failed`, under any subject.

A tool is known by its name in subject or sender, or by a line that only it writes. The labels of QNAP's notification center (`NAS Name:`,
`Message:`) and of Asigra (`Backup Set:`, `Completion:`) are those that parsers of such mails look for. Those of Acronis, MSP360, Arcserve,
Synology (`Backup Task:`), Nakivo and Backup Exec were written without a real mail and have to be compared with one. If a label is missing,
the words decide.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.intake.dialects.mails.received import ReceivedMail

_SEARCHED, _LINES = 64 * 1024, 400
_SEPARATOR = re.compile(r"\s?[:=]\s?| {2}|\t")
_LABEL = re.compile(r"[^\W\d_][\w .'()/-]{0,40}")
_LONGEST_LINE, _LONGEST_VALUE = 400, 300
_QNAP_JOB = re.compile(r"\bjobs?\b[^\"“:\n]{0,40}:? ?[\"“]([^\"”\n]{1,200})[\"”]", re.IGNORECASE)


_QNAP_FINISHED = re.compile(r"\[Hybrid Backup Sync\] Finished [^\"\n]{1,40}:? ?\"[^\"\n]{1,200}\"\.?\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LabelledTool:
    """A tool, how its mails are known, and its labels in lower case, the best one first."""

    name: str
    known_by: re.Pattern[str]
    job: tuple[str, ...]
    host: tuple[str, ...]
    status: tuple[str, ...]
    text_mark: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class LabelledReport:
    """What a tool's labels say. `outcome` is None where no label tells it in one of the tool's own words."""

    tool: str
    job: str | None
    host: str | None
    outcome: str | None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.MULTILINE)


TOOLS = (
    LabelledTool(
        "acronis", _pattern(r"\bacronis\b"),
        ("plan name", "protection plan", "backup plan", "plan", "task name", "task", "backup name"),
        ("machine name", "machine", "device name", "device", "workload", "computer", "computer name"),
        ("status", "result", "backup status"),
    ),
    LabelledTool(
        "msp360", _pattern(r"\b(?:msp360|cloudberry)\b"),
        ("plan name", "backup plan", "backup plan name", "plan"), ("computer name", "computer"),
        ("plan status", "status", "result"),
    ),
    LabelledTool(
        "asigra", _pattern(r"\b(?:asigra|ds-client)\b"),
        ("backup set", "backup set name", "set name"), ("ds-client", "computer", "node"), ("completion", "status", "backup status"),
        _pattern(r"^\s{0,20}Backup Set:\s{1,40}\S[^\n]{0,300}\n(?:[^\n]{0,300}\n){0,20}?\s{0,20}Completion:"),
    ),
    LabelledTool(
        "arcserve", _pattern(r"\barcserve\b"),
        ("plan name", "plan", "job name", "job"), ("node name", "agent node", "protected node", "node", "server name"),
        ("job status", "status", "backup status"),
    ),
    LabelledTool(
        "qnap", _pattern(r"hybrid backup sync|\bhbs ?3?\b|\bqnap\b"),
        ("job name", "job"), ("nas name", "nas-name", "nome nas", "nom du nas", "nombre de nas", "nas naam"), ("job status",),
        _pattern(r"^\s{0,20}(?:App Name|Nome App|Anwendungsname|Application)\s?:\s?Hybrid Backup Sync"),
    ),
    LabelledTool(
        "synology", _pattern(r"\b(?:synology|hyper backup|active backup|diskstation)\b"),
        ("backup task", "backup task name", "task name", "task", "sicherungsaufgabe", "aufgabe", "tâche de sauvegarde"),
        (), ("status", "result"),
        _pattern(r"^\s{0,20}Backup Task:\s{1,20}\S[^\n]{0,300}\n\s{0,20}Backup (?:Target|Destination):"),
    ),
    LabelledTool(
        "nakivo", _pattern(r"\bnakivo\b"), ("job name", "job"), ("source vm", "vm name"), ("job status", "status", "result"),
    ),
    LabelledTool(
        "backup-exec", _pattern(r"\bbackup exec\b"), ("job name",), ("server name", "job server"), ("job completion status", "completed status"),
    ),
)  # fmt: skip

# The values of status labels, whole: part of a sentence proves nothing.
_STATUSES = {
    "success": "success|successful|succeeded|completed|completed successfully|finished|finished successfully|ok|done",
    "warning": "warning|warnings|completed with warnings|completed with errors|completed with exceptions|partially completed|partial"
    "|succeeded with warnings|success with warnings|finished with warnings|finished with errors|incomplete|successful with warnings",
    "failure": "failed|failure|error|errors|fail|did not start|not started|unsuccessful|crashed|missed|not completed|timed out|overdue"
    "|interrupted|terminated|fatal error",
    "cancelled": "cancelled|canceled|aborted|stopped|stopped by user|cancelled by user|canceled by user",
}
_OUTCOMES = {word: outcome for outcome, words in _STATUSES.items() for word in words.split("|")}


def read_labels(mail: ReceivedMail) -> LabelledReport | None:
    """Return what the labels of a mail say; None if its tool is not known here, or it names neither job nor host."""
    tool = next((tool for tool in TOOLS if _is_from(tool, mail)), None)
    if tool is None:
        return None
    labels = find_labels(mail.text)
    labels |= {
        name: value
        for name in (*tool.job, *tool.host, *tool.status)
        if name not in labels and (value := _value_after(name, mail.text)) is not None
    }
    job, host = _first(labels, tool.job), _first(labels, tool.host)
    if tool.name == "qnap" and job is None:
        found = _QNAP_JOB.search(mail.text[:_SEARCHED])
        job = found[1] if found else None
    if tool.name == "asigra" and job is not None and "\\" in job:
        host, _, job = job.strip("\\").rpartition("\\")  # `\\host\set`
    if job is None:
        return None
    outcome = outcome_of_status(_first(labels, tool.status))
    if outcome is None and tool.name == "qnap":
        outcome = _read_qnap_message(labels, mail)
    return LabelledReport(tool.name, job, host or None, outcome)


def _read_qnap_message(labels: Mapping[str, str], mail: ReceivedMail) -> str | None:
    """Return the outcome of a message of Hybrid Backup Sync, whose severity stands in the subject: `[Info][Hybrid Backup Sync] ...`."""
    if mail.plain_subject.lower().startswith("[error]") or labels.get("severity", "").lower() == "error":
        return "failure"
    is_info = mail.plain_subject.lower().startswith("[info") or labels.get("severity", "").lower().startswith("info")
    return "success" if is_info and _QNAP_FINISHED.search(mail.text[:_SEARCHED]) else None


def outcome_of_status(status: str | None) -> str | None:
    """Return the outcome that the value of a status label means; None if the whole value is not known."""
    return None if status is None else _OUTCOMES.get(status.strip(" .!").lower())


def find_labels(text: str) -> dict[str, str]:
    """Return the values of the labels in a text by their lower-case names, the first of each; a value may stand on the next line."""
    labels: dict[str, str] = {}
    before = ""  # a label whose value is not on its line
    for line in _lines(text):
        label, value = _split(line)
        if before and (not label or not value):
            labels.setdefault(before, line[:_LONGEST_VALUE])
            before = ""
        elif label and value:
            labels.setdefault(label, value)
            before = ""
        else:
            before = label
    return labels


def _lines(text: str) -> list[str]:
    lines = (line.strip(" \t*•|>-")[:_LONGEST_LINE] for line in text[:_SEARCHED].splitlines()[:_LINES])
    return [line for line in lines if line]


def _split(line: str) -> tuple[str, str]:
    """Return the label and the value of a line. The value is empty if the line is only a label; both are empty if there is no label."""
    found = _SEPARATOR.search(line)
    label = line[: found.start()] if found else line
    if _LABEL.fullmatch(label) is None:
        return "", ""
    return label.strip().lower(), line[found.end() :].strip(" \t:=")[:_LONGEST_VALUE] if found else ""


def _value_after(label: str, text: str) -> str | None:
    """Return what follows a label without a separator: the cells of a table in HTML stand next to each other on one line."""
    if " " not in label:
        return None  # `Job failed` is not a label with a value
    lines = (line for line in _lines(text) if line[: len(label) + 1].lower() == f"{label} ")
    return next((value for line in lines if (value := line[len(label) :].strip())), None)


def _is_from(tool: LabelledTool, mail: ReceivedMail) -> bool:
    if tool.known_by.search(mail.subject) or tool.known_by.search(mail.sender):
        return True
    return tool.text_mark is not None and tool.text_mark.search(mail.text[:_SEARCHED]) is not None


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((labels[name] for name in names if labels.get(name)), None)
