"""Healthchecks' HTTP API for pings: signals and logs of one job. Source: https://healthchecks.io/docs/http_api/.

The declared type of a body is ignored: curl and wget declare plain text a form, other programs declare it JSON.
"""

import hashlib
import re
from collections.abc import Sequence

from app.intake.dialects.backrest import parse_text
from app.intake.dialects.make_event import make_event
from app.intake.dialects.script_output import describe_exit_code
from app.intake.dialects.signal_body import BY_SEVERITY, SignalBody, read_signal_body
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.language.reader import Meaning, read_words
from app.intake.parse import WireEvent

TOOL = "healthchecks"
MAX_EXIT_CODE = 255
# What Windows and scripts send instead: no signal of Healthchecks, but certainly not 0.
_WIDE_EXIT_CODE = re.compile(r"-?0{0,20}[1-9]\d{0,18}", re.ASCII)
_MAX_PARTS = 2  # slug and signal
_SIGNALS: dict[str, tuple[str | None, str | None]] = {
    "": ("finished", "success"),
    "start": ("started", None),
    "fail": ("finished", "failure"),
    "log": (None, None),
}


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one signal. `path` is what follows the key: [slug,] [signal]."""
    slug, signal = split_path(request.path, has_slug=request.job is None)
    phase: str | None
    try:
        phase, outcome = parse_signal(signal)
    except NotUnderstood as cause:  # reported for the job that the address names
        if not _WIDE_EXIT_CODE.fullmatch(signal):
            raise NotUnderstood(str(cause), slug) from cause
        phase, outcome = "finished", "failure"
    text = request.text
    body = parse_text(text) or read_signal_body(text, is_success=outcome == "success")
    phase, outcome = _combine(signal.lower(), phase, outcome, body)
    job = request.query_value("job") or slug or request.job or body.job or TOOL
    rid = request.query_value("rid")
    exit_code = signal if _WIDE_EXIT_CODE.fullmatch(signal) or signal.isdecimal() else None
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=job,
            run=rid,
            activity=body.activity,
            phase=phase,
            outcome=outcome,
            log=text or None,
            message=_choose_message(outcome, exit_code, body),
            metrics={**body.metrics, **({"exit_code": exit_code} if exit_code else {})},
            key=f"{job} {rid} {signal} {hashlib.sha256(request.body).hexdigest()}" if rid else None,
        )
    ]


def _choose_message(outcome: str | None, exit_code: str | None, body: SignalBody) -> str | None:
    """Return one line. For a failure that the address reports, the log holds more than any line picked from it."""
    if body.message is not None and (body.outcome == outcome or outcome is None):
        return body.message
    return describe_exit_code(int(exit_code)) if exit_code is not None and outcome == "failure" else None


def split_path(path: Sequence[str], *, has_slug: bool) -> tuple[str | None, str]:
    """Return slug and signal from the address after its key. Raises NotUnderstood for too many parts."""
    parts = list(path)
    if len(parts) > _MAX_PARTS:
        raise NotUnderstood("the address has too many parts")
    if len(parts) == _MAX_PARTS:
        return parts[0], parts[1]
    if parts and has_slug and not (is_signal(parts[0]) or may_be_signal(parts[0])):
        return parts[0], ""
    return None, parts[0] if parts else ""


def is_signal(part: str) -> bool:
    """Return whether a part of an address is a signal and not a slug."""
    return part.lower() in _SIGNALS or _is_exit_code(part)


def may_be_signal(part: str) -> bool:
    """Return whether a part that is no signal may be meant as one: `failed`, `-1`, `$?`. As the name of a job it would report a success."""
    return not any(map(str.isalpha, part)) or read_words(part).meaning in (Meaning.FAILURE, Meaning.CANCELLED)


def parse_signal(signal: str) -> tuple[str | None, str | None]:
    """Return phase and outcome. Raises NotUnderstood for what is not a signal."""
    if signal.lower() in _SIGNALS:
        return _SIGNALS[signal.lower()]
    if _is_exit_code(signal):
        return "finished", "success" if int(signal) == 0 else "failure"
    raise NotUnderstood(f"{signal[:40]!r} is not a signal")


def _is_exit_code(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) <= len(str(MAX_EXIT_CODE)) and int(part) <= MAX_EXIT_CODE


def _combine(signal: str, phase: str | None, outcome: str | None, body: SignalBody) -> tuple[str | None, str | None]:
    """Return phase and outcome of signal and body. A log changes nothing, unless the tool reports in it how the run ended."""
    if signal == "log":
        return (body.phase, body.outcome) if body.phase == "finished" and body.outcome != "success" else (None, None)
    if phase == "finished" and body.outcome is not None:
        return phase, max(outcome or "success", body.outcome, key=BY_SEVERITY.index)
    return phase, outcome
