"""Find what a tool's words mean: an outcome or a start in a sentence, and errors in a log. None for text that names none."""

import re
from dataclasses import dataclass

_NEGATION = r"(?:\b(?:0|no|without|zero)\s{1,3}(?:\w{1,20}\s{1,3})?)"
_FAILURE = re.compile(
    rf"{_NEGATION}?\b(?:fail\w*|error\w*|abort\w*|unsuccessful\w*|critical|not (?:complete\w*|done|finish\w*)|could not)",
    re.IGNORECASE,
)
_WARNING = re.compile(rf"{_NEGATION}?\b(?:warn\w*|partial\w*|incomplete|skipped)", re.IGNORECASE)
_SUCCESS = re.compile(r"\b(?:success\w*|succeed\w*|ok|complete[ds]?|finish(?:ed|es)?|done|passed)\b", re.IGNORECASE)
_START = re.compile(r"\b(?:start(?:ed|ing|s)?|beg[aiu]ns?)\b", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:0|no|without|zero)\b", re.IGNORECASE)

_MAX_LOG_LENGTH = 4 * 1024 * 1024
_MAX_SHOWN_LENGTH = 300
# Each alternative starts at the beginning of a line or with a fixed text, and has no unbounded repetition.
_LOG_ERRORS = re.compile(
    r"^(?:"
    r"E (?:/|[A-Za-z]:|\.{1,2}/).{0,4000}"  # borg's list: a file that could not be read
    r"|.{1,4000}: (?:open|read|stat|scandir|readlink|listxattr|flistxattr|dir_open|fstat): \[Errno \d{1,5}\].{0,500}"  # borg
    r"|.{1,4000}: file changed while we backed it up"  # borg
    r"|tar: .{1,4000}: (?:file changed as we read it|Cannot .{1,200})"
    r"|error: .{1,4000}: (?:permission denied|input/output error|no such file or directory)"  # restic
    r"|Warning: at least one source file could not be read"  # restic
    r"|rsync error: .{0,300}\(code \d{1,5}\).{0,300}"
    r"|rsync warning: .{0,300}"
    r"|rsync: \[[a-zA-Z]{1,20}\] .{1,4000} failed: .{0,300}"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d{1,9} ERROR .{0,4000}"  # duplicacy, and Python's logging
    r"|Treating exit code \d{1,5} \(.{0,200}\) as a warning.{0,200}"  # borgmatic
    r"|terminating with warning status, rc \d{1,5}"  # borg
    r")\s*$",
    re.MULTILINE | re.IGNORECASE,
)


def find_outcome(text: str) -> str | None:
    """Return the outcome that a sentence names, the worst one first; `no errors` names none."""
    for pattern, outcome in ((_FAILURE, "failure"), (_WARNING, "warning")):
        if any(not _NEGATED.match(found[0]) for found in pattern.finditer(text)):
            return outcome
    return "success" if _SUCCESS.search(text) else None


def announces_start(text: str) -> bool:
    """Return whether a sentence reports that something starts."""
    return _START.search(text) is not None


@dataclass(frozen=True, slots=True)
class LogErrors:
    """How many lines of a log report an error, and the first one that names a reason."""

    count: int
    line: str


def find_log_errors(log: str) -> LogErrors | None:
    """Return the errors in a log of a tool that may report success all the same: files that were not read, failed steps.

    Only lines that a known tool writes in such a case count; a single word proves nothing. At most 4 Mi characters are searched.
    """
    lines = [line[0].strip() for line in _LOG_ERRORS.finditer(log, 0, _MAX_LOG_LENGTH)]
    if not lines:
        return None
    with_reason = next((line for line in lines if not line.startswith("E ")), lines[0])
    return LogErrors(len(lines), with_reason[:_MAX_SHOWN_LENGTH])
