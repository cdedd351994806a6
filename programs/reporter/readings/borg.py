"""borg: the object that `create --json` prints, the JSON lines of `--log-json`, and its plain log lines.

https://borgbackup.readthedocs.io/en/stable/internals/frontends.html
"""

from __future__ import annotations

import contextlib
import re

from programs.protocol.checked import BadShape, CheckedObject, read_object
from programs.reporter.readings.reading import LINE_MOST, OutputReading, inner, numbers, objects, plain_lines, short

_STATS = {
    "original_size": "bytes_processed",
    "deduplicated_size": "bytes_stored",
    "compressed_size": "bytes_compressed",
    "nfiles": "files_processed",
}
_ERRNO = r"(?:open|read|stat|scandir|readlink|listxattr|flistxattr|dir_open|fstat): \[Errno \d{1,5}\]"
_PLAIN_ERROR = re.compile(rf"^.{{1,2000}}: {_ERRNO}.{{0,500}}$", re.MULTILINE)
_WHY = re.compile(
    r"Failed to |passphrase |Repository .{1,2000} (?:does not exist|is not )|Archive .{1,2000} already exists"
)
_CHANGED = "file changed while we backed it up"


def read(out: str, err: str) -> OutputReading:
    """Read the ends of both streams."""
    # `--json` prints one object over several lines; other output may come before it.
    start = 0 if out.startswith("{") else out.find("\n{\n") + 1
    document = CheckedObject({})
    if start or out.startswith("{"):
        with contextlib.suppress(BadShape):
            document = read_object(out[start:].strip().encode("utf-8", "replace"), LINE_MOST)
    archive = inner(document, "archive")
    metrics = numbers(inner(archive, "stats"), _STATS)
    name = archive.cut("name", 500)
    warnings, worst, failed = [], "", set()
    for entry in objects(err):
        level, message = entry.values.get("levelname"), entry.cut("message", 2000)
        if entry.values.get("type") == "file_status" and entry.values.get("status") == "E":
            failed.add(entry.cut("path", 2000))
        elif level == "WARNING" and entry.values.get("type") == "log_message":
            warnings.append(message)
        elif level in ("ERROR", "CRITICAL"):
            worst = worst or message
    plain_log = plain_lines(err)
    plain = _PLAIN_ERROR.findall(plain_log) or [line for line in plain_log.splitlines() if line.endswith(_CHANGED)]
    unread = len(failed) or sum(bool(re.search(_ERRNO, line)) for line in (*warnings, *plain))
    if unread:
        metrics = {**metrics, "files_failed": unread}
    # In a plain log borg prints its platform and a trace after the line with the reason.
    lines = [line for line in plain_log.splitlines() if line and not line.startswith((" ", "-"))]
    plain_reason = next((line for line in lines if _WHY.match(line)), "")
    reason = worst or next(iter([*warnings, *plain]), "") or plain_reason
    note = f"archive {name} saved" if name else ""
    return OutputReading(metrics, unread, short(reason), note, {"archive": name} if name else {})
