"""Loki's push in JSON, as borgmatic sends its log. The lines `Started`, `Finished` and `Failed backup` delimit the run.

Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from app.intake.dialects.backrest import parse_text
from app.intake.dialects.body_fields import as_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.signal_body import read_signal_body
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number, parse_unix_time
from app.intake.language.log_errors import find_log_errors
from app.intake.parse import WireEvent

TOOL = "loki"
_NANOSECONDS = 1e9
_RUN_LINE = re.compile(r"(Started|Finished|Failed) (\w{1,20})$")
_OUTCOMES = {"Finished": "success", "Failed": "failure"}
_ACTIVITIES = {"backup": "backup", "create": "backup", "prune": "prune", "compact": "prune", "check": "verify"}


class _LogLine(NamedTuple):
    stamp: str  # nanoseconds since 1970
    text: str


class _StreamIdentity(TypedDict):
    agent: str | None
    job: str
    labels: dict[str, str | None]


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events of one push: for each stream, the start and end that its lines report, else one event with its lines."""
    streams = read_json_body(request).get("streams")
    if not isinstance(streams, list) or not streams:
        raise NotUnderstood("no streams in JSON")
    return [event for stream in streams if isinstance(stream, dict) for event in _read_stream(request, stream)]


def _read_stream(request: ToolRequest, stream: Mapping[str, Any]) -> list[WireEvent]:
    sent, values = stream.get("stream"), stream.get("values")
    labels = {name: text for name, value in sent.items() if (text := as_text(value))} if isinstance(sent, dict) else {}
    lines: list[_LogLine] = []
    for value in values if isinstance(values, list) else ():
        match value:
            case [stamp, str(text), *_]:
                lines.append(_LogLine(str(stamp), text))
            case _:
                pass
    log = "\n".join(line.text for line in lines)
    identity: _StreamIdentity = {
        "agent": labels.get("hostname") or labels.get("host"),
        "job": request.job or labels.get("config") or labels.get("job") or labels.get("app") or TOOL,
        "labels": {"app": labels.get("app")},
    }
    run_lines = [(line, found) for line in lines if (found := _RUN_LINE.match(line.text))]
    if not run_lines:  # a part of a log; trouble in it must not wait for an end, which may be in another push
        errors = find_log_errors(log)
        outcome, message = ("warning", errors.line) if errors else (None, None)
        return [make_event(TOOL, **identity, outcome=outcome, message=message, log=log)] if log else []
    run = run_lines[0][0].stamp if len(run_lines) > 1 else None
    return [_make_run_event(line, found, log, run, identity) for line, found in run_lines]


def _make_run_event(
    line: _LogLine, found: re.Match[str], log: str, run: str | None, identity: _StreamIdentity
) -> WireEvent:
    outcome = _OUTCOMES.get(found[1])
    body = (parse_text(log) or read_signal_body(log, is_success=True)) if outcome == "success" else None
    warning = body.message if body is not None and body.outcome == "warning" else None
    stamp = parse_number(line.stamp)
    return make_event(
        TOOL,
        **identity,
        run=run,
        activity=_ACTIVITIES.get(found[2], "other"),
        phase="finished" if outcome else "started",
        outcome="warning" if warning else outcome,
        at=None if stamp is None else parse_unix_time(stamp / _NANOSECONDS),
        message=warning,
        log=log if outcome else None,
        key=f"{identity['agent']} {identity['job']} {found[0]} {line.stamp}",
    )
