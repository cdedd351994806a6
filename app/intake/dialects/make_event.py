"""Make events from what a dialect read, within the limits of fields.py: what a tool sends is shortened here, never refused."""

import re
from collections.abc import Mapping
from datetime import datetime

from app.domain.dedupe import content_key
from app.intake import fields
from app.intake.dialects.tool_request import ToolRequest
from app.intake.dialects.values import parse_number
from app.intake.language.reading import Meaning, Reading
from app.intake.parse import WireEvent
from app.intake.sanitize import replace_unstorable

MAX_UNREADABLE_LENGTH = 8 * 1024
_SPACES = re.compile(r"\s+")
_UNREADABLE, _UNREADABLE_BECAUSE = "the request could not be read", " sent a request that could not be read: "


def make_event(
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
    reading: Reading | None = None,
) -> WireEvent:
    """Return an event. `at` has a time zone or is None; `key` is anything that identifies this fact for ever, such as a run's id and phase.

    `reading` sets phase and outcome where the caller sets none, and is kept as evidence in `extra`: what decided must be shown.
    Names that are too long keep their beginning and get a hash of the whole, so that two different names stay different.
    """
    if reading is not None:
        is_start = reading.meaning is Meaning.STARTED
        if outcome is None and not is_start:
            outcome = reading.meaning.value
        phase = phase or ("started" if outcome is None else "finished")
        evidence = {"meaning": reading.meaning.value, "words": reading.words, "rule": reading.rule}
        extra = {"reading": evidence, **(extra or {})}
    fields_or_none: WireEvent = {
        "agent": limit_name(agent),
        "job": limit_name(job),
        "run": limit_name(run),
        "activity": activity,
        "phase": phase,
        "outcome": outcome,
        "severity": severity,
        "occurred_at": at.isoformat() if isinstance(at, datetime) else at,
        "message": None if message is None else message.strip()[: fields.MAX_MESSAGE_LENGTH],
        "log": log,
        "metrics": _limit_metrics(metrics or {}),
        "labels": _limit_labels({"tool": tool, **(labels or {})}),
        "extra": dict(extra) if extra else None,
        "key": None if key is None else content_key(fields.canonical_json([tool, str(key)])),
    }
    cleaned, _ = replace_unstorable({field: value for field, value in fields_or_none.items() if value is not None})
    event: WireEvent = cleaned
    return event


def make_unreadable_event(tool: str, request: ToolRequest, why: str, job: str | None = None) -> WireEvent:
    """Return the event for a request that could not be read: unclear, with the beginning of the body.

    It is about the job that the request or its key names; about a job of the tool's name, which is no backup, where neither does.
    """
    known_job = request.query_value("job") or request.job or job
    return make_event(
        tool,
        agent=request.query_value("agent"),
        job=known_job or tool,
        activity=None if known_job else "other",
        phase="finished",
        outcome="unclear",
        message=f"{tool}{_UNREADABLE_BECAUSE}{why}",
        log=request.text[:MAX_UNREADABLE_LENGTH] or None,
        extra={
            "reading": {"meaning": "unclear", "words": "", "rule": _UNREADABLE},
            "path": "/".join(request.path)[:500],
            "content_type": request.headers.get("content-type", "")[:200],
        },
    )


def why_unreadable(event: WireEvent) -> str | None:
    """Return why a request could not be read, from the event that was made of it; None for an event that a tool reported."""
    extra = event.get("extra")
    reading = extra.get("reading") if isinstance(extra, dict) else None
    if not isinstance(reading, dict) or reading.get("rule") != _UNREADABLE:
        return None
    return (event.get("message") or "").partition(_UNREADABLE_BECAUSE)[2]


def doubt_success(event: WireEvent, why: str = "the body broke off") -> WireEvent:
    """Return the event of a body that was not read to its end: what is missing may be the trouble, so that a success is not proven."""
    if event.get("outcome") != "success":
        return event
    reading = {"meaning": "unclear", "words": "", "rule": why}
    return {**event, "outcome": "unclear", "extra": {**(event.get("extra") or {}), "reading": reading}}


def attribute_to_sender(event: WireEvent, tool: str, agent: str | None) -> WireEvent:
    """Return the event under the agent of the sender's key, with the host that the tool named as a label.

    Under an enrolment key (`agent` is None) the host that the tool named is the agent. An agent's key identifies the sender; what
    a tool reports as its host may be anything, and must not cause its report to be refused.
    """
    host, labels = event.get("agent"), event.get("labels") or {}
    if agent is None:
        # Of a mail without a host, the sender: two devices that mail under one key, with the same words, are not one.
        return event if host else {**event, "agent": limit_name(labels.get("sender")) or tool}
    if host and host != agent and "host" not in labels:
        labels = {**labels, "host": host}
    return {**event, "agent": agent, "labels": labels}


def limit_name(value: object) -> str | None:
    """Return a name on one line, with single spaces, and of limited length; None if it is empty."""
    return None if value is None else fields.limit_name(_SPACES.sub(" ", fields.to_visible_line(str(value))))


def _limit_metrics(metrics: Mapping[str, object]) -> dict[str, float] | None:
    numbers = {str(name)[: fields.MAX_METRIC_NAME_LENGTH]: parse_number(value) for name, value in metrics.items()}
    return dict([(m, v) for m, v in numbers.items() if v is not None][: fields.MAX_METRICS]) or None


def _limit_labels(labels: Mapping[str, object]) -> dict[str, str] | None:
    texts = {
        str(label)[: fields.MAX_LABEL_NAME_LENGTH]: str(value)[: fields.MAX_LABEL_VALUE_LENGTH]
        for label, value in labels.items()
        if value not in (None, "")
    }
    return dict(list(texts.items())[: fields.MAX_LABELS]) or None
