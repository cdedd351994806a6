"""Zabbix's `history.push`, as borgmatic calls it: a value such as STARTED, OK or ERROR for one item.

Source: https://www.zabbix.com/documentation/current/en/manual/api/reference/history/push
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import told, unread
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.words import outcome_in
from app.intake.parse import WireEvent

TOOL = "zabbix"
VALUES_MOST = 100
_SESSION = frozenset({"user.login", "user.logout", "apiinfo.version"})
_BEGINS = re.compile(r"\s*(?:start|begin|run)\w{0,10}\s*", re.IGNORECASE)


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the events of one call: none for login and logout."""
    call = object_of(said)
    method = text_in(call.get("method")) or ""
    if method in _SESSION:
        return []
    if method != "history.push":
        raise NotUnderstood(f"the method {method[:40]!r} is none that a backup calls")
    return [_event(said, value) for value in values_of(call)]


def values_of(call: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the values that are pushed. Raises NotUnderstood if there is none."""
    params = call.get("params")
    found = params if isinstance(params, list) else [params]
    values: list[Mapping[str, Any]] = [one for one in found[:VALUES_MOST] if isinstance(one, dict) and "value" in one]
    if not values:
        raise NotUnderstood("no value is pushed")
    return values


def _event(said: ToolRequest, pushed: Mapping[str, Any]) -> WireEvent:
    value = text_in(pushed["value"]) or ""
    host, item = text_in(pushed.get("host")), text_in(pushed.get("key")) or text_in(pushed.get("itemid"))
    begins = _BEGINS.fullmatch(value) is not None
    outcome = None if begins else outcome_in(value)
    if outcome is None and not begins:
        return unread(TOOL, said, f"the value {value[:40]!r} says neither start nor end")
    return told(
        TOOL,
        agent=host,
        job=said.job or item or TOOL,
        phase="started" if begins else "finished",
        outcome=outcome,
        message=value,
        labels={"item": item},
    )
