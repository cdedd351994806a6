"""Find errors in the log of a tool that may report success all the same. Only lines that a known tool writes count."""

import re
from dataclasses import dataclass

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
