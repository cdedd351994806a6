"""Cronitor's telemetry: `/p/<key>/<monitor>?state=run`, and the older `/<key>/run`. Source: https://cronitor.io/docs/telemetry-api."""

from collections.abc import Sequence

from app.intake.dialects.healthchecks import may_be_signal
from app.intake.dialects.make_event import make_event
from app.intake.dialects.signal_body import judge_signal
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number, parse_unix_time
from app.intake.parse import WireEvent

TOOL = "cronitor"
_STATES: dict[str, tuple[str | None, str | None]] = {
    "run": ("started", None),
    "complete": ("finished", "success"),
    "ok": ("finished", "success"),
    "": ("finished", "success"),  # a heartbeat
    "fail": ("finished", "failure"),
}
_METRICS = {"duration": "duration_s", "count": "count", "error_count": "error_count"}
_MAX_PARTS = 2


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one signal. `path` is what follows the key: [monitor,] [state]; `p` and one of Cronitor's keys may precede."""
    parts = list(request.path[2:] if request.path[:1] == ("p",) else request.path)
    if len(parts) > _MAX_PARTS:
        raise NotUnderstood("the address has too many parts")
    is_state = bool(parts) and (parts[0].lower() in _STATES or may_be_signal(parts[0]))
    state_in_path = parts.pop() if len(parts) == _MAX_PARTS or is_state else ""
    state = (request.query_value("state") or state_in_path).lower()
    if state not in _STATES:
        raise NotUnderstood(f"{state[:40]!r} is not a state")
    phase, outcome = _STATES[state]
    job = parts[0] if parts else request.query_value("job") or request.job or TOOL
    series, stamp, code = (request.query_value(name) for name in ("series", "stamp", "status_code"))
    if outcome == "success" and code is not None and (number := parse_number(code)) != 0:
        outcome = "unclear" if number is None else "failure"
    metrics: dict[str, object] = {"duration_s": request.query_value("duration")}
    for name, value in request.query:
        metric, _, amount = value.partition(":")
        if name == "metric" and metric in _METRICS:
            metrics[_METRICS[metric]] = amount
    if code:
        metrics["exit_code"] = code
    # A decorator of Cronitor's library sends the result of its function as the message.
    text, message = request.text, request.query_value("message") or request.query_value("msg")
    judged = judge_signal(outcome, message, text)
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent") or request.query_value("host"),
            job=job,
            run=series,
            phase=phase,
            outcome=judged.outcome,
            at=parse_unix_time(stamp),
            message=message or judged.message,
            log=text or None,
            metrics=metrics,
            labels={"host": request.query_value("host"), "environment": request.query_value("env")},
            key=f"{job} {series} {state} {stamp}" if series and stamp else None,
        )
    ]
