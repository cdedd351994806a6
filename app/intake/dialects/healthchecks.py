"""Healthchecks' HTTP API for pings, as https://healthchecks.io/docs/http_api/ describes it: signals and logs of one job.

A body is never read by its declared type: curl and wget call plain text a form. What a body says can only make an outcome worse.
"""

from collections.abc import Sequence

from app.intake.dialects.said import NotUnderstood, Said
from app.intake.dialects.told import told
from app.intake.parse import WireEvent

TOOL = "healthchecks"
EXIT_MOST = 255


def read(said: Said) -> Sequence[WireEvent]:
    """Give the event of one signal. `path` is what stands behind the key: [slug,] [signal]."""
    slug, signal = split(said.path, has_slug=said.job is None)
    job = slug or said.job or TOOL
    rid = said.asked("rid")
    phase, outcome = _MEANINGS.get(signal, (None, None)) if not signal.isdecimal() else _ended(int(signal))
    if signal not in _MEANINGS and not signal.isdecimal():
        raise NotUnderstood(f"{signal[:40]!r} is no signal")
    return [
        told(
            TOOL,
            agent=said.asked("agent"),
            job=job,
            run=rid,
            phase=phase,
            outcome=outcome,
            log=said.text or None,
            message=f"exit code {signal}" if signal.isdecimal() else None,
            metrics={"exit_code": signal} if signal.isdecimal() else None,
            key=f"{job} {rid} {signal} {said.body!r}" if rid else None,
        )
    ]


_MEANINGS: dict[str, tuple[str | None, str | None]] = {
    "": ("finished", "success"),
    "start": ("started", None),
    "fail": ("finished", "failure"),
    "log": (None, None),
}


def _ended(code: int) -> tuple[str, str]:
    return "finished", "failure" if code else "success"


def split(path: Sequence[str], *, has_slug: bool) -> tuple[str | None, str]:
    """Give slug and signal of an address behind its key."""
    parts = list(path)
    slug = parts.pop(0) if has_slug and parts and not is_signal(parts[0]) else None
    return slug, parts[0] if parts else ""


def is_signal(part: str) -> bool:
    """Say whether a part of an address is a signal rather than a slug."""
    return part in _MEANINGS or part.lstrip("-").isdecimal()
