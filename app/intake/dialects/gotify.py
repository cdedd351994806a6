"""Gotify's messages, as Proxmox, Backrest and scripts send them: a title, a text, a priority. Source: https://gotify.net/api-docs."""

from collections.abc import Sequence

from app.domain.event import STATUS_FIELD
from app.intake.dialects.body_fields import as_text, read_form_body, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.message import choose_message, read_message, read_report_within, without_fence
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number
from app.intake.language.reader import Meaning, Reading
from app.intake.parse import WireEvent

TOOL = "gotify"
_MIN_FAILURE_PRIORITY, _MIN_WARNING_PRIORITY = 8, 5


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events of one message, sent as JSON, form or query. Raises NotUnderstood for one without title and text.

    A high priority is trouble where the words prove nothing; a low one proves nothing either.
    """
    fields = {**dict(request.query), **(read_json_body(request) or read_form_body(request))}
    title, text = as_text(fields.get("title")) or "", without_fence(as_text(fields.get("message")) or "")
    if not title and not text:
        raise NotUnderstood("a message without title and text")
    if (events := read_report_within(title, text, request)) is not None:
        return events
    job = request.job or request.query_value("job")
    reading = read_message(title, text, request, job=job)
    priority = parse_number(fields.get("priority"))
    if reading.meaning is Meaning.UNCLEAR and priority is not None and priority >= _MIN_WARNING_PRIORITY:
        meaning = Meaning.FAILURE if priority >= _MIN_FAILURE_PRIORITY else Meaning.WARNING
        reading = Reading(meaning, f"priority {priority:g}", STATUS_FIELD)
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=job or TOOL,
            message=choose_message(reading, title, text),
            log=text or None,
            reading=reading,
        )
    ]
