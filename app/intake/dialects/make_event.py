"""Makes an event of what a dialect read, within the bounds of fields.py: what a tool sends is cut here, never refused."""

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import datetime

from app.domain.dedupe import content_key
from app.intake import fields
from app.intake.cut import clean
from app.intake.dialects.tool_request import ToolRequest
from app.intake.parse import WireEvent

RAW_MOST = 8 * 1024
_HUGE, _DIGITS_MOST = 1e300, 400
_SPACES = re.compile(r"\s+")


def told(
    tool: str,
    *,
    agent: str | None = None,
    job: str | None = None,
    run: str | None = None,
    activity: str | None = None,
    phase: str | None = None,
    outcome: str | None = None,
    severity: str | None = None,
    at: datetime | str | None = None,
    message: str | None = None,
    log: str | None = None,
    metrics: Mapping[str, object] | None = None,
    labels: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
    key: object = None,
) -> WireEvent:
    """Give the event. `at` has a zone or is None; `key` is anything that names this fact for ever, such as a run's id and phase.

    Names that are too long keep their beginning and get a mark made of the whole, so that two of them stay two.
    """
    event: WireEvent = {
        "agent": name(agent),
        "job": name(job),
        "run": name(run),
        "activity": activity,
        "phase": phase,
        "outcome": outcome,
        "severity": severity,
        "occurred_at": at.isoformat() if isinstance(at, datetime) else at,
        "message": None if message is None else message.strip()[: fields.MESSAGE_MOST],
        "log": log,
        "metrics": _metrics(metrics or {}),
        "labels": _labels({"tool": tool, **(labels or {})}),
        "extra": dict(extra) if extra else None,
        "key": None if key is None else content_key(fields.canonical([tool, str(key)])),
    }
    cleaned, _ = clean({field: value for field, value in event.items() if value is not None})
    made: WireEvent = cleaned
    return made


def unread(tool: str, said: ToolRequest, why: str, job: str | None = None) -> WireEvent:
    """Give the event for what could not be read: a warning, with the beginning of what came.

    It is an activity of its own, `other`: as a backup's warning it would end a row of failures of which it knows nothing.
    """
    return told(
        tool,
        agent=said.asked("agent"),
        job=said.asked("job") or said.job or job or tool,
        activity="other",
        outcome="warning",
        message=f"{tool} sent what could not be read: {why}",
        log=said.text[:RAW_MOST] or None,
        extra={"path": "/".join(said.path)[:500], "content_type": said.headers.get("content-type", "")[:200]},
    )


def named_here(event: WireEvent, tool: str, agent: str | None) -> WireEvent:
    """Give the event under the sender's own name, and the host that the tool named as a label; under an enrolment key that host.

    A key of an agent says who it is. What a tool says of its host may be anything, and must not refuse its report.
    """
    said = event.get("agent")
    if agent is None:
        return event if said else {**event, "agent": tool}
    labels = event.get("labels") or {}
    if said and said != agent and "host" not in labels:
        labels = {**labels, "host": said}
    return {**event, "agent": agent, "labels": labels}


def name(given: object) -> str | None:
    """Give a name on one line and within bounds."""
    if given is None:
        return None
    text = _SPACES.sub(" ", fields.as_read(str(given)))
    if len(text) <= fields.NAME_MOST:
        return text or None
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text[: fields.NAME_MOST - 9]}~{mark}"


def number(given: object) -> float | None:
    """Give a finite number, from a number or its text; None for anything else."""
    if isinstance(given, bool) or given is None or (isinstance(given, str) and len(given) > _DIGITS_MOST):
        return None
    try:
        found = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < _HUGE else None


def _metrics(given: Mapping[str, object]) -> dict[str, float] | None:
    found = {str(metric)[: fields.METRIC_NAME_MOST]: number(value) for metric, value in given.items()}
    return dict([(m, v) for m, v in found.items() if v is not None][: fields.METRICS_MOST]) or None


def _labels(given: Mapping[str, object]) -> dict[str, str] | None:
    found = {
        str(label)[: fields.LABEL_NAME_MOST]: str(value)[: fields.LABEL_VALUE_MOST]
        for label, value in given.items()
        if value not in (None, "")
    }
    return dict(list(found.items())[: fields.LABELS_MOST]) or None
