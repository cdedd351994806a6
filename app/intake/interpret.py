"""Has a dialect read what a tool said. Whatever comes of that, there is at least one event: a report is never lost to a defect of ours."""

from collections.abc import Sequence

from app.core.log import log
from app.intake.dialects.make_event import unread
from app.intake.dialects.tool_request import Dialect, NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

EVENTS_MOST = 1_000


def interpret(tool: str, dialect: Dialect, said: ToolRequest) -> Sequence[WireEvent]:
    """Give the events. None at all only where the dialect says that there is nothing to tell."""
    try:
        events = dialect(said)
    except NotUnderstood as cause:
        return [unread(tool, said, str(cause), job=cause.job)]
    except Exception:  # noqa: BLE001  (a rim)
        log.exception("a dialect failed by a defect of ours; what was said is kept as a warning", tool=tool)
        return [unread(tool, said, "a defect of ours; the log says what")]
    if len(events) <= EVENTS_MOST:
        return events
    return [*events[:EVENTS_MOST], unread(tool, said, f"it tells of more than {EVENTS_MOST} things at once")]
