"""Choose who reads a tool's output. A script's output is shown to each reader in turn: it may contain that of restic, for example."""

from __future__ import annotations

import re

from programs.protocol.log_errors import find_log_errors
from programs.reporter.capture import CapturedOutput
from programs.reporter.readings import borg, rclone, restic, rsync
from programs.reporter.readings.reading import OutputReading, short
from programs.reporter.tools import BackupTool

_READERS = {"restic": restic.read, "borg": borg.read, "rsync": rsync.read, "rclone": rclone.read}
_EXACT = frozenset(
    {"robocopy"}
)  # its exit code tells of files that failed; in its output, a file that a retry saved is an error too
_PROGRESS = re.compile(r'^\{"message_type":"(?:status|verbose_status)".{0,20000}\n', re.MULTILINE)


def read(tool: BackupTool, output: CapturedOutput) -> OutputReading:
    """Read an output. If no reader recognises it, the reason is its last line, which usually says what went wrong."""
    readers = [_READERS[tool.name]] if tool.name in _READERS else list(_READERS.values()) if not tool.name else []
    readings = [reader(output.out, output.err) for reader in readers]
    best = next(
        (found for found in readings if found.metrics or found.errors),
        next((found for found in readings if found.reason), OutputReading()),
    )
    if not best.errors and tool.name not in _EXACT and (found := find_log_errors(output.log)) is not None:
        best = best._replace(errors=found.count, reason=best.reason or short(found.line))
    return best if best.reason else best._replace(reason=_last_line(output.err) or _last_line(output.out))


def log_of(output: CapturedOutput) -> str:
    """Return the log without the lines in which restic reports its progress to a program, sixty times a second."""
    return _PROGRESS.sub("", output.log)


def _last_line(text: str) -> str:
    return short(next((line for line in reversed(text.splitlines()) if line.strip()), ""))
