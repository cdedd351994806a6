"""The log: structlog to standard error, as text for people or JSON for machines. It must never contain keys or passwords."""

import logging
import sys

from app.core.hidden_modules import hidden
from app.core.settings import Settings

# It prints errors in colours with rich, which is installed for typer: 5 MiB and a twentieth of a second of each start, unused here.
with hidden("rich"):
    import structlog


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
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )


log = structlog.get_logger()
