"""Cronitor's telemetry: `/p/<key>/<monitor>?state=run`, and the older `/<key>/run`, as https://cronitor.io/docs/telemetry-api has it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from app.intake.dialects.make_event import number, told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
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
_PARTS_MOST = 2


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one signal. `path` is what stands behind the key: [monitor,] [state]; before them may stand `p` and a key of Cronitor's."""
    parts = list(said.path[2:] if said.path[:1] == ("p",) else said.path)
    if len(parts) > _PARTS_MOST:
        raise NotUnderstood("the address has too many parts")
    in_path = parts.pop() if parts and (len(parts) == _PARTS_MOST or parts[0] in _STATES) else ""
    state = (said.asked("state") or in_path).lower()
    if state not in _STATES:
        raise NotUnderstood(f"{state[:40]!r} is no state")
    phase, outcome = _STATES[state]
    job = parts[0] if parts else said.asked("job") or said.job or TOOL
    series = said.asked("series")
    code = said.asked("status_code")
    if outcome == "success" and code is not None and number(code) not in (None, 0):
        outcome = "failure"
    stamp = said.asked("stamp")
    return [
        told(
            TOOL,
            agent=said.asked("agent") or said.asked("host"),
            job=job,
            run=series,
            phase=phase,
            outcome=outcome,
            at=_moment(stamp),
            message=_message(said),
            log=said.text or None,
            metrics=_metrics(said) | ({"exit_code": code} if code else {}),
            labels={"host": said.asked("host"), "environment": said.asked("env")},
            key=f"{job} {series} {state} {stamp}" if series and stamp else None,
        )
    ]


def _message(said: ToolRequest) -> str | None:
    """Give the message; a decorator sends the result of its function as one, which of a good run tells nobody anything."""
    return said.asked("message") or said.asked("msg")


def _metrics(said: ToolRequest) -> dict[str, object]:
    found: dict[str, object] = {"duration_s": said.asked("duration")}
    for name, value in said.query:
        metric, _, amount = value.partition(":")
        if name == "metric" and metric in _METRICS:
            found[_METRICS[metric]] = amount
    return found


def _moment(stamp: str | None) -> datetime | None:
    """Give the moment of a Unix time in seconds."""
    seconds = number(stamp)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
