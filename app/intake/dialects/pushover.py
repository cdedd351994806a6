"""Pushover's messages, for tools that report a backup in a title: `Backup started`. Source: https://pushover.net/api."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from app.intake.dialects.body_fields import as_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.wording import announces_start, find_outcome
from app.intake.parse import WireEvent

TOOL = "pushover"
_MAX_FIELDS, _MAX_FORM_LENGTH = 100, 256 * 1024
_TAGS = re.compile(r"<[^<>]{0,200}>")
_SEVERITIES = {"1": "error", "2": "critical"}


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one message. Words that name no outcome make a plain message, whose severity comes from its priority.

    Raises NotUnderstood for a message without title and text.
    """
    fields = _read_fields(request)
    title, message = fields.get("title", ""), _TAGS.sub("", fields.get("message", ""))
    if not title.strip() and not message.strip():
        raise NotUnderstood("a message without title and text")
    outcome = find_outcome(title) or find_outcome(message[:1000])
    is_start = outcome is None and announces_start(f"{title}\n{message}"[:2000])
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=request.job or request.query_value("job") or TOOL,
            phase="started" if is_start else "finished" if outcome else None,
            outcome=outcome,
            severity=None if outcome or is_start else _SEVERITIES.get(fields.get("priority", "")),
            message=title or message or None,
            log=message if title and message else None,
        )
    ]


def _read_fields(request: ToolRequest) -> dict[str, str]:
    found = read_json_body(request)
    if found:
        return {name: text for name, value in found.items() if (text := as_text(value))}
    text = request.readable_text[:_MAX_FORM_LENGTH]
    pairs = parse_qsl("&".join(text.split("&")[:_MAX_FIELDS]), keep_blank_values=True, errors="replace")
    form = dict([*request.query, *pairs])
    return form if {"title", "message"} & form.keys() else {**form, "message": text}
