"""Notice trouble that a parameter of an address states next to a success, such as `/ping/KEY/db?exit_code=1`.

Each dialect reads the parameters that its tool sends. People add others by hand, or write one as another tool has it, and the address
without it would report a success.
"""

import re
from collections.abc import Sequence

from app.intake.dialects.make_event import doubt_success
from app.intake.language.reader import Meaning, read_words
from app.intake.parse import WireEvent

_NOT_IN_NAME = re.compile(r"[^a-z]")
# Without signs and in lower case, so that `exitCode`, `exit-code` and `EXIT_CODE` are one.
_EXIT_CODES = frozenset(("exit", "exitcode", "exitstatus", "errorlevel", "rc", "retcode", "returncode", "returnvalue"))
_STATES = frozenset(("status", "state", "outcome", "result"))
_ERRORS = frozenset(("error", "errors", "err", "fail", "failed", "failure", "failures"))
_SUCCESSES = frozenset(("success", "ok", "succeeded"))
_NO = frozenset(("", "0", "false", "no", "none", "null", "nil", "off", "n"))
_NUMBER = re.compile(r"[+-]?\d{1,19}(?:\.0{1,9})?", re.ASCII)
_TROUBLE = {Meaning.FAILURE: "failure", Meaning.WARNING: "warning", Meaning.CANCELLED: "cancelled"}
_DOWN = frozenset(("down", "ko", "nok", "bad", "critical", "crit", "unhealthy", "offline", "red"))
_SHOWN = 60


def judge_parameters(events: Sequence[WireEvent], query: Sequence[tuple[str, str]]) -> Sequence[WireEvent]:
    """Return the events of a request; those that report a success become what a parameter of its address states instead."""
    if not query or not any(event.get("outcome") == "success" for event in events):
        return events
    for name, value in query:
        outcome = _outcome_of(_NOT_IN_NAME.sub("", name.lower()), value.strip())
        if outcome is not None:
            why = f"its address states {name[:_SHOWN]}={value[:_SHOWN]}"
            return [_worse(event, outcome, why) for event in events]
    return events


def _outcome_of(name: str, value: str) -> str | None:
    """Return what is worse than a success, if a parameter states it; an exit code that is no number proves nothing."""
    folded = value.lower()
    if name in _EXIT_CODES and folded:
        if _NUMBER.fullmatch(value) is None:
            return "unclear"
        return None if float(value) == 0 else "failure"
    if name in _STATES:
        return "failure" if folded in _DOWN else _TROUBLE.get(read_words(value[:200]).meaning)
    if name in _ERRORS:
        return None if folded in _NO else "failure"
    return "failure" if name in _SUCCESSES and folded in _NO and folded else None


def _worse(event: WireEvent, outcome: str, why: str) -> WireEvent:
    doubted = doubt_success(event, why)
    return doubted if doubted is event or outcome == "unclear" else {**doubted, "outcome": outcome, "message": why}
