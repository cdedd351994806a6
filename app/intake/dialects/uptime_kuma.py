"""Uptime Kuma's push: `?status=up&msg=OK&ping=123`. What is not `up` is down, as Kuma has it; a start is no success."""

from collections.abc import Sequence

from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import number, told
from app.intake.dialects.tool_request import ToolRequest
from app.intake.parse import WireEvent

TOOL = "uptime-kuma"
_JSON_MOST = 64 * 1024
_MS = 1000
_FIELDS = ("status", "msg", "ping")
_PING_MOST = 1e11  # Kuma's own bound, in ms


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one push. Kuma itself ignores a body; we do not, where the address says nothing."""
    asked = dict(reversed(said.query))
    if "status" not in asked:
        asked = {**_in_body(said), **asked}
    states = [value for name, value in said.query if name == "status" and value] or [asked.get("status") or "up"]
    is_up = all(state == "up" for state in states)
    message = asked.get("msg") or ""
    begins = is_up and message.strip().lower() == "start"  # borgmatic's
    ping = number(asked.get("ping"))
    return [
        told(
            TOOL,
            agent=said.asked("agent"),
            job=said.asked("job") or said.job or TOOL,
            phase="started" if begins else "finished",
            outcome=None if begins else "success" if is_up else "failure",
            message=message or None,
            metrics={"ping_s": ping / _MS} if ping is not None and 0 <= ping <= _PING_MOST else None,
        )
    ]


def _in_body(said: ToolRequest) -> dict[str, str]:
    found = {name: text_in(value) for name, value in object_of(said, _JSON_MOST).items() if name in _FIELDS}
    return {name: value for name, value in found.items() if value is not None}
