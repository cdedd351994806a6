"""The log: structlog to standard error, as text for people or JSON for machines. It must never contain keys or passwords."""

import logging
import sys
from typing import TextIO

from app.core import metrics
from app.core.hidden_modules import hidden
from app.core.settings import Settings

# It prints errors in colours with rich, which is installed for typer: 5 MiB and a twentieth of a second of each start, unused here.
with hidden("rich"):
    import structlog


class StreamLogger:
    """Writes each line to a stream, and never raises: a loop that logs why its work failed would end for ever with the log's own error.

    A log may be a file on the disk that is full or became read-only, or a pipe that nobody reads any more.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write a line, or count it as lost."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            metrics.LOG_LINES_LOST.inc()

    debug = info = warning = error = exception = critical = msg


def set_up_log(settings: Settings) -> None:
    """Configure structlog and the standard library's logging. Access logs stay off: URLs may contain keys."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: StreamLogger(sys.stderr),
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )


# Also of commands that set nothing up: what `tocsin keys create` prints is read by scripts.
structlog.configure(logger_factory=lambda *_: StreamLogger(sys.stderr))
log = structlog.get_logger()
