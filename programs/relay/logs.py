"""Where the relay writes what it does: a rotated file in its folder; errors and warnings also in Windows' event log, and on the console."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

_MOST, _KEPT = 2 * 1024 * 1024, 5
SOURCE = "Tocsin Relay"


class _EventLog(logging.Handler):
    """Windows' event log, by servicemanager, which has the words for it in itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write; whatever fails there must not stop a mail."""
        if sys.platform == "win32":
            import servicemanager  # noqa: PLC0415  (Windows only)

            try:
                words = self.format(record)[:30_000]
                write = servicemanager.LogErrorMsg if record.levelno >= logging.ERROR else servicemanager.LogWarningMsg
                write(words)
            except Exception:  # noqa: BLE001  (the rim of the log)
                self.handleError(record)


def set_up(folder: Path, *, console: bool, event_log: bool) -> None:
    """Begin to write."""
    handlers: list[logging.Handler] = [
        RotatingFileHandler(folder / "relay.log", maxBytes=_MOST, backupCount=_KEPT, encoding="utf-8", errors="replace")
    ]
    if console:
        handlers.append(logging.StreamHandler(sys.stderr))
    if event_log and sys.platform == "win32":
        events = _EventLog(logging.WARNING)
        handlers.append(events)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
