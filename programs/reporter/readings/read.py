"""Chooses who reads a tool's output. A script's is shown to each in turn: one that runs restic has restic's words in its output."""

from __future__ import annotations

import re
from dataclasses import replace

from programs.reporter.capture import CapturedOutput
from programs.reporter.readings import borg, rclone, restic, rsync
from programs.reporter.readings.reading import Reading, short
from programs.reporter.tools import BackupTool

_READERS = {"restic": restic.read, "borg": borg.read, "rsync": rsync.read, "rclone": rclone.read}
_PROGRESS = re.compile(r'^\{"message_type":"(?:status|verbose_status)".{0,20000}\n', re.MULTILINE)


def read(tool: BackupTool, seen: CapturedOutput) -> Reading:
    """Read it. What nobody recognises gives a reading with the last words alone: they say most often what went wrong."""
    readers = [_READERS[tool.name]] if tool.name in _READERS else list(_READERS.values()) if not tool.name else []
    readings = [reader(seen.out, seen.err) for reader in readers]
    best = next(
        (one for one in readings if one.metrics or one.errors), next((one for one in readings if one.reason), Reading())
    )
    return best if best.reason else replace(best, reason=_last_line(seen.err) or _last_line(seen.out))


def log_of(seen: CapturedOutput) -> str:
    """Give the log without the lines in which restic tells a program how far it is, sixty times a second."""
    return _PROGRESS.sub("", seen.log)


def _last_line(text: str) -> str:
    return short(next((line for line in reversed(text.splitlines()) if line.strip()), ""))
