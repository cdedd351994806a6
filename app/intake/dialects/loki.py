"""Loki's push in JSON, as borgmatic sends its log: the lines `Started`, `Finished` and `Failed backup` are the run.

Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import number, told
from app.intake.dialects.signal_body import read_body
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "loki"
STREAMS_MOST, LINES_MOST = 20, 100_000
_NS = 1e9
_MARK = re.compile(r"(Started|Finished|Failed) (\w{1,20})$")
_ENDS = {"Finished": "success", "Failed": "failure"}
_ACTIVITIES = {"backup": "backup", "create": "backup", "prune": "prune", "compact": "prune", "check": "verify"}


class _Line(NamedTuple):
    stamp: str  # nanoseconds since 1970
    text: str


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the events of one push: of each stream a start and an end where its lines tell of them, else its lines as they are."""
    streams = object_of(said).get("streams")
    if not isinstance(streams, list) or not streams:
        raise NotUnderstood("no streams in JSON")
    return [
        event for stream in streams[:STREAMS_MOST] if isinstance(stream, dict) for event in _of_stream(said, stream)
    ]


def _of_stream(said: ToolRequest, stream: Mapping[str, Any]) -> list[WireEvent]:
    named = stream.get("stream")
    labels = (
        {name: text for name, value in named.items() if (text := text_in(value))} if isinstance(named, dict) else {}
    )
    values = stream.get("values")
    lines = [line for value in (values if isinstance(values, list) else [])[:LINES_MOST] if (line := _line(value))]
    log = "\n".join(line.text for line in lines)
    who: dict[str, Any] = {
        "agent": labels.get("hostname") or labels.get("host"),
        "job": said.job or labels.get("config") or labels.get("job") or labels.get("app") or TOOL,
        "labels": {"app": labels.get("app")},
    }
    marks = [(line, found) for line in lines if (found := _MARK.match(line.text))]
    if not marks:
        return [told(TOOL, **who, log=log)] if log else []
    run = marks[0][0].stamp if len(marks) > 1 else None
    return [_event(line, found, log, run, who) for line, found in marks]


def _event(line: _Line, found: re.Match[str], log: str, run: str | None, who: Mapping[str, Any]) -> WireEvent:
    outcome = _ENDS.get(found[1])
    body = read_body(log) if outcome == "success" else None
    trouble = body.message if body is not None and body.outcome == "warning" else None
    return told(
        TOOL,
        **who,
        run=run,
        activity=_ACTIVITIES.get(found[2], "other"),
        phase="finished" if outcome else "started",
        outcome="warning" if trouble else outcome,
        at=_moment(number(line.stamp)),
        message=trouble,
        log=log if outcome else None,
        key=f"{who['agent']} {who['job']} {found[0]} {line.stamp}",
    )


def _line(value: object) -> _Line | None:
    match value:
        case [at, str(text), *_]:
            return _Line(str(at), text)
        case _:
            return None


def _moment(ns: float | None) -> datetime | None:
    try:
        return None if ns is None else datetime.fromtimestamp(ns / _NS, UTC)
    except (ValueError, OverflowError, OSError):
        return None
