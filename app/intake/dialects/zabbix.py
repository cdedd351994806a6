"""Zabbix's `history.push`, as borgmatic calls it: a value such as STARTED, OK or ERROR for one item.

Source: https://www.zabbix.com/documentation/current/en/manual/api/reference/history/push
"""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.event import STATUS_FIELD
from app.intake.dialects.body_fields import as_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.language.reader import Meaning, Reading, read_words
from app.intake.parse import WireEvent

TOOL = "zabbix"
_SESSION_METHODS = frozenset({"user.login", "user.logout", "apiinfo.version"})
# What people push, whole: borgmatic's defaults, and the states of its other hooks.
_VALUES = {
    **dict.fromkeys(("start", "started", "starting", "begin", "run", "running"), Meaning.STARTED),
    **dict.fromkeys(("ok", "finish", "success", "succeeded", "successful", "done"), Meaning.SUCCESS),
    **dict.fromkeys(("error", "fail", "failed", "failure"), Meaning.FAILURE),
    **dict.fromkeys(("warn", "warning"), Meaning.WARNING),
}


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events of one call; none for login and logout. Raises NotUnderstood for a call without values."""
    call = read_json_body(request)
    method = as_text(call.get("method")) or ""
    if method in _SESSION_METHODS:
        return []
    if method != "history.push":
        raise NotUnderstood(f"the method {method[:40]!r} does not report a backup")
    params = call.get("params")
    items = params if isinstance(params, list) else [params]
    values = [item for item in items if isinstance(item, dict) and "value" in item]
    if not values:
        raise NotUnderstood("the call pushes no value")
    return [_make_event(request, value) for value in values]


def _make_event(request: ToolRequest, pushed: Mapping[str, Any]) -> WireEvent:
    value = as_text(pushed["value"]) or ""
    host, item = as_text(pushed.get("host")), as_text(pushed.get("key")) or as_text(pushed.get("itemid"))
    meaning = _VALUES.get(value.strip().lower())
    reading = (
        read_words(value, names=request.names_in(value))
        if meaning is None
        else Reading(meaning, value.strip(), STATUS_FIELD)
    )
    return make_event(
        TOOL,
        agent=host,
        job=request.job or item or TOOL,
        message=value,
        labels={"item": item},
        reading=reading,
    )
