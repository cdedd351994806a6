"""Uptime Kuma's push: `?status=up&msg=OK&ping=123`. Any status but `up` means down, as in Kuma itself; a start is no success.

A message that reports trouble makes an `up` a warning: a script may push it whatever happened.
"""

from collections.abc import Sequence

from app.intake.dialects.body_fields import as_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.signal_body import SignalBody, judge_signal
from app.intake.dialects.tool_request import ToolRequest
from app.intake.dialects.values import parse_number
from app.intake.parse import WireEvent

TOOL = "uptime-kuma"
_MAX_JSON_LENGTH = 64 * 1024
_MILLISECONDS = 1000
_FIELDS = ("status", "msg", "ping")
_MAX_PING = 1e11  # Kuma's own limit, in ms


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one push. Kuma ignores a body; here the body counts where the address has no status."""
    fields = dict(reversed(request.query))
    if "status" not in fields:
        body = read_json_body(request, _MAX_JSON_LENGTH)
        fields = {**{name: text for name in _FIELDS if (text := as_text(body.get(name))) is not None}, **fields}
    statuses = [value for name, value in request.query if name == "status" and value] or [fields.get("status") or "up"]
    is_up = all(status == "up" for status in statuses)
    message = fields.get("msg") or ""
    is_start = is_up and message.strip().lower() == "start"  # borgmatic's
    judged = judge_signal(None if is_start else "success" if is_up else "failure", message)
    text = request.text
    is_unread = request.is_cut or (len(text) > _MAX_JSON_LENGTH and text.lstrip().startswith("{"))  # with a status
    if is_unread and "status" not in fields and judged.outcome == "success":
        judged = SignalBody("unclear")
    ping = parse_number(fields.get("ping"))
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=request.query_value("job") or request.job or TOOL,
            phase="started" if is_start else "finished",
            outcome=judged.outcome,
            message=message or None,
            metrics={"ping_s": ping / _MILLISECONDS} if ping is not None and 0 <= ping <= _MAX_PING else None,
        )
    ]
