"""Pushover's messages, for tools that tell of a backup in a title: `Backup started`. Source: https://pushover.net/api."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.words import begins_in, outcome_in
from app.intake.parse import WireEvent

TOOL = "pushover"
_FIELDS_MOST, _FORM_MOST = 100, 256 * 1024
_TAGS = re.compile(r"<[^<>]{0,200}>")
_SEVERITIES = {"1": "error", "2": "critical"}


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one message. A message whose words name no outcome is one, unless its priority says that it is bad.

    Raises NotUnderstood for one without a word in it.
    """
    given = _fields(said)
    title, message = given.get("title", ""), _TAGS.sub("", given.get("message", ""))
    if not title.strip() and not message.strip():
        raise NotUnderstood("a message without title and text")
    words = f"{title}\n{message}"[:2000]
    outcome = outcome_in(title) or outcome_in(message[:1000])
    begins = outcome is None and begins_in(words)
    return [
        told(
            TOOL,
            agent=said.asked("agent"),
            job=said.job or said.asked("job") or TOOL,
            phase="started" if begins else "finished" if outcome else None,
            outcome=outcome,
            severity=None if outcome or begins else _SEVERITIES.get(given.get("priority", "")),
            message=title or message or None,
            log=message if title and message else None,
        )
    ]


def _fields(said: ToolRequest) -> dict[str, str]:
    found = object_of(said)
    if found:
        return {name: text for name, value in found.items() if (text := text_in(value))}
    text = said.words[:_FORM_MOST]
    pairs = parse_qsl("&".join(text.split("&")[:_FIELDS_MOST]), keep_blank_values=True, errors="replace")
    form = dict([*said.query, *pairs])
    return form if {"title", "message"} & form.keys() else {**form, "message": text}
