"""Healthchecks' HTTP API for pings, as https://healthchecks.io/docs/http_api/ describes it: signals and logs of one job.

A body is never read by its declared type: curl and wget call plain text a form, others call it JSON.
"""

import hashlib
from collections.abc import Sequence

from app.intake.dialects.make_event import told
from app.intake.dialects.signal_body import Body, read_body
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "healthchecks"
EXIT_MOST = 255
_PARTS_MOST = 2  # slug and signal
_WORSE = ("success", "cancelled", "warning", "failure")


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one signal. `path` is what stands behind the key: [slug,] [signal]."""
    slug, signal = split(said.path, has_slug=said.job is None)
    try:
        phase, outcome = meaning_of(signal)
    except NotUnderstood as cause:  # an exit code that is none, of a job that is known: it is told of that job
        raise NotUnderstood(str(cause), slug) from cause
    text = said.text
    body = read_body(text)
    phase, outcome = _with_body(signal, phase, outcome, body)
    job = said.asked("job") or slug or said.job or body.job or TOOL
    rid = said.asked("rid")
    exit_code = signal if signal.isdecimal() else None
    return [
        told(
            TOOL,
            agent=said.asked("agent"),
            job=job,
            run=rid,
            activity=body.activity,
            phase=phase,
            outcome=outcome,
            log=text or None,
            message=_message(outcome, exit_code, body),
            metrics={**body.metrics, **({"exit_code": exit_code} if exit_code else {})},
            key=f"{job} {rid} {signal} {hashlib.sha256(said.body).hexdigest()}" if rid else None,
        )
    ]


def _message(outcome: str | None, exit_code: str | None, body: Body) -> str | None:
    """Give one line. Of a failure that its address tells, the log says more than what we could pick from it here."""
    if body.message is not None and (body.outcome == outcome or outcome is None):
        return body.message
    return f"exit code {exit_code}" if exit_code is not None and outcome == "failure" else None


def split(path: Sequence[str], *, has_slug: bool) -> tuple[str | None, str]:
    """Give slug and signal of an address behind its key. Raises NotUnderstood for one with too many parts."""
    parts = list(path)
    if len(parts) > _PARTS_MOST:
        raise NotUnderstood("the address has too many parts")
    if len(parts) == _PARTS_MOST:
        return parts[0], parts[1]
    if parts and has_slug and not is_signal(parts[0]):
        return parts[0], ""
    return None, parts[0] if parts else ""


def is_signal(part: str) -> bool:
    """Say whether a part of an address is a signal rather than a slug."""
    return part in _MEANINGS or _is_exit_code(part)


def meaning_of(signal: str) -> tuple[str | None, str | None]:
    """Give phase and outcome. Raises NotUnderstood for what is no signal."""
    if signal in _MEANINGS:
        return _MEANINGS[signal]
    if _is_exit_code(signal):
        return "finished", "success" if int(signal) == 0 else "failure"
    raise NotUnderstood(f"{signal[:40]!r} is no signal")


_MEANINGS: dict[str, tuple[str | None, str | None]] = {
    "": ("finished", "success"),
    "start": ("started", None),
    "fail": ("finished", "failure"),
    "log": (None, None),
}


def _is_exit_code(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) <= len(str(EXIT_MOST)) and int(part) <= EXIT_MOST


def _with_body(signal: str, phase: str | None, outcome: str | None, body: Body) -> tuple[str | None, str | None]:
    """Let the body have its say. A plain log changes nothing, unless the tool itself names in it how the run ended."""
    if signal == "log":
        return (body.phase, body.outcome) if body.phase == "finished" and body.outcome != "success" else (None, None)
    if phase == "finished" and body.outcome is not None:
        return phase, max(outcome or "success", body.outcome, key=_WORSE.index)
    return phase, outcome
