"""What the logs of backup tools confess though the tool itself says success: files that were not read, errors on the way.

Only lines that a tool writes for that are known here; a word alone proves nothing. It must not look at more than it needs to.
"""

import re
from dataclasses import dataclass

_TEXT_MOST = 4 * 1024 * 1024
_SHOWN_MOST = 300
# Each alternative begins at a line's beginning or at a fixed text, and repeats nothing without a bound.
_LINES = re.compile(
    r"^(?:"
    r"E (?:/|[A-Za-z]:|\.{1,2}/).{0,4000}"  # borg's list: could not be read
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
class Confession:
    """How many lines confess, and the first that names a reason."""

    count: int
    line: str


def confessed(log: str) -> Confession | None:
    """Give what a log confesses, if anything."""
    found = [line[0].strip() for line in _LINES.finditer(log, 0, _TEXT_MOST)]
    if not found:
        return None
    named = next((line for line in found if not line.startswith("E ")), found[0])
    return Confession(len(found), named[:_SHOWN_MOST])
