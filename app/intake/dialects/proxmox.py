"""Proxmox's webhook, with the body that docs/tools/proxmox.md has the administrator paste. Its title and text are read by proxmox_words.py."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import number
from app.intake.dialects.proxmox_words import TOOL, Bulletin, events_of
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

__all__ = ["TOOL", "read"]
_TITLE = re.compile(r'"title"\s{0,20}:\s{0,20}"([^"\n]{1,1000})')
_EARLIEST, _LATEST = 1e9, 4e9


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the events of one notification. Raises NotUnderstood for a body without a title."""
    found: Mapping[str, Any] = object_of(said) or _broken(said.text)
    title = text_in(found.get("title"))
    if not title:
        raise NotUnderstood("no title; paste the body that docs/tools/proxmox.md has")
    given = found.get("fields")
    fields = (
        {name: text_in(value) or "" for name, value in given.items() if name != "tool"}
        if isinstance(given, dict)
        else {}
    )
    stamp = number(found.get("timestamp"))
    at = datetime.fromtimestamp(stamp, UTC) if stamp is not None and _EARLIEST < stamp < _LATEST else None
    host = fields.pop("hostname", "")
    return events_of(
        Bulletin(
            title=title,
            text=text_in(found.get("message")) or "",
            severity=text_in(found.get("severity")) or "",
            kind=fields.pop("type", ""),
            host=said.asked("agent") or host,
            job_id=fields.pop("job-id", ""),
            at=at,
            marks=fields,
            key=[said.job, said.mark] if at else None,
            job=said.job or said.asked("job"),
        )
    )


def _broken(text: str) -> Mapping[str, Any]:
    """Find the title in what is no JSON, for a template may lack an `escape` or a bracket. The whole is the text."""
    found = _TITLE.search(text[:100_000])
    return {"title": found[1], "message": text.replace("\\n", "\n")} if found else {}
