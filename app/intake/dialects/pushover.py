"""Pushover's messages, for tools that report a backup in a title: `Backup started`. Source: https://pushover.net/api."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from app.domain.event import STATUS_FIELD
from app.intake.dialects.body_fields import as_text, first_fields, read_json_body
from app.intake.dialects.cut_texts import keep_beginning
from app.intake.dialects.make_event import make_event
from app.intake.dialects.message import choose_message, read_message, read_report_within
from app.intake.dialects.repeated_names import keep_last
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.language.reader import Meaning, Reading
from app.intake.parse import WireEvent

TOOL = "pushover"
_MAX_FIELDS, _MAX_FORM_LENGTH = 100, 256 * 1024
_TAGS = re.compile(r"<[^<>]{0,200}>")
_SEVERITIES = {"1": "error", "2": "critical"}


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one message. Where its words prove nothing, a high priority is trouble.

    Raises NotUnderstood for a message without title and text.
    """
    fields = _read_fields(request)
    title, message = fields.get("title", ""), _TAGS.sub("", fields.get("message", ""))
    if not title.strip() and not message.strip():
        raise NotUnderstood("a message without title and text")
    if (events := read_report_within(title, message, request)) is not None:
        return events
    job = request.job or request.query_value("job") or TOOL
    reading = read_message(title, message, request, job=job)
    severity = _SEVERITIES.get(fields.get("priority", "")) if reading.meaning is Meaning.UNCLEAR else None
    if severity is not None:
        reading = Reading(Meaning.FAILURE, f"priority {fields['priority']}", STATUS_FIELD)
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=job,
            severity=severity,
            message=choose_message(reading, title, message),
            log=message if title and message else None,
            reading=reading,
        )
    ]


def _read_fields(request: ToolRequest) -> dict[str, str]:
    found = read_json_body(request)
    if found:
        return {name: text for name, value in found.items() if (text := as_text(value))}
    text = keep_beginning(request.readable_text, _MAX_FORM_LENGTH)
    pairs = parse_qsl(first_fields(text, _MAX_FIELDS), keep_blank_values=True, errors="replace")
    form = {**dict(request.query), **keep_last(pairs)}
    return form if {"title", "message"} & form.keys() else {**form, "message": text}
