"""rsync: what `--stats` prints, with separators of any language or shortened (`-h`), and the lines with its errors."""

from __future__ import annotations

import re

from programs.reporter.readings.reading import OutputReading, amount, short

_LINES = {
    "files_processed": re.compile(r"^Number of files: .{0,60}?reg: ([\d.,']{1,40})", re.MULTILINE),
    "files_new": re.compile(r"^Number of created files: .{0,60}?reg: ([\d.,']{1,40})", re.MULTILINE),
    "files_deleted": re.compile(r"^Number of deleted files: ([\d.,']{1,40})", re.MULTILINE),
    "files_transferred": re.compile(r"^Number of (?:regular )?files transferred: ([\d.,']{1,40})", re.MULTILINE),
    "bytes_processed": re.compile(r"^Total file size: ([\d.,'KMGTP]{1,40}) ?bytes", re.MULTILINE),
    "bytes_stored": re.compile(r"^Total transferred file size: ([\d.,'KMGTP]{1,40}) ?bytes", re.MULTILINE),
    "bytes_sent": re.compile(r"^Total bytes sent: ([\d.,'KMGTP]{1,40})", re.MULTILINE),
}
_ERROR = re.compile(r"^(?:rsync: .{1,2000}|file has vanished: .{1,2000})$", re.MULTILINE)
_END = re.compile(r"^rsync (?:error|warning): .{1,2000}$", re.MULTILINE)


def read(out: str, err: str) -> OutputReading:
    """Read the ends of both streams."""
    metrics: dict[str, float] = {}
    for name, line in _LINES.items():
        if (found := line.search(out)) and (value := amount(found[1])) is not None:
            metrics[name] = int(value)
    errors, end = _ERROR.findall(err), _END.search(err)
    reason = errors[0] if errors else end[0] if end else ""
    return OutputReading(metrics, len(errors), short(reason))
