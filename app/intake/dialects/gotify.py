"""Gotify's messages, as Proxmox, Backrest and scripts send them: a title, a text, a priority. Source: https://gotify.net/api-docs."""

from collections.abc import Sequence

from app.intake.dialects import backrest, proxmox
from app.intake.dialects.body_fields import as_text, read_form_body, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number
from app.intake.dialects.wording import announces_start, find_outcome
from app.intake.parse import WireEvent

TOOL = "gotify"
_MIN_FAILURE_PRIORITY, _MIN_WARNING_PRIORITY = 8, 5


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events of one message, sent as JSON, form or query. Raises NotUnderstood for one without title and text."""
    fields = {**dict(request.query), **(read_json_body(request) or read_form_body(request))}
    title, text = as_text(fields.get("title")) or "", _without_fence(as_text(fields.get("message")) or "")
    if not title and not text:
        raise NotUnderstood("a message without title and text")
    agent, job = request.query_value("agent"), request.job or request.query_value("job")
    if proxmox.is_proxmox_title(title):
        return proxmox.read_report(proxmox.ProxmoxReport(title, text, host=agent or "", job=job))
    if (event := backrest.read_text(text, request)) is not None:
        return [event]
    by_title, by_text = find_outcome(title[:1000]), find_outcome(text[:1000])
    is_start = by_title is None and by_text in (None, "success") and announces_start((title or text)[:1000])
    outcome = None if is_start else by_title or by_text
    priority = parse_number(fields.get("priority"))
    if outcome is None and not is_start and priority is not None and priority >= _MIN_WARNING_PRIORITY:
        outcome = "failure" if priority >= _MIN_FAILURE_PRIORITY else "warning"
    return [
        make_event(
            TOOL,
            agent=agent,
            job=job or TOOL,
            phase="started" if is_start else "finished" if outcome else None,
            outcome=outcome,
            message=title or text.partition("\n")[0],
            log=text or None,
        )
    ]


def _without_fence(text: str) -> str:
    """Remove the code fence that Proxmox puts around its text for Markdown."""
    stripped = text.strip()
    return stripped.removeprefix("```").removesuffix("```").strip("\n") if stripped.startswith("```") else text
